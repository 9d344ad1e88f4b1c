package snapshot

import (
	"fmt"
	"slices"
	"time"
)

// Names are times, and sort by them; so the newest snapshot is the last one. That fails after a run whose clock was wrong:
// a snapshot from the future stays the last for years. Later runs are filed under their own time all the same, and what
// asks for the newest snapshot gets the one that was made last.

// clockSlack is how far ahead of the clock a snapshot may be without anybody worrying: small corrections by a time server.
const clockSlack = 2 * time.Minute

// inFuture reports a snapshot from the future: its name is, and not only because of many runs within few seconds, which
// get the next free seconds for their names.
func inFuture(s Snapshot, now time.Time) bool {
	until := now.Add(clockSlack)
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

// newestPast gives the position of the last snapshot that is not from the future; -1 if all are.
func newestPast(list []Snapshot, now time.Time) int {
	for i, s := range slices.Backward(list) {
		if !inFuture(s, now) {
			return i
		}
	}
	return -1
}

// newest gives the position of the snapshot that was made last; -1 if there is none. Only if the last one is from the future
// is there any doubt: then it is the one to which "latest" leads.
func (a *Archive) newest(list []Snapshot, now time.Time) int {
	last := len(list) - 1
	past := newestPast(list, now)
	if past == last {
		return last
	}
	target := a.latest()
	if i := slices.IndexFunc(list, func(s Snapshot) bool { return s.Name == target }); i >= 0 {
		return i
	}
	if past >= 0 {
		return past
	}
	return last
}

func reversed(list []Snapshot) []Snapshot {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// nameRun finds the name for a run. Where the second of its start is taken, it waits for the next free one, or, without
// Options.Wait, files it there.
func (r *run) nameRun(snapshots []Snapshot) error {
	past := newestPast(snapshots, r.report.Start)
	for _, s := range snapshots[past+1:] {
		r.report.InFuture = append(r.report.InFuture, s.Name)
	}
	if past < 0 && len(snapshots) > 1 && !r.opt.AllowClockBack { // then it is rather this clock that is wrong
		return fmt.Errorf("%w: it says %s, and the oldest of %d is %s", ErrClock, r.report.Start.Format(time.RFC3339),
			len(snapshots), snapshots[0].Name)
	}
	at := r.report.Start.Truncate(time.Second)
	if past >= 0 {
		next := snapshots[past].Time.Add(time.Second)
		if wait := next.Sub(r.report.Start); wait > 0 && wait <= clockSlack+time.Second && r.opt.Wait && !r.opt.DryRun {
			if err := pause(r.ctx, wait); err != nil {
				return err
			}
			r.report.Start = r.opt.now().UTC()
			at = r.report.Start.Truncate(time.Second)
		}
		if at.Before(next) {
			at = next
		}
	}
	r.report.Snapshot = NameAt(at)
	return r.avoidTaken()
}
