package main

import (
	"time"

	"snapcopy/internal/calendar"
)

// timeSpan reads a date, a time or an age, and returns the first and the last moment of it.
func (a *app) timeSpan(flag, text string) (from, to time.Time, err error) {
	from, to, ok := calendar.Period(text, a.now(), a.loc)
	if !ok {
		err = wrongUsage("%s %s: not a time like 2026-11-20, \"2026-11-20 18:00\" or 3d", flag, name(text))
	}
	return from, to, err
}
