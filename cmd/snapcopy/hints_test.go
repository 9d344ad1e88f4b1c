package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"snapcopy/internal/archive"
)

// Guards: where there is no archive, or no snapshot, nobody is sent to remove some.
func TestRoomHint(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	if got := roomHint(missing); got != "make room on the disk, or choose another one" {
		t.Errorf("%q", got)
	}
	a, err := archive.Create(filepath.Join(t.TempDir(), "arch"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	if got := roomHint(a.Path); strings.Contains(got, "prune") {
		t.Errorf("%q", got)
	}
}

// Guards: an outcome is told once.
func TestRunsText(t *testing.T) {
	a, _, _ := testApp(t)
	for _, c := range []struct{ outcome, err, want string }{
		{"interrupted", "interrupted", ": interrupted"},
		{"no space", "archive /a: no space left on device", ": archive /a: no space left on device"},
		{"failed", "input/output error", ": failed: input/output error"},
	} {
		l := sourceStatus{RunCount: 1, Runs: []unpublishedObject{{Outcome: archive.Outcome(c.outcome), Error: c.err}}}
		if got := l.runsText(a, "/src"); !strings.HasSuffix(got, "00"+c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
