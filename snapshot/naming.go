package snapshot

import (
	"context"
	"fmt"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/workers"
)

// nameRun finds the name for a run, and puts it into its report. If a snapshot has the second of its start, it waits for
// the next free one, or, without Options.Wait, takes the next free one at once.
func nameRun(ctx context.Context, a *archive.Archive, snapshots []archive.Snapshot, rep *archive.Report, opt *Options) (
	err error) {
	at := rep.Start.Truncate(time.Second)
	past := archive.NewestPast(snapshots, rep.Start)
	for _, s := range snapshots[past+1:] {
		rep.InFuture = append(rep.InFuture, s.Name)
	}
	if past < 0 && len(snapshots) > 1 && !opt.AllowClockBack { // then this clock is rather the wrong one
		return fmt.Errorf("%w: it says %s, and the oldest of %d is %s", ErrClock, rep.Start.Format(time.RFC3339),
			len(snapshots), snapshots[0].Name)
	}
	if past >= 0 {
		next := snapshots[past].Time.Add(time.Second)
		if wait := next.Sub(rep.Start); wait > 0 && wait <= archive.ClockSlack+time.Second && opt.Wait && !opt.DryRun {
			if err := workers.Pause(ctx, wait); err != nil {
				return err
			}
			rep.Start = opt.now().UTC()
			at = rep.Start.Truncate(time.Second)
		}
		if at.Before(next) {
			at = next
		}
	}
	rep.Snapshot, err = nextFree(a, at)
	return err
}

// nextFree returns the first name from the given time on that is free: a snapshot without its catalog keeps its name,
// and so does a catalog without its snapshot.
func nextFree(a *archive.Archive, at time.Time) (string, error) {
	for {
		name := archive.NameAt(at)
		taken, err := a.IsTaken(name)
		if err != nil || !taken {
			return name, err
		}
		at = at.Add(time.Second)
	}
}
