package snapshot

import (
	"fmt"

	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/source"
)

// limits returns the limits of a run.
func (o *Options) limits() *archive.Limits {
	l := archive.DefaultLimits()
	if o.Limits != nil {
		l = *o.Limits
	}
	return &l
}

// lookAtPlace records the place of the source, which has to be a mount point if the run insists on that.
func (r *run) lookAtPlace(l *source.Local) error {
	at, err := l.Place()
	if fsat.IsRefused(err) && !r.opt.SourceIsMount {
		return nil // it cannot be compared
	}
	if err != nil {
		return fmt.Errorf("source %s: find its file system: %w", r.report.Source, err)
	}
	if r.opt.SourceIsMount && !at.MountPoint {
		return fmt.Errorf("source %s: %w", r.report.Source, ErrNotMountPoint)
	}
	r.report.Place = archive.NewPlace(at)
	return nil
}

// waiting returns the earlier snapshots of the source that wait to be acknowledged.
func (c *coverage) waiting(l *archive.Lineage, p *previous) (*archive.Waiting, error) {
	if p.other { // the source is new
		return nil, nil
	}
	baseline := ""
	if c.base != nil {
		baseline = c.base.Summary().Snapshot
	}
	return l.Waiting(baseline)
}

// drawTripwires draws the conclusions of the comparison with the base line. What waited and where the source was are, for
// a copy, those of the original run.
func (r *run) drawTripwires() {
	rep := r.report
	trial := archive.Trial{Coverage: rep.Baseline, Files: rep.Counts.Files, Limits: *rep.Limits, Waiting: rep.Waiting != nil}
	if r.origin == nil {
		rep.PlaceWas = r.coverage.place
	} else {
		trial.Waiting = r.origin.report != nil && r.origin.report.Waiting != nil
	}
	if rep.Baseline == nil && trial.Waiting && r.origin == nil { // the good snapshots are lost: this run is as doubtful
		rep.Tripwires = rep.Waiting.Tripwires
		return
	}
	change := archive.PlaceChange{Was: rep.PlaceWas, Is: rep.Place}
	rep.Tripwires = append(trial.Tripwires(), change.Tripwires()...)
}
