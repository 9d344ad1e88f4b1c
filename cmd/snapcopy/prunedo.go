package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/prune"
)

// checkTripwires tells which runs have set off tripwires that nobody has acknowledged, and returns an error if there
// are any: then nothing may be removed.
func (a *app) checkTripwires(archive *archive.Archive) error {
	list, err := archive.Unacknowledged()
	if err != nil {
		return fmt.Errorf("look for tripwires: %w", err)
	}
	for i := range list {
		for _, what := range list[i].Tripwires {
			a.term.errorf("snapcopy: %s: %s", list[i].Snapshot, tripwireText(what, list[i].Source, &list[i].Coverage))
		}
	}
	if len(list) == 0 {
		return nil
	}
	a.term.errorf("snapcopy: nothing is removed, because the snapshots before that may be needed")
	a.term.errorf("Hint: `snapcopy acknowledge %s` says that all is well.", name(archive.Path))
	return told{statusTripwire}
}

// toPlan gathers what a plan has to know of snapshots. damaged tells that the catalogs of some are.
func (o *pruneOptions) toPlan(a *app, archive *archive.Archive, snapshots []archive.Snapshot) (list []prune.Snapshot,
	damaged bool, err error) {
	standings, err := archive.Standings()
	if err != nil {
		return nil, false, err
	}
	doubts := make(map[string]prune.Doubt)
	for i := range standings {
		doubts[standings[i].Snapshot.Name] = doubtAbout(&standings[i])
	}
	pins, err := archive.Pins()
	if err != nil {
		return nil, false, err
	}
	readers, err := archive.Readers()
	if err != nil {
		return nil, false, err
	}
	neededBy := make(map[string]string)
	for _, r := range readers {
		if r.Damage != nil {
			neededBy[r.Snapshot] = "needed, as a note says that cannot be read: " + name(r.Path)
			continue
		}
		neededBy[r.Snapshot] = "needed by " + name(cmp.Or(string(r.PlaceRaw), r.Place)) + " on " + name(r.Host)
	}
	var lines []snapshotLine
	for _, s := range snapshots {
		line, err := describe(s)
		if err != nil {
			return nil, false, err
		}
		lines = append(lines, line)
	}
	o.sources = newSources(lines)
	for i, s := range snapshots {
		line := lines[i]
		pin, pinned := pins[s.Name]
		p := prune.Snapshot{Name: s.Name, Time: s.Time, Pinned: pinned, Label: printable(pin.Label), Held: neededBy[s.Name],
			Doubt: doubts[s.Name], Group: o.groupBy.of(&line)}
		if p.Time.After(a.now().Add(prune.Slack)) && line.Time.Before(p.Time) { // made in quick succession
			p.Time = line.Time
		}
		switch line.State {
		case stateComplete, stateIncomplete:
			p.Complete = line.State == stateComplete
		default:
			p.Doubt, p.Held = prune.NotKnown, "what it holds is not known: "+stateText(&line)
			damaged = damaged || line.State == stateDamaged
		}
		list = append(list, p)
	}
	lost, err := a.tellLost(archive)
	return list, damaged || lost, err
}

// tellLost names the snapshots of which only a part is left: they are left as they are, and count for nothing.
func (a *app) tellLost(arch *archive.Archive) (any bool, err error) {
	for _, kind := range []struct {
		why  error
		list func() ([]string, error)
	}{{archive.ErrNoCatalog, arch.WithoutCatalog}, {archive.ErrNoFolder, arch.WithoutFolder}} {
		list, err := kind.list()
		if err != nil {
			return any, err
		}
		for _, n := range list {
			any = true
			a.term.errorf("snapcopy: %s: %s; it is left as it is, and counts for nothing. %s.", n, kind.why,
				remedy(kind.why, arch.Path, n))
		}
	}
	return any, nil
}

// doubtAbout says why a snapshot must not take the place of others, if it must not.
func doubtAbout(s *archive.Standing) prune.Doubt {
	switch {
	case len(s.Tripwires) > 0:
		return prune.LooksWrong
	case s.Hollow:
		return prune.LacksMost
	case s.Summary.Counts.Files == 0 && !s.Accepted:
		return prune.HoldsNoFile
	}
	return prune.NoDoubt
}

// settleRoom finishes what earlier removals have begun, and makes sure that it counts as free: otherwise snapshots would
// be thinned out for space that comes back anyway. A dry run only tells of it.
func (o *pruneOptions) settleRoom(ctx context.Context, a *app, archive *archive.Archive) error {
	if !o.dryRun {
		if err := a.finishEarlier(ctx, archive, o.removing(a), o.quiet); err != nil || !o.thins() {
			return err
		}
		return archive.Settle()
	}
	waiting, err := archive.Unfinished()
	if err != nil {
		return err
	}
	switch {
	case waiting && o.thins():
		a.term.errorf("Warning: the space of what was removed before is not given back yet. That comes first, and fewer " +
			"may have to go than is told.")
	case waiting && !o.quiet:
		a.term.errorf("Note: the space of what was removed before is not given back yet. That comes first.")
	}
	if !o.thins() {
		return nil
	}
	return archive.Settle()
}

// removing is how snapshots are removed.
func (o *pruneOptions) removing(a *app) archive.RemoveOptions {
	return archive.RemoveOptions{Threads: o.threads, BackgroundIO: o.background, Rate: o.rate,
		AllowLast: o.allowRemoveAll, CountIncomplete: o.countIncomplete, Progress: new(archive.Progress), Now: a.now}
}

// roomFor finds out what the snapshots hold, and what their file system has. If a catalog is damaged, that is not
// known: then it is nil, or an error if it is needed.
func (a *app) roomFor(ctx context.Context, archive *archive.Archive, list []archive.Snapshot, needed bool) (*prune.Room,
	error) {
	space, err := a.spaceOf(ctx, archive, list)
	switch {
	case (errors.Is(err, index.ErrDamaged) || errors.Is(err, index.ErrNewer)) && !needed:
		a.term.errorf("Warning: what removing snapshots frees is not known: %s", printable(err.Error()))
		return nil, nil
	case err != nil:
		return nil, err
	}
	for _, doubt := range doubts(archive, space) {
		a.term.errorf("Warning: %s", doubt)
	}
	fs, err := archive.FileSystem()
	if err != nil {
		return nil, err
	}
	return &prune.Room{Space: space, Total: prune.Size{Bytes: fs.Total, Inodes: fs.Inodes},
		Free: prune.Size{Bytes: fs.Free, Inodes: fs.FreeInodes}}, nil
}

// carryOut removes what the plan removes.
func (o *pruneOptions) carryOut(ctx context.Context, a *app, archive *archive.Archive, plan *prune.Plan) error {
	rm := removeOptions{quiet: o.quiet, json: o.json, brief: true}
	opt := o.removing(a)
	opt.Check = func() error { return a.checkTripwires(archive) } // a run may have ended since the plan was begun
	opt.Freed = a.freedBy(archive)
	return rm.remove(ctx, a, archive, plan.Removed(), opt)
}

// outcomeOf is the exit status of a plan that was told, and carried out if that was wanted.
func outcomeOf(plan *prune.Plan, damaged bool) error {
	switch {
	case damaged:
		return told{statusDamage}
	case len(plan.Missed) > 0:
		return told{statusNoSpace}
	}
	return nil
}
