package prune

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"time"
)

// Missed is a goal of thinning out that is not reached.
type Missed struct {
	Goal   string // "keep-free", "keep-free-inodes" or "max-size"
	Wanted uint64 // bytes or inodes
	By     uint64 // what would be lacking if all went that may
}

// goal is what a policy wants of space.
type goal struct {
	name   string
	wanted uint64
	inodes bool
	need   func(freed Size) uint64 // what is lacking yet
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

// excess is how much more a is than b.
func excess(a, b uint64) uint64 { return a - min(a, b) }

// need is what a set of goals lacks yet: the most that one of them does.
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

// weigh connects the snapshots with what they hold, and takes away what the rules remove.
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

// alone is what goes with a snapshot that is there.
func (d *draft) alone(i int) Size {
	if at := d.place[i]; at >= 0 {
		return d.tally.alone[at]
	}
	return Size{}
}

// thinOut removes, until the goals are reached, the snapshot whose removal costs the least history for the space that
// it gives; then it takes back what turned out not to be needed, the costliest first.
//
// The cost of a snapshot is the gap that it leaves between the snapshots before and after it, divided by its age: old
// history is thinned out before recent history. The oldest one counts as if it left a gap of all its age, so that it
// goes when what is left lies far apart. Space beyond a goal counts nothing.
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
		s.Keep, s.Reasons = false, []Reason{{Kind: Thinned, Text: reasonTexts(s.Reasons)}}
	}
}

// removal is the removal of one snapshot, and what it costs.
type removal struct {
	of   int
	cost float64
}

// reachable gives the goals to thin out for, and notes those that would not be reached if all went that may.
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

// candidates are the snapshots of a chain that may go: never the last one of a group, which is the newest, and nothing
// that is fixed.
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

// cheapest finds what to remove next, the oldest of several that are equal.
func (d *draft) cheapest(c *chain, lacking Size) (best removal, ok bool) {
	lowest := math.Inf(1)
	for i := range d.candidates(c) {
		cost := c.cost(i)
		gain := d.alone(i)
		worth := part(gain.Bytes, lacking.Bytes) + part(gain.Inodes, lacking.Inodes)
		rate := math.MaxFloat64 // what gives nothing by itself goes last, the cheapest of it first
		if worth > 0 {
			rate = cost / worth
		}
		if rate < lowest || rate == lowest && worth == 0 && cost < best.cost {
			best, lowest, ok = removal{i, cost}, rate, true
		}
	}
	return best, ok
}

// part is how much of what is lacking a gain covers, from 0 to 1.
func part(gain, lacking uint64) float64 {
	if lacking == 0 {
		return 0
	}
	return float64(min(gain, lacking)) / float64(lacking)
}

// sumUp gives each removed snapshot its part of what the plan frees.
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

// chain is the snapshots that count and are kept, those of each group in the order of time.
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

// cost is that of removing a snapshot which has a next one.
func (c *chain) cost(i int) float64 {
	if c.prev[i] < 0 {
		return 1
	}
	age := max(c.now.Sub(c.times[i]), time.Second)
	return float64(c.times[c.next[i]].Sub(c.times[c.prev[i]])) / float64(age)
}
