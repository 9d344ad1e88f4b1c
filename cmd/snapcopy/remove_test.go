package main

import (
	"errors"
	"testing"
	"time"

	"snapcopy/internal/archive"
)

// Guards: each reason why a snapshot stays has its words.
func TestSkippedText(t *testing.T) {
	since := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		want    string
		skipped archive.SkippedSnapshot
	}{
		{"it is being read", archive.SkippedSnapshot{}},
		{"it is pinned", archive.SkippedSnapshot{Pin: &archive.Pin{}}},
		{"it is pinned: before the upgrade", archive.SkippedSnapshot{Pin: &archive.Pin{Label: "before the upgrade"}}},
		{`needed for "/srv/tree" on nas since 2026-11-28T03:00:00Z`,
			archive.SkippedSnapshot{Reader: &archive.Reader{Place: "/srv/tree", Host: "nas", Since: since}}},
		{"a note that cannot be read says that it is needed",
			archive.SkippedSnapshot{Reader: &archive.Reader{Damage: errors.New("no JSON")}}},
	} {
		if got := skippedText(&c.skipped); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
