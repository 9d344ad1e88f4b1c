package prune

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"time"
)

// Missed is a goal that thinning out cannot reach.
type Missed struct {
	Goal   string // "keep-free", "keep-free-inodes" or "max-size"
	Wanted uint64 // bytes or inodes
	By     uint64 // space still missing if every removable snapshot was removed
}

// goal is a policy's goal for space.
type goal struct {
	name   string
	wanted uint64
	inodes bool
	need   func(freed Size) uint64 // space still missing after freeing so much
}

func (p *Policy) goals(room *Room) (list []goal) {
	if !p.KeepFree.isZero() {
		wanted := p.KeepFree.of(room.Total.Bytes)
		list = append(list, goal{"keep-free", wanted, false, func(freed Size) uint64 {
			return excess(wanted, room.Free.Bytes+freed.Bytes)
		}})
	}
	if !p.KeepFreeInodes.isZero() && room.Total.Inodes > 0 {
		wanted := p.KeepFreeInodes.of(room.Total.Inodes)
		list = append(list, goal{"keep-free-inodes", wanted, true, func(freed Size) uint64 {
			return excess(wanted, room.Free.Inodes+freed.Inodes)
		}})
	}
	if p.MaxSize > 0 {
		total := room.Space.Total().Bytes
		list = append(list, goal{"max-size", p.MaxSize, false, func(freed Size) uint64 {
			return excess(total-freed.Bytes, p.MaxSize)
		}})
	}
	return list
}

// excess returns the amount by which a exceeds b.
func excess(a, b uint64) uint64 { return a - min(a, b) }

// need returns the space that a set of goals still misses: the maximum over the goals.
func need(goals []goal, freed Size) (s Size) {
	for _, g := range goals {
		if g.inodes {
			s.Inodes = max(s.Inodes, g.need(freed))
		} else {
			s.Bytes = max(s.Bytes, g.need(freed))
		}
	}
	return s
}

// weigh sets up the tally of the snapshots, and removes from it those that the rules remove.
func (d *draft) weigh(space *Space) {
	position := make(map[string]int, len(space.Snapshots))
	for i, name := range space.Snapshots {
		position[name] = i
	}
	d.tally = newTally(space)
	d.place = make([]int, len(d.plan.Decisions))
	d.plan.Freed = new(Size)
	for i := range d.plan.Decisions {
		s := &d.plan.Decisions[i]
		at, ok := position[s.Name]
		if !ok {
			d.plan.Unmeasured = append(d.plan.Unmeasured, s.Name)
			at = -1
		}
		d.place[i] = at
		if !s.Keep {
			d.takeAway(i)
		}
	}
}

func (d *draft) takeAway(i int) {
	if at := d.place[i]; at >= 0 {
		d.plan.Freed.add(d.tally.remove(at))
	}
}

func (d *draft) giveBack(i int) {
	if at := d.place[i]; at >= 0 {
		d.plan.Freed.subtract(d.tally.restore(at))
	}
}

// alone returns the space freed by removing a snapshot that is still there.
func (d *draft) alone(i int) Size {
	if at := d.place[i]; at >= 0 {
		return d.tally.alone[at]
	}
	return Size{}
}

// thinOut removes, until the goals are reached, the snapshot whose removal costs the least history for the space it
// frees; then it restores the snapshots whose removal turned out unnecessary, the costliest first.
//
// The cost of a snapshot is the gap between the snapshots before and after it, divided by its age: old history is
// thinned out before recent history. The oldest snapshot counts as if it left a gap of all its age, so that it goes
// when the remaining ones lie far apart. Space beyond a goal counts nothing.
func (d *draft) thinOut(room *Room) {
	goals := d.reachable(d.policy.goals(room))
	chain := d.newChain()
	var taken []removal
	for {
		lacking := need(goals, *d.plan.Freed)
		if lacking == (Size{}) {
			break
		}
		next, ok := d.cheapest(chain, lacking)
		if !ok {
			break
		}
		chain.unlink(next.of)
		d.takeAway(next.of)
		taken = append(taken, next)
	}
	slices.SortFunc(taken, func(a, b removal) int { return cmp.Or(cmp.Compare(b.cost, a.cost), cmp.Compare(b.of, a.of)) })
	for _, r := range taken {
		lacking := need(goals, *d.plan.Freed)
		d.giveBack(r.of)
		if need(goals, *d.plan.Freed) == lacking {
			continue
		}
		d.takeAway(r.of)
		s := &d.plan.Decisions[r.of]
		s.Keep, s.Reasons = false, []Reason{{Kind: Thinned, Otherwise: s.Reasons}}
	}
}

