package prune

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Slack is how far a snapshot's time may lie ahead of now without counting as in the future: clocks of machines that
// share an archive differ by seconds.
const Slack = time.Minute

// Snapshot is a snapshot as a plan sees it. It is no archive.Snapshot: a plan is made without any archive or file, for
// which Facts has gathered all, and Time can differ from the time in the name, if a run had to take a later name.
type Snapshot struct {
	Name     string
	Time     time.Time
	Complete bool
	Doubt    Doubt  // why it must not replace another
	Group    string // the rules apply to the snapshots of each group separately
	Pinned   bool
	Label    string // of the pin
	MustStay Kind   // the reason not to remove it under any policy, mostly Needed or Unusable; "": none
}

// Doubt is the reason why a snapshot, complete or not, must not replace another.
type Doubt int

// The doubts.
const (
	NoDoubt    Doubt = iota
	LooksWrong       // an unacknowledged tripwire of its run: it is kept
	LacksMost        // it lacks most entries of the snapshots before it: treated as incomplete
	HasNoFile        // it has no file: treated as incomplete if other complete snapshots of its group have files
	NotKnown         // its catalog is unusable; the caller has to set MustStay to keep it
)

// Room has the space that the snapshots take, and the size and free space of their file system.
type Room struct {
	Space *Space
	Total Size // of the file system; Inodes 0: it has no limit
	Free  Size
}

// Plan is a decision about each snapshot.
type Plan struct {
	Decisions []Decision // one for each snapshot, oldest first
	Freed     *Size      // space freed by removing exactly these; nil: unknown
	// Unmeasured names the snapshots whose space is unknown. They count as zero.
	Unmeasured []string
	Missed     []Missed // the goals that are not reached
}

// Decision is the decision about one snapshot.
type Decision struct {
	Snapshot
	Keep    bool
	Reasons []Reason // why; at least one
	// Freed is the space that removing this snapshot frees after the older ones of the plan are gone; the sum is the
	// space that the plan frees. nil: the snapshot is kept, or the space is unknown.
	Freed *Size
}

// Removed returns the names of the snapshots to remove, oldest first.
func (p *Plan) Removed() (names []string) {
	for i := range p.Decisions {
		if !p.Decisions[i].Keep {
			names = append(names, p.Decisions[i].Name)
		}
	}
	return names
}

// Make decides about each snapshot. It does not change snapshots. room can be nil for a policy that does not thin out;
// the plan then lacks the freed space. A snapshot that is pinned, must stay or is in the future is always kept.
func Make(snapshots []Snapshot, policy Policy, now time.Time, room *Room) (*Plan, error) {
	switch err := policy.check(); {
	case err != nil:
		return nil, fmt.Errorf("policy: %w", err)
	case policy.IsEmpty() && !policy.AllowRemoveAll:
		return nil, ErrEmptyPolicy
	case policy.thins() && room == nil:
		return nil, ErrUnknownSpace
	}
	d := newDraft(snapshots, &policy, now)
	d.keepWhatNothingMayTake()
	d.applyRules()
	d.dropIncomplete()
	d.dropRest()
	if room != nil {
		d.weigh(room.Space)
		d.thinOut(room)
		d.sumUp()
	}
	if d.leavesNothing() && !policy.AllowRemoveAll {
		return nil, ErrRemovesAll
	}
	return &d.plan, nil
}

// draft is a plan in the making.
type draft struct {
	plan    Plan
	policy  *Policy
	now     time.Time
	groups  []*group
	groupOf []*group // of each snapshot of the plan
	tally   *tally
	place   []int // position of each snapshot of the plan in the tally, or -1
}

// group is a set of snapshots to which the rules apply together.
type group struct {
	counted []int // snapshots that count for the rules, as positions in the plan, newest first
	empty   bool  // no snapshot has a file, so that empty ones count
}

func newDraft(snapshots []Snapshot, policy *Policy, now time.Time) *draft {
	d := &draft{policy: policy, now: now}
	for _, s := range snapshots {
		d.plan.Decisions = append(d.plan.Decisions, Decision{Snapshot: s})
	}
	slices.SortStableFunc(d.plan.Decisions, func(a, b Decision) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Name, b.Name))
	})
	d.form()
	return d
}

