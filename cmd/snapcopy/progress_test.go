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

// Guards: a quiet command shows no progress but the lines asked for with a time.
func TestProgressFlag(t *testing.T) {
	for _, c := range []struct {
		text, shown string
		quietly     progressFlag
	}{
		{"auto", "auto", progressFlag{never: true}},
		{"never", "never", progressFlag{never: true}},
		{"1m", "1m0s", progressFlag{every: time.Minute}},
		{"0.1s", "", progressFlag{}},
		{"-5s", "", progressFlag{}},
		{"30", "", progressFlag{}},
		{"", "", progressFlag{}},
	} {
		var v progressFlag
		err := v.Set(c.text)
		if c.shown == "" {
			if err == nil {
				t.Errorf("%q was taken as %s", c.text, v.String())
			}
		} else if err != nil || v.String() != c.shown || v.quietly(true) != c.quietly || v.quietly(false) != v {
			t.Errorf("%q: %+v, %v", c.text, v, err)
		}
	}
}

// Guards: with a time, lines come although there is no terminal, and no bar is drawn.
func TestProgressLines(t *testing.T) {
	a, _, errOut := testApp(t)
	looked := make(chan bool)
	m := runMeter(new(archive.Progress))
	m.phase = func() string {
		looked <- true
		return "Working"
	}
	p := startProgress(a, m, progressFlag{every: time.Second})
	for range 6 {
		<-looked
	}
	p.done <- struct{}{}
	p.wait.Wait()
	if got := errOut.String(); !strings.HasPrefix(got, "Working: 0:0") || strings.Contains(got, "\x1b") {
		t.Errorf("stderr %q", got)
	}
}

func TestBar(t *testing.T) {
	p := new(archive.Progress)
	p.Phase.Store(int32(archive.Copying))
	begin := time.Unix(0, 0)
	v := newView(runMeter(p), begin)
	v.look(begin)
	if got, want := v.line(), "Copying: 0:00"; got != want {
		t.Errorf("before anything was looked at: %q, want %q", got, want)
	}
	p.Files.Store(1234)
	p.Bytes.Store(5 << 20)
	v.look(begin.Add(time.Second))
	if got, want := v.bar(80, true), "Copying  1,234 files  5.0 MiB  0:01"; got != want {
		t.Errorf("bar without a goal: %q, want %q", got, want)
	}
	p.ExpectFiles.Store(4936)
	p.ExpectAll.Store(40 << 20)
	v.look(begin.Add(2 * time.Second))
	if got, want := v.line(), "Copying: 19 %, 1,234 of 4,936 files, 5.0 MiB of 40 MiB, 0:02"; got != want {
		t.Errorf("linked only: line %q, want %q", got, want)
	}
	p.Files.Store(2468)
	p.Bytes.Store(20 << 20)
	p.Read.Store(21 << 20)
	v.look(begin.Add(7 * time.Second))
	want := "[#########.........]  Copying  50 %  2,468 of 4,936 files  20 MiB of 40 MiB"
	if got := v.bar(80, false); got != want {
		t.Errorf("bar with a goal:\n%q, want\n%q", got, want)
	}
	want = "[##############..............]  Copying  50 %  2,468 of 4,936 files  20 MiB of 40 MiB  0:08 left  3.0 MiB/s"
	if got := v.bar(120, false); got != want {
		t.Errorf("wide bar:\n%q, want\n%q", got, want)
	}
	if got, want := v.line(), "Copying: 50 %, 2,468 of 4,936 files, 20 MiB of 40 MiB, 0:08 left, 3.0 MiB/s"; got != want {
		t.Errorf("line %q, want %q", got, want)
	}
}
