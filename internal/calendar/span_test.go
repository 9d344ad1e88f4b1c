package calendar

import (
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"
)

// Guards: what people write is read, and everything else refused, not guessed.
func TestParse(t *testing.T) {
	for text, want := range map[string]Span{
		"1y5m7d2h":   {17, 7, 2 * time.Hour},
		"2h7d5mo1y":  {17, 7, 2 * time.Hour},
		"90d":        {0, 90, 0},
		"36h":        {0, 0, 36 * time.Hour},
		"2w3d":       {0, 17, 0},
		"10min":      {0, 0, 10 * time.Minute},
		"1m1min":     {1, 0, time.Minute},
		"0d":         {},
		"999999y":    {12 * 999_999, 0, 0},
		"000001d":    {0, 1, 0},
		"999999h":    {0, 0, 999_999 * time.Hour},
		"1y1m1w1d1h": {13, 8, time.Hour},
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "3", "3x", "-3d", "+3d", "3 d", "3d ", "1.5d", "3d4", "1d1d", "1m1mo",
		"1000000d", "3D", "1y-2d", "٣d", "1s", "forever"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}

func TestSpanReadsWhatItWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Span{
			Months:  rapid.IntRange(0, 999).Draw(t, "months"),
			Days:    rapid.IntRange(0, 999).Draw(t, "days"),
			Elapsed: time.Duration(rapid.IntRange(0, 9999).Draw(t, "minutes")) * time.Minute,
		}
		if got, err := Parse(s.String()); err != nil || got != s {
			t.Fatalf("%v: %v, %v", s, got, err)
		}
	})
}

// Guards: a month ago is in the month before, also on a day which that month does not have, and days keep the time of
// day where hours do not.
func TestBefore(t *testing.T) {
	for _, c := range []struct{ zone, at, span, want string }{
		{"UTC", "2026-03-31 12:00", "1m", "2026-02-28 12:00"},
		{"UTC", "2024-03-31 12:00", "1m", "2024-02-29 12:00"},
		{"UTC", "2026-05-31 12:00", "1m", "2026-04-30 12:00"},
		{"UTC", "2026-01-15 12:00", "2m", "2025-11-15 12:00"},
		{"UTC", "2026-01-31 12:00", "1m", "2025-12-31 12:00"},
		{"UTC", "2026-12-31 12:00", "12m", "2025-12-31 12:00"},
		{"UTC", "2024-02-29 12:00", "1y", "2023-02-28 12:00"},
		{"UTC", "2024-02-29 12:00", "4y", "2020-02-29 12:00"},
		{"UTC", "2026-03-31 12:00", "1m1d", "2026-02-27 12:00"},
		{"UTC", "2026-11-23 12:00", "2w", "2026-11-09 12:00"},
		{"UTC", "2026-03-01 12:00", "1d", "2026-02-28 12:00"},
		{"UTC", "2026-03-01 12:00", "0d", "2026-03-01 12:00"},
		{"Europe/Berlin", "2026-03-29 12:00", "1d", "2026-03-28 12:00"},
		{"Europe/Berlin", "2026-03-29 12:00", "24h", "2026-03-28 11:00"},
		{"Europe/Berlin", "2026-10-25 12:00", "1d", "2026-10-24 12:00"},
		{"Europe/Berlin", "2026-10-25 12:00", "24h", "2026-10-24 13:00"},
		// Midnight did not exist on 4 November 2018 there: the day before must not count as the last of the month.
		{"America/Sao_Paulo", "2018-12-04 00:30", "1m", "2018-11-03 23:30"},
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		const layout = "2006-01-02 15:04"
		at, err := time.ParseInLocation(layout, c.at, loc)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(c.span)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Before(at).Format(layout); got != c.want {
			t.Errorf("%s before %s in %s: %s, want %s", c.span, c.at, c.zone, got, c.want)
		}
	}
}