// form sorts the snapshots into their groups.
func (d *draft) form() {
	byName := make(map[string]*group)
	for i := range d.plan.Decisions {
		s := &d.plan.Decisions[i]
		g := byName[s.Group]
		if g == nil {
			g = &group{empty: true}
			byName[s.Group], d.groups = g, append(d.groups, g)
		}
		d.groupOf = append(d.groupOf, g)
		if s.Doubt == NoDoubt && (s.Complete || d.policy.CountIncomplete) {
			g.empty = false
		}
	}
	for i := len(d.plan.Decisions) - 1; i >= 0; i-- {
		if d.counts(i) && !d.inFuture(&d.plan.Decisions[i]) {
			d.groupOf[i].counted = append(d.groupOf[i].counted, i)
		}
	}
}

// counts reports whether the rules consider snapshot i.
func (d *draft) counts(i int) bool {
	s := &d.plan.Decisions[i]
	switch s.Doubt {
	case NoDoubt:
		return s.Complete || d.policy.CountIncomplete
	case HasNoFile:
		return s.Complete && d.groupOf[i].empty
	}
	return false
}

func (d *draft) inFuture(s *Decision) bool { return s.Time.After(d.now.Add(Slack)) }

// fixed reports whether s is kept under any policy.
func (d *draft) fixed(s *Decision) bool { return s.Pinned || s.MustStay != "" || d.inFuture(s) }

func (d *draft) keep(i int, r Reason) {
	s := &d.plan.Decisions[i]
	s.Keep, s.Reasons = true, append(s.Reasons, r)
}

func (d *draft) keepWhatNothingMayTake() {
	for i := range d.plan.Decisions {
		s := &d.plan.Decisions[i]
		if s.Pinned {
			d.keep(i, Reason{Kind: Pinned, Label: s.Label})
		}
		if s.MustStay != "" {
			d.keep(i, Reason{Kind: s.MustStay})
		}
		if d.inFuture(s) {
			d.keep(i, Reason{Kind: InFuture})
		}
		if s.Doubt == LooksWrong && !d.policy.IsEmpty() {
			d.keep(i, Reason{Kind: Suspect})
		}
	}
}

func (d *draft) applyRules() {
	for _, g := range d.groups {
		times := make([]time.Time, len(g.counted))
		for k, i := range g.counted {
			times[k] = d.plan.Decisions[i].Time
		}
		for _, r := range d.policy.rules() {
			r.apply(times, d.policy.zone(), func(k int, reason Reason) { d.keep(g.counted[k], reason) })
		}
		if !d.policy.hasRules() && !d.policy.IsEmpty() {
			for _, i := range g.counted {
				d.keep(i, Reason{Kind: NoRule})
			}
		}
	}
}

// dropIncomplete decides about the snapshots that do not count for the rules: such a snapshot goes as soon as its
// group has a newer one that counts.
func (d *draft) dropIncomplete() {
	for i := range d.plan.Decisions {
		s := &d.plan.Decisions[i]
		if d.counts(i) || d.inFuture(s) || s.Doubt == LooksWrong || s.Doubt == NotKnown {
			continue
		}
		kept, gone := NewestIncomplete, Incomplete
		if s.Complete || d.policy.CountIncomplete {
			kept, gone = NewestHollow, Hollow
		}
		newest := d.groupOf[i].newest()
		switch {
		case i > newest && !d.policy.IsEmpty():
			d.keep(i, Reason{Kind: kept})
		case i < newest && !s.Keep:
			s.Reasons = []Reason{{Kind: gone}}
		}
	}
}

// newest returns the position of the newest snapshot that counts for the rules, -1 if there is none.
func (g *group) newest() int {
	if len(g.counted) == 0 {
		return -1
	}
	return g.counted[0]
}

func (d *draft) dropRest() {
	kind := Unwanted
	if d.policy.IsEmpty() {
		kind = Everything
	}
	for i := range d.plan.Decisions {
		if s := &d.plan.Decisions[i]; len(s.Reasons) == 0 {
			s.Reasons = []Reason{{Kind: kind}}
		}
	}
}

// leavesNothing reports whether the plan removes all snapshots, or every complete snapshot of a group.
func (d *draft) leavesNothing() bool {
	kept := false
	for i := range d.plan.Decisions {
		kept = kept || d.plan.Decisions[i].Keep
	}
	has := make(map[*group]bool)
	for i := range d.plan.Decisions {
		if g := d.groupOf[i]; d.counts(i) {
			has[g] = has[g] || d.plan.Decisions[i].Keep
		}
	}
	for _, one := range has {
		if !one {
			return true
		}
	}
	return !kept && len(d.plan.Decisions) > 0
}
