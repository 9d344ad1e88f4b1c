package prune

import (
	"errors"
	"fmt"
	"math"
	"time"

	"snapcopy/internal/calendar"
)

// Errors that callers tell apart.
var (
	// ErrEmptyPolicy reports a policy without rules and goals.
	ErrEmptyPolicy = errors.New("the policy is empty: it keeps nothing")
	// ErrRemovesAll reports a plan that would leave no complete snapshot.
	ErrRemovesAll = errors.New("no complete snapshot would be left")
	// ErrUnknownSpace reports a policy that thins out snapshots whose space is unknown.
	ErrUnknownSpace = errors.New("the content of each snapshot is not known")
)

// Policy says which snapshots to keep. A snapshot is kept if any rule wants it; the rules do not know of one another.
//
// A rule with a count keeps the last snapshot of each of the newest periods that have a snapshot, and the oldest
// snapshot of all until the count is reached. Hours, days, weeks (ISO 8601), months and years are those of the clock
// on the wall in Zone: the hour that comes twice in autumn is one hour. A rule with a span does the same for the
// snapshots less than that span older than the newest one.
//
// Only complete snapshots without doubt count. An incomplete one is removed when a newer one is complete. The rules
// apply to each group of snapshots separately.
type Policy struct {
	Last, Hourly, Daily, Weekly, Monthly, Yearly Count

	Within                                                               calendar.Span // every snapshot
	WithinHourly, WithinDaily, WithinWeekly, WithinMonthly, WithinYearly calendar.Span

	Zone            *time.Location // for periods and spans; nil: UTC
	CountIncomplete bool           // count incomplete snapshots, too: for sources with unreadable files

	// Goals for space: after the rules, snapshots that they keep are thinned out until the goals are reached. Without
	// rules, thinning begins with all snapshots.
	KeepFree       Amount // bytes
	KeepFreeInodes Amount
	MaxSize        uint64 // bytes of all snapshots together; 0: any
	// ThinAnyway thins out every removable snapshot even if that does not reach a goal. Otherwise a goal that cannot
	// be reached costs no snapshot: history would be lost for nothing.
	ThinAnyway bool

	// AllowRemoveAll permits an empty policy, which removes every snapshot, and a plan that leaves no complete
	// snapshot.
	AllowRemoveAll bool
}

// Count is the number of periods that a rule keeps: 0 none, Unlimited all.
type Count int

// Unlimited is the Count without a limit.
const Unlimited Count = -1

// Amount is a part of a file system: a number, or a share of the whole in percent. The zero value is none.
type Amount struct {
	Number  uint64
	Percent float64
}

func (a Amount) isZero() bool { return a == Amount{} }

// of returns the number that a is of a total, rounded up.
func (a Amount) of(total uint64) uint64 {
	if a.Percent > 0 {
		return uint64(math.Ceil(float64(total) / 100 * a.Percent))
	}
	return a.Number
}

// IsEmpty reports whether p has no rule and no goal.
func (p *Policy) IsEmpty() bool { return !p.hasRules() && !p.thins() }

func (p *Policy) hasRules() bool {
	for _, r := range p.rules() {
		if r.active() {
			return true
		}
	}
	return false
}

func (p *Policy) thins() bool {
	return !p.KeepFree.isZero() || !p.KeepFreeInodes.isZero() || p.MaxSize > 0
}

func (p *Policy) zone() *time.Location {
	if p.Zone == nil {
		return time.UTC
	}
	return p.Zone
}

func (p *Policy) check() error {
	for _, r := range p.rules() {
		if r.count < Unlimited || r.within.Months < 0 || r.within.Days < 0 || r.within.Elapsed < 0 {
			return fmt.Errorf("%s: a count or a length of time is negative", r.kind)
		}
	}
	for _, a := range []Amount{p.KeepFree, p.KeepFreeInodes} {
		if math.IsNaN(a.Percent) || a.Percent < 0 || a.Percent > 100 || a.Percent > 0 && a.Number > 0 {
			return fmt.Errorf("%v%% is no share of a file system", a.Percent)
		}
	}
	return nil
}
