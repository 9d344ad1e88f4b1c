package archive

import (
	"slices"
	"time"
)

// Names are times, and sort by them; so the newest snapshot is the last one. That fails after a run whose clock was wrong:
// a snapshot from the future stays the last for years. Later runs are filed under their own time all the same, and what
// asks for the newest snapshot gets the one that was made last.

// ClockSlack is how far ahead of the clock a snapshot may be without anybody worrying: small corrections by a time server.
const ClockSlack = 2 * time.Minute

// inFuture reports a snapshot from the future: its name is, and not only because of many runs within few seconds, which
// get the next free seconds for their names.
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

// NewestPast gives the position of the last snapshot that is not from the future; -1 if all are.
func NewestPast(list []Snapshot, now time.Time) int {
	for i, s := range slices.Backward(list) {
		if !inFuture(s, now) {
			return i
		}
	}
	return -1
}

// Newest gives the position of the snapshot that was made last; -1 if there is none. Only if the last one is from the future
// is there any doubt: then it is the one to which "latest" leads.
func (a *Archive) Newest(list []Snapshot, now time.Time) int {
	last := len(list) - 1
	past := NewestPast(list, now)
	if past == last {
		return last
	}
	target := a.Latest()
	if i := slices.IndexFunc(list, func(s Snapshot) bool { return s.Name == target }); i >= 0 {
		return i
	}
	if past >= 0 {
		return past
	}
	return last
}

func Reversed(list []Snapshot) []Snapshot {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}
