package main

import (
	"context"
	"errors"
	"fmt"

	"snapcopy/internal/fsat"
	"snapcopy/prune"
	"snapcopy/snapshot"
)

// toPlan gathers what a plan has to know of the snapshots of an archive. damaged tells that the catalogs of some are.
func (a *app) toPlan(archive *snapshot.Archive) (list []prune.Snapshot, damaged bool, err error) {
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
		neededBy[r.Snapshot] = "needed by " + name(string(r.PlaceRaw)) + " on " + name(r.Host)
	}
	snapshots, err := archive.Snapshots()
	if err != nil {
		return nil, false, err
	}
	for _, s := range snapshots {
		pin, pinned := pins[s.Name]
		p := prune.Snapshot{Name: s.Name, Time: s.Time, Pinned: pinned, Label: printable(pin.Label), Held: neededBy[s.Name]}
		line, err := describe(s)
		if err != nil {
			return nil, false, err
		}
		switch line.State {
		case stateComplete, stateIncomplete:
			p.Complete = line.State == stateComplete
		default:
			p.Held = "what it holds is not known: " + stateText(&line)
			damaged = damaged || line.State == stateDamaged
		}
		list = append(list, p)
	}
	lost, err := archive.WithoutCatalog()
	for _, n := range lost {
		a.term.errorf("snapcopy: %s: its catalog is lost; it is left as it is, and counts for nothing", n)
	}
	return list, damaged || len(lost) > 0, err
}

// roomOf completes what the snapshots hold with what their file system has. Without the one there is no use for the
// other.
func roomOf(archive *snapshot.Archive, space *prune.Space) (room *prune.Room, err error) {
	if space == nil {
		return nil, nil
	}
	root, err := fsat.OpenRoot(archive.Path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", archive.Path, err)
	}
	defer func() { err = errors.Join(err, fsat.Close(root)) }()
	fs, err := fsat.FileSystem(root)
	if err != nil {
		return nil, fmt.Errorf("statfs %s: %w", archive.Path, err)
	}
	return &prune.Room{Space: space, Total: prune.Size{Bytes: fs.Total, Inodes: fs.Inodes},
		Free: prune.Size{Bytes: fs.Free, Inodes: fs.FreeInodes}}, nil
}

// errCannotRemove is returned where a plan would have to be carried out.
var errCannotRemove = errors.New("this version removes no snapshots: use --dry-run")

// carryOut removes what the plan removes.
func carryOut(_ context.Context, _ *snapshot.Archive, _ *prune.Plan) error { return errCannotRemove }

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
