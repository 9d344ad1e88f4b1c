package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"snapcopy/internal/archive"
)

var escapes = regexp.MustCompile(`\x1b\[[0-9]*m`)

// A bar that wraps onto a second line cannot be taken away again.
func TestBarFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := new(archive.Progress)
		p.Phase.Store(rapid.Int32Range(0, 4).Draw(t, "phase"))
		number := rapid.OneOf(rapid.Uint64Range(0, 100), rapid.Uint64Range(0, 1<<40))
		p.ExpectFiles.Store(number.Draw(t, "expected files"))
		p.ExpectAll.Store(number.Draw(t, "expected bytes"))
		now := time.Unix(0, 0)
		v := newView(runMeter(p), now)
		for range rapid.IntRange(1, 100).Draw(t, "looks") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1e10).Draw(t, "step")))
			p.Files.Add(number.Draw(t, "files"))
			p.Bytes.Add(number.Draw(t, "bytes"))
			v.look(now)
		}
		width := rapid.IntRange(1, 200).Draw(t, "width")
		colour := rapid.Bool().Draw(t, "colour")
		bar := v.bar(width, colour)
		if n := len(escapes.ReplaceAllString(bar, "")); n >= width {
			t.Fatalf("%d columns in a terminal of %d: %q", n, width, bar)
		}
		if !colour && strings.Contains(bar, "\x1b") {
			t.Fatalf("colour although there is to be none: %q", bar)
		}
		if v.done >= 1 {
			t.Fatalf("at the end before it is: %v", v.done)
		}
	})
}

func TestBar(t *testing.T) {
	p := new(archive.Progress)
	p.Phase.Store(int32(archive.Copying))
	begin := time.Unix(0, 0)
	v := newView(runMeter(p), begin)
	p.Files.Store(1234)
	p.Bytes.Store(5 << 20)
	v.look(begin.Add(time.Second))
	if got, want := v.bar(80, true), "Copying  1,234 files  5.0 MiB  0:01"; got != want {
		t.Errorf("bar without a goal: %q, want %q", got, want)
	}
	p.ExpectFiles.Store(4936)
	p.ExpectAll.Store(40 << 20)
	v.look(begin.Add(2 * time.Second))
	p.Files.Store(2468)
	p.Bytes.Store(20 << 20)
	v.look(begin.Add(7 * time.Second))
	want := "[#########.........]  Copying  50 %  2,468 of 4,936 files  20 MiB of 40 MiB"
	if got := v.bar(80, false); got != want {
		t.Errorf("bar with a goal:\n%q, want\n%q", got, want)
	}
	// The first look knew of no goal, so it is of no use for the estimate.
	v.samples = v.samples[1:]
	want = "[##############..............]  Copying  50 %  2,468 of 4,936 files  20 MiB of 40 MiB  0:08 left  3.0 MiB/s"
	if got := v.bar(120, false); got != want {
		t.Errorf("wide bar:\n%q, want\n%q", got, want)
	}
	if got, want := v.line(), "Copying: 50 %, 2,468 of 4,936 files, 20 MiB of 40 MiB, 0:08 left, 3.0 MiB/s"; got != want {
		t.Errorf("line %q, want %q", got, want)
	}
}
