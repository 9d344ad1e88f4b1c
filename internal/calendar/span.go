// Package calendar reads dates, times and spans of time as people write them ([Period], [Parse]), and counts back in
// the calendar as people do ([Span.Before]): a month before 31 March is the last day of February.
//
// Spans have years, months, days and elapsed time. All arithmetic is in the location of the given time, so a day
// before a change of the clocks is the same time of day. A span can only be subtracted.
package calendar

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Span is a length of time as people say it. Its months and days differ in length, so it has no fixed duration.
type Span struct {
	Months  int           // a year is twelve
	Days    int           // a week is seven
	Elapsed time.Duration // hours and minutes, as a stopwatch counts them
}

// The units of Parse; a unit that begins with another unit comes before that one.
var units = []struct {
	text string
	one  Span
}{
	{"min", Span{Elapsed: time.Minute}},
	{"mo", Span{Months: 1}},
	{"m", Span{Months: 1}},
	{"y", Span{Months: 12}},
	{"w", Span{Days: 7}},
	{"d", Span{Days: 1}},
	{"h", Span{Elapsed: time.Hour}},
}

// maxDigits keeps every sum far below the limits of its type.
const maxDigits = 6

// Parse reads a span like 90d, 36h or 1y5m7d2h: whole numbers, each with a unit, in any order, no unit twice. The units
// are y, mo or m (months), w, d, h and min.
func Parse(text string) (Span, error) {
	var s Span
	seen := make(map[Span]bool)
	rest := text
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.Atoi(rest[:digits])
		if err != nil || digits > maxDigits {
			return Span{}, badSpan(text)
		}
		rest = rest[digits:]
		found := false
		for _, u := range units {
			if after, ok := strings.CutPrefix(rest, u.text); ok && !seen[u.one] {
				seen[u.one], found, rest = true, true, after
				s.Months += n * u.one.Months
				s.Days += n * u.one.Days
				s.Elapsed += time.Duration(n) * u.one.Elapsed
				break
			}
		}
		if !found {
			return Span{}, badSpan(text)
		}
	}
	if text == "" {
		return Span{}, badSpan(text)
	}
	return s, nil
}

func badSpan(text string) error {
	return fmt.Errorf("%q is not a length of time like 90d, 36h or 1y6m (units: y, m for months, w, d, h, min)", text)
}

// String returns s in the form that Parse reads: 1y5m7d2h.
func (s Span) String() string {
	var b strings.Builder
	part := func(n int64, unit string) {
		if n != 0 {
			fmt.Fprintf(&b, "%d%s", n, unit)
		}
	}
	part(int64(s.Months/12), "y")
	part(int64(s.Months%12), "m")
	part(int64(s.Days), "d")
	part(int64(s.Elapsed/time.Hour), "h")
	part(int64(s.Elapsed%time.Hour/time.Minute), "min")
	if b.Len() == 0 {
		return "0d"
	}
	return b.String()
}

// IsZero reports whether s has no length.
func (s Span) IsZero() bool { return s == Span{} }

// Before returns the moment s before t, in the location of t. It subtracts first the months, and a day beyond the end
// of a month becomes the last day of that month; then the days, at the same time of day; then the elapsed time.
func (s Span) Before(t time.Time) time.Time {
	if s.Months != 0 {
		t = monthsBefore(t, s.Months)
	}
	if s.Days != 0 {
		t = t.AddDate(0, 0, -s.Days)
	}
	return t.Add(-s.Elapsed)
}

// monthsBefore uses the date alone to find the last day of a month: a time of day that a change of the clocks skips
// may be moved to another day.
func monthsBefore(t time.Time, n int) time.Time {
	year, month, day := t.Date()
	months := year*12 + int(month) - 1 - n
	year = int(math.Floor(float64(months) / 12))
	month = time.Month(months - year*12 + 1)
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return time.Date(year, month, min(day, last), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
}
