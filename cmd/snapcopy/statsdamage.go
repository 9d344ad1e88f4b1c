package main

import (
	"errors"
	"fmt"
	"slices"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/verified"
)

var mayLeaveOutDamaged = status{statusDamage, "done, but snapshots with a lost or damaged catalog are left out; they are listed"}

// soundStats are the snapshots of an archive without those whose catalog is lost or damaged.
type soundStats struct {
	archive *archive.Archive
	all     []archive.Snapshot
	chosen  []int // positions in all
	leftOut []leftOutSnapshot
}

type leftOutSnapshot struct {
	name string
	why  error
}

// leaveOutLost records snapshots whose catalog is lost: they are not in all.
func (s *soundStats) leaveOutLost() error {
	lost, err := s.archive.WithoutCatalog()
	for _, name := range lost {
		s.leftOut = append(s.leftOut, leftOutSnapshot{name, archive.ErrNoCatalog})
	}
	return err
}

// leaveOutKnown leaves out snapshots in whose catalog an earlier check has found damage: the figures come from a part of it
// alone, which may be sound. A snapshot that was named must not be left out.
func (s *soundStats) leaveOutKnown() error {
	note, err := s.archive.Verified().Damage()
	if err != nil {
		return err
	}
	for i := range note.Damaged {
		d := &note.Damaged[i]
		if d.Kind != verified.Records {
			continue
		}
		for _, of := range d.Names {
			at := slices.IndexFunc(s.all, func(snap archive.Snapshot) bool { return snap.Name == of.Snapshot })
			if at < 0 {
				continue
			}
			known := fmt.Errorf("%w according to an earlier check: %s", index.ErrDamaged, d.Found)
			if slices.Contains(s.chosen, at) {
				return fmt.Errorf("snapshot %s: %w", of.Snapshot, known)
			}
			s.leaveOut(at, known)
		}
	}
	return nil
}

// leaveOut leaves out the snapshot at a position in all.
func (s *soundStats) leaveOut(at int, why error) {
	s.leftOut = append(s.leftOut, leftOutSnapshot{s.all[at].Name, why})
	s.all = slices.Delete(slices.Clone(s.all), at, at+1)
	for i := range s.chosen {
		if s.chosen[i] > at {
			s.chosen[i]--
		}
	}
}

// measure calls do with the snapshots, and again without one whose catalog turns out to be damaged, at the beginning or deep
// inside. A snapshot that was named must not be left out.
func (s *soundStats) measure(do func(all []archive.Snapshot, chosen []int) error) error {
	for {
		err := do(s.all, s.chosen)
		var damage *index.DamageError
		if !errors.As(err, &damage) {
			return err
		}
		at := slices.IndexFunc(s.all, func(snap archive.Snapshot) bool { return snap.CatalogPath == damage.Path })
		if at < 0 || slices.Contains(s.chosen, at) {
			return err
		}
		s.leaveOut(at, damage)
	}
}

// tell names the snapshots left out.
func (s *soundStats) tell(a *app, json bool) error {
	if len(s.leftOut) == 0 {
		return nil
	}
	for _, left := range s.leftOut {
		what := remedy(left.why, s.archive.Path, left.name)
		if json {
			if err := a.printJSON("finding", findingObject{left.name, "", left.why.Error(), what}); err != nil {
				return err
			}
			continue
		}
		a.term.errorf("snapcopy: snapshot %s is not included: %s. %s.", left.name, printable(left.why.Error()), what)
	}
	if !json {
		a.term.errorf("Note: what removing other snapshots of %s would free may be less than shown: they share files with "+
			"those that are not included.", name(s.archive.Path))
	}
	return told{statusDamage}
}
