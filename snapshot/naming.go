package snapshot

import (
	"fmt"
	"time"

	"snapcopy/internal/archive"
)

// nameRun finds the name for a run. If a snapshot has the second of its start, it waits for the next free one, or,
// without Options.Wait, takes the next free one at once.
func (r *run) nameRun(snapshots []archive.Snapshot) error {
	if len(snapshots) == 0 {
		return r.avoidTaken()
	}
	past := archive.NewestPast(snapshots, r.report.Start)
	for _, s := range snapshots[past+1:] {
		r.report.InFuture = append(r.report.InFuture, s.Name)
	}
	if past < 0 && len(snapshots) > 1 && !r.opt.AllowClockBack { // then this clock is rather the wrong one
		return fmt.Errorf("%w: it says %s, and the oldest of %d is %s", ErrClock, r.report.Start.Format(time.RFC3339),
			len(snapshots), snapshots[0].Name)
	}
	at := r.report.Start.Truncate(time.Second)
	if past >= 0 {
		next := snapshots[past].Time.Add(time.Second)
		if wait := next.Sub(r.report.Start); wait > 0 && wait <= archive.ClockSlack+time.Second && r.opt.Wait && !r.opt.DryRun {
			if err := archive.Pause(r.ctx, wait); err != nil {
				return err
			}
			r.report.Start = r.opt.now().UTC()
			at = r.report.Start.Truncate(time.Second)
		}
		if at.Before(next) {
			at = next
		}
	}
	r.report.Snapshot = archive.NameAt(at)
	return r.avoidTaken()
}

// newestFirst orders the snapshots of the archive for the search for a previous one.
func (r *run) newestFirst(snapshots []archive.Snapshot) []archive.Snapshot {
	if r.origin != nil {
		return r.origin.newestFirst(snapshots)
	}
	return r.archive.NewestFirst(snapshots, r.report.Start)
}

// avoidTaken moves the name of the snapshot on to the next free one: a snapshot without its catalog keeps its name,
// and so does a catalog without its snapshot.
func (r *run) avoidTaken() error {
	for {
		t, _ := archive.ParseName(r.report.Snapshot)
		taken, err := r.archive.IsTaken(r.report.Snapshot)
		if err != nil || !taken {
			return err
		}
		r.report.Snapshot = archive.NameAt(t.Add(time.Second))
	}
}
