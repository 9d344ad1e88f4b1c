package prune

import (
	"time"

	"snapcopy/internal/calendar"
)

// rule is one rule of a policy.
type rule struct {
	kind   Kind
	period func(time.Time) period // nil: each snapshot is a period of its own
	count  Count                  // of a rule that counts
	within calendar.Span          // of a rule that measures
}

func (r *rule) active() bool { return r.count != 0 || !r.within.IsZero() }

func (p *Policy) rules() []rule {
	return []rule{
		{Last, nil, p.Last, calendar.Span{}},
		{Hourly, hour, p.Hourly, calendar.Span{}},
		{Daily, day, p.Daily, calendar.Span{}},
		{Weekly, week, p.Weekly, calendar.Span{}},
		{Monthly, month, p.Monthly, calendar.Span{}},
		{Yearly, year, p.Yearly, calendar.Span{}},
		{Within, nil, 0, p.Within},
		{WithinHourly, hour, 0, p.WithinHourly},
		{WithinDaily, day, 0, p.WithinDaily},
		{WithinWeekly, week, 0, p.WithinWeekly},
		{WithinMonthly, month, 0, p.WithinMonthly},
		{WithinYearly, year, 0, p.WithinYearly},
	}
}

// period is one hour, day, week, month or year of a calendar: its year (that of the week, for weeks) and its number
// there.
type period struct{ year, number int }

func (p period) before(other period) bool {
	return p.year < other.year || p.year == other.year && p.number < other.number
}

func hour(t time.Time) period  { return period{t.Year(), t.YearDay()*24 + t.Hour()} }
func day(t time.Time) period   { return period{t.Year(), t.YearDay()} }
func month(t time.Time) period { return period{t.Year(), int(t.Month())} }
func year(t time.Time) period  { return period{t.Year(), 0} }

func week(t time.Time) period {
	y, w := t.ISOWeek()
	return period{y, w}
}

// apply calls want for each snapshot that the rule keeps. times runs from the newest to the oldest.
func (r *rule) apply(times []time.Time, zone *time.Location, want func(i int, reason Reason)) {
	if !r.active() || len(times) == 0 {
		return
	}
	after := r.within.Before(times[0].In(zone))
	var last period
	number := 0
	for i, t := range times {
		if number == int(r.count) && r.count > 0 || !r.within.IsZero() && !t.After(after) {
			return
		}
		oldest := false
		if r.period != nil {
			// A period counts if it lies before the last one: where the clocks are set back across midnight, a day ends twice.
			now := r.period(t.In(zone))
			isNew := number == 0 || now.before(last)
			oldest = !isNew && i == len(times)-1
			if !isNew && !oldest {
				continue
			}
			last = now
		}
		number++
		want(i, Reason{Kind: r.kind, Number: number, Of: r.count, Within: r.within, Oldest: oldest})
	}
}
