package archive

import (
	"slices"
	"time"
)

// Names are times and sort by time, so the last snapshot is the newest. That fails after a run whose clock was wrong:
// a snapshot from the future stays the last for years. Later runs are named by their own time all the same, and Newest
// returns the snapshot that was made last.

// ClockSlack is how far a snapshot's time may lie ahead of the clock without counting as in the future: time servers
// make small corrections.
const ClockSlack = 2 * time.Minute

// inFuture reports a snapshot from the future: its name is, and not only because of many runs within few seconds,
// which take the next free seconds as their names.
func inFuture(s Snapshot, now time.Time) bool {
	until := now.Add(ClockSlack)
	if !s.Time.After(until) {
		return false
	}
	c, err := s.OpenCatalog()
	if err != nil {
		return true // nothing speaks against the name
	}
	start := c.Summary().Start
	_ = c.Close() // only read
	return time.Unix(start.Sec, int64(start.Nsec)).After(until)
}

// NewestPast returns the position of the last snapshot that is not from the future; -1 if all are.
func NewestPast(list []Snapshot, now time.Time) int {
	for i, s := range slices.Backward(list) {
		if !inFuture(s, now) {
			return i
		}
	}
	return -1
}

// newest returns the position of the snapshot that was made last; -1 if there is none. If the last snapshot is from
// the future, that is the snapshot to which the link points.
func (l latestLink) newest(list []Snapshot, now time.Time) int {
	last := len(list) - 1
	past := NewestPast(list, now)
	if past == last {
		return last
	}
	target := l.target()
	if i := slices.IndexFunc(list, func(s Snapshot) bool { return s.Name == target }); i >= 0 {
		return i
	}
	if past >= 0 {
		return past
	}
	return last
}

// NewestFirst puts snapshots into the order in which a run looks for its previous snapshot: from the newest back to the
// oldest, and after those the snapshots from the future.
func (a *Archive) NewestFirst(list []Snapshot, now time.Time) []Snapshot {
	past := a.latest.newest(list, now) + 1
	order := slices.Concat(list[:past], list[past:])
	slices.Reverse(order[:past])
	slices.Reverse(order[past:])
	return order
}
