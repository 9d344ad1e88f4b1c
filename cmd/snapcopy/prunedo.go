package main

import (
	"errors"

	"snapcopy/internal/archive"
	"snapcopy/prune"
)

// tellFacts prints everything odd about the snapshots of an archive, before the plan.
func (a *app) tellFacts(arch *archive.Archive, f *prune.Facts) {
	a.tellTripwires(arch, f.Tripped)
	for _, lost := range []struct {
		why   error
		names []string
	}{{archive.ErrNoCatalog, f.WithoutCatalog}, {archive.ErrNoFolder, f.WithoutFolder}} {
		for _, n := range lost.names {
			a.term.errorf("snapcopy: %s: %s; it is left as it is, and counts for nothing. %s.", n, lost.why, remedy(lost.why, arch.Path, n))
		}
	}
	if f.NoRoom != nil {
		a.term.errorf("Warning: what removing snapshots frees is not known: %s", printable(f.NoRoom.Error()))
	}
	if f.Room != nil {
		for _, doubt := range doubts(arch, f.Room.Space) {
			a.term.errorf("Warning: %s", doubt)
		}
	}
}

// tellTripwires says that no snapshot is removed because of runs that look wrong.
func (a *app) tellTripwires(arch *archive.Archive, list []archive.Tripped) {
	for i := range list {
		for _, what := range list[i].Tripwires {
			a.term.errorf("snapcopy: %s: %s", list[i].Snapshot, tripwireText(what, list[i].Source, &list[i].Coverage))
		}
	}
	if len(list) > 0 {
		a.term.errorf("snapcopy: nothing is removed, because the snapshots before that may be needed")
		a.term.errorf("Hint: `snapcopy acknowledge %s` says that all is well.", name(arch.Path))
	}
}

// whyFrozen puts the error about runs that look wrong into words, unless tellFacts has already done so.
func (a *app) whyFrozen(arch *archive.Archive, f *prune.Facts, err error) error {
	var frozen *prune.FrozenError
	if !errors.As(err, &frozen) {
		return err
	}
	if len(f.Tripped) == 0 {
		a.tellTripwires(arch, frozen.Tripped)
	}
	return told{statusTripwire}
}

// tellUnfinished warns, in a dry run, of space that an earlier removal has not given back yet.
func (o *pruneOptions) tellUnfinished(a *app, f *prune.Facts) {
	switch {
	case !f.Unfinished:
	case o.thins():
		a.term.errorf("Warning: the space of what was removed before is not given back yet. That comes first, and fewer " +
			"may have to go than is told.")
	case !o.quiet:
		a.term.errorf("Note: the space of what was removed before is not given back yet. That comes first.")
	}
}

// removing returns the options for removing snapshots.
func (o *pruneOptions) removing(a *app) archive.RemoveOptions {
	return archive.RemoveOptions{Threads: o.threads, BackgroundIO: o.background, Rate: o.rate,
		AllowLast: o.allowRemoveAll, CountIncomplete: o.countIncomplete, Progress: new(archive.Progress), Now: a.now}
}

// outcomeOf returns the exit status of a plan that was printed, and carried out if wanted.
func outcomeOf(plan *prune.Plan, damaged bool) error {
	switch {
	case damaged:
		return told{statusDamage}
	case len(plan.Missed) > 0:
		return told{statusNoSpace}
	}
	return nil
}