// removal is the removal of one snapshot, and its cost.
type removal struct {
	of   int
	cost float64
}

// reachable returns the goals to thin out for, and records those that removing every removable snapshot would not
// reach.
func (d *draft) reachable(goals []goal) (list []goal) {
	before := *d.plan.Freed
	if need(goals, before) == (Size{}) {
		return nil
	}
	chain := d.newChain()
	for i := range d.candidates(chain) {
		d.takeAway(i)
	}
	for _, g := range goals {
		by := g.need(*d.plan.Freed)
		if by > 0 {
			d.plan.Missed = append(d.plan.Missed, Missed{g.name, g.wanted, by})
		}
		if by == 0 || d.policy.ThinAnyway {
			list = append(list, g)
		}
	}
	for i := range d.candidates(chain) {
		d.giveBack(i)
	}
	return list
}

// candidates yields the removable snapshots of a chain: never the last one of a group, which is the newest, and no
// fixed one.
func (d *draft) candidates(c *chain) iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, g := range d.groups {
			for i := c.first[g]; i >= 0 && c.next[i] >= 0; i = c.next[i] {
				if !d.fixed(&d.plan.Decisions[i]) && !yield(i) {
					return
				}
			}
		}
	}
}

// cheapest returns the removal with the least cost, the oldest of several equal ones.
func (d *draft) cheapest(c *chain, lacking Size) (best removal, ok bool) {
	lowest := math.Inf(1)
	for i := range d.candidates(c) {
		cost := c.cost(i)
		gain := d.alone(i)
		worth := part(gain.Bytes, lacking.Bytes) + part(gain.Inodes, lacking.Inodes)
		rate := math.MaxFloat64 // a snapshot that frees nothing alone goes last, the cheapest first
		if worth > 0 {
			rate = cost / worth
		}
		if rate < lowest || rate == lowest && worth == 0 && cost < best.cost {
			best, lowest, ok = removal{i, cost}, rate, true
		}
	}
	return best, ok
}

// part returns the part of the missing space that a gain covers, from 0 to 1.
func part(gain, lacking uint64) float64 {
	if lacking == 0 {
		return 0
	}
	return float64(min(gain, lacking)) / float64(lacking)
}

// sumUp sets the space that each removed snapshot frees.
func (d *draft) sumUp() {
	t := newTally(d.tally.space)
	for i := range d.plan.Decisions {
		s := &d.plan.Decisions[i]
		if s.Keep {
			continue
		}
		s.Freed = new(Size)
		if at := d.place[i]; at >= 0 {
			*s.Freed = t.remove(at)
		}
	}
}

// chain links the remaining snapshots that count for the rules, those of each group in the order of time.
type chain struct {
	groups     []*group // of each snapshot of a plan
	first      map[*group]int
	prev, next []int // of each snapshot of a plan; -1: none
	times      []time.Time
	now        time.Time
}

func (d *draft) newChain() *chain {
	n := len(d.plan.Decisions)
	c := &chain{groups: d.groupOf, first: make(map[*group]int), prev: make([]int, n), next: make([]int, n),
		times: make([]time.Time, n), now: d.now}
	last := make(map[*group]int)
	for _, g := range d.groups {
		c.first[g], last[g] = -1, -1
	}
	for i := range d.plan.Decisions {
		s := &d.plan.Decisions[i]
		c.times[i] = s.Time
		if !s.Keep || !d.counts(i) || d.inFuture(s) {
			continue
		}
		g := d.groupOf[i]
		c.prev[i], c.next[i] = last[g], -1
		if last[g] < 0 {
			c.first[g] = i
		} else {
			c.next[last[g]] = i
		}
		last[g] = i
	}
	return c
}

func (c *chain) unlink(i int) {
	if c.prev[i] < 0 {
		c.first[c.groups[i]] = c.next[i]
	} else {
		c.next[c.prev[i]] = c.next[i]
	}
	c.prev[c.next[i]] = c.prev[i]
}

// cost returns the cost of removing a snapshot that has a next one.
func (c *chain) cost(i int) float64 {
	if c.prev[i] < 0 {
		return 1
	}
	age := max(c.now.Sub(c.times[i]), time.Second)
	return float64(c.times[c.next[i]].Sub(c.times[c.prev[i]])) / float64(age)
}
