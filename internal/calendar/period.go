package calendar

import (
	"regexp"
	"time"
)

// The accepted forms of a date or a time, and the length of the span that each means.
var layouts = []struct {
	layout string
	end    func(time.Time) time.Time
}{
	{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
	{"2006-01-02 15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
	{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
	{"2006-01-02 15:04:05", func(t time.Time) time.Time { return t.Add(time.Second) }},
	{"2006-01-02T15:04:05", func(t time.Time) time.Time { return t.Add(time.Second) }},
	{time.RFC3339, func(t time.Time) time.Time { return t.Add(time.Second) }},
}

// An age has one unit. "m" is refused, since some would take it for minutes.
var age = regexp.MustCompile(`^([0-9]{1,6})(min|h|d|w|mo|y)$`)

// Period reads a date, a time or an age before now, and returns the first and the last moment of it; those of an age
// are the same. ok is false for any other text.
func Period(text string, now time.Time, loc *time.Location) (from, to time.Time, ok bool) {
	if age.MatchString(text) {
		if ago, err := Parse(text); err == nil {
			at := ago.Before(now.In(loc))
			return at, at, true
		}
	}
	for _, l := range layouts {
		if t, err := time.ParseInLocation(l.layout, text, loc); err == nil {
			return t, l.end(t).Add(-1), true
		}
	}
	return from, to, false
}
