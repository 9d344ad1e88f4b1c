package main

import (
	"regexp"
	"strconv"
	"time"
)

// timeForms are the ways to write a date or a time, as for selectors of snapshots, and when the span meant ends.
var timeForms = []struct {
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

var ageForm = regexp.MustCompile(`^([0-9]{1,6})(min|h|d|w|mo|y)$`)

// agesAgo counts back in the calendar for days and more, and in time elapsed for less.
func agesAgo(now time.Time, n int, unit string) time.Time {
	switch unit {
	case "min":
		return now.Add(-time.Duration(n) * time.Minute)
	case "h":
		return now.Add(-time.Duration(n) * time.Hour)
	case "d":
		return now.AddDate(0, 0, -n)
	case "w":
		return now.AddDate(0, 0, -7*n)
	case "mo":
		return now.AddDate(0, -n, 0)
	}
	return now.AddDate(-n, 0, 0)
}

// timeSpan reads a date, a time or an age: the first and the last moment that it means.
func (a *app) timeSpan(flag, text string) (from, to time.Time, err error) {
	if m := ageForm.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // at most six digits
		at := agesAgo(a.now().In(a.loc), n, m[2])
		return at, at, nil
	}
	for _, l := range timeForms {
		if t, err := time.ParseInLocation(l.layout, text, a.loc); err == nil {
			return t, l.end(t).Add(-1), nil
		}
	}
	return from, to, wrongUsage("%s %s: not a time like 2026-11-20, \"2026-11-20 18:00\" or 3d", flag, name(text))
}
