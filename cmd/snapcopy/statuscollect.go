package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/verified"
)

// archiveStatus is what the records of an archive say about it.
type archiveStatus struct {
	statusObject
	archive  *archive.Archive
	now      time.Time
	source   string // the only one to tell of; "": all
	lines    []snapshotLine
	findings []archive.Finding // faults of the archive's own notes
	damage   []verified.Damaged
	dates    *verified.Table
	unknown  []error // what could not be looked at; it does not hide the rest
}

// maxRunsShown is the number of runs that published nothing to name for each source.
const maxRunsShown = 10

// collect reads the records.
func (s *archiveStatus) collect(ctx context.Context) (err error) {
	s.Archive, s.Sources = s.archive.Path, []sourceStatus{}
	if s.lines, err = snapshotLines(s.archive); err != nil {
		return err
	}
	s.fail("which snapshots wait to be acknowledged", addSuspects(s.archive, s.lines))
	s.findings = s.archive.Findings()
	s.judge()
	if err := s.addLatest(); err != nil {
		return err
	}
	s.fail("which runs published nothing", s.addUnpublished())
	s.fail("which runs can be resumed", s.addResumable())
	s.dropMistyped()
	s.fail("when content was last read", s.addDates())
	s.fail("which damage is known", s.addDamage(ctx))
	s.fail("how much space is free", s.addSpace())
	return nil
}

func (s *archiveStatus) fail(what string, err error) {
	if err != nil {
		s.unknown = append(s.unknown, fmt.Errorf("%s is not known: %w", what, err))
	}
}

// judge lists the snapshots that wait to be acknowledged, and those that cannot be used.
func (s *archiveStatus) judge() {
	for i := range s.lines {
		l := &s.lines[i]
		switch {
		case len(l.Tripwires) > 0:
			s.Waiting = append(s.Waiting, waitingObject{l.Name, l.State, l.Source, l.Tripwires})
		case l.Counts == nil:
			s.Unusable = append(s.Unusable, unusableObject{l.Name, l.State, l.Error})
		}
	}
	s.Snapshots = len(s.lines)
}

// addLatest finds the latest snapshot of each source.
func (s *archiveStatus) addLatest() error {
	all, err := s.archive.Snapshots()
	if err != nil {
		return err
	}
	lines := make(map[string]*snapshotLine)
	for i := range s.lines {
		lines[s.lines[i].Name] = &s.lines[i]
	}
	seen := make(map[archive.SourceID]bool)
	for _, snapshot := range s.archive.NewestFirst(all, s.now) {
		l := lines[snapshot.Name]
		if l == nil || l.Counts == nil || s.source != "" && l.Source != s.source {
			continue
		}
		if id := (archive.SourceID{Host: l.Host, Path: l.Source}); !seen[id] {
			seen[id] = true
			s.Sources = append(s.Sources, s.latestOf(l))
		}
	}
	return nil
}

func (s *archiveStatus) latestOf(l *snapshotLine) sourceStatus {
	age := s.now.Sub(l.Time).Seconds()
	return sourceStatus{Source: l.Source, Host: l.Host, Snapshot: l.Name, Time: &l.Time, Age: &age,
		InFuture: l.Time.After(s.now.Add(archive.ClockSlack)), State: l.State, Incomplete: l.Incomplete, Failed: l.Counts.Failed,
		end: *l.End}
}

// addUnpublished finds the runs since the latest snapshot of their source that published nothing. A record does not have
// its host: it belongs to the source of that path with the newest snapshot.
func (s *archiveStatus) addUnpublished() error {
	names, err := s.archive.Reports.UnpublishedNames()
	if err != nil {
		return err
	}
	var failed error
	for _, run := range names {
		u, err := s.archive.Reports.ReadUnpublished(run)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil: // the others are told all the same
			failed = errors.Join(failed, err)
		case s.source == "" || u.Source == s.source:
			s.addRun(run, u)
		}
	}
	return failed
}

func (s *archiveStatus) addRun(run string, u *archive.Unpublished) {
	l := s.of(u.Source)
	if !u.Start.After(l.end) {
		return
	}
	l.RunCount++
	l.Runs = append(l.Runs, unpublishedObject{run, u.Start.UTC(), u.Outcome, u.Error})
	l.Runs = l.Runs[max(0, len(l.Runs)-maxRunsShown):]
}

// of returns the source of a path, with a new one if it has no snapshot.
func (s *archiveStatus) of(source string) *sourceStatus {
	for i := range s.Sources {
		if s.Sources[i].Source == source {
			return &s.Sources[i]
		}
	}
	s.Sources = append(s.Sources, sourceStatus{Source: source})
	return &s.Sources[len(s.Sources)-1]
}

func (s *archiveStatus) addResumable() error {
	list, err := s.archive.UnfinishedRuns()
	for i := range list {
		u := &list[i]
		if s.source == "" || u.Source == s.source {
			s.ofHost(u.Host, u.Source).Resumable = u
		}
	}
	return err
}

// ofHost is of for a source whose host is known.
func (s *archiveStatus) ofHost(host, source string) *sourceStatus {
	for i := range s.Sources {
		if l := &s.Sources[i]; l.Source == source && (l.Host == host || l.Host == "") {
			l.Host = host
			return l
		}
	}
	s.Sources = append(s.Sources, sourceStatus{Source: source, Host: host})
	return &s.Sources[len(s.Sources)-1]
}

// triedLately is the time for which a source that was tried without success is told of.
const triedLately = 30 * 24 * time.Hour

// dropMistyped drops sources without a snapshot of which no run was tried lately.
func (s *archiveStatus) dropMistyped() {
	if s.source != "" {
		return
	}
	s.Sources = slices.DeleteFunc(s.Sources, func(l sourceStatus) bool {
		return l.Time == nil && !l.triedSince(s.now.Add(-triedLately))
	})
}

// addDates finds out when stored files were last read. Those of snapshots since the last check have no date yet: none of
// them was read.
func (s *archiveStatus) addDates() (err error) {
	if s.dates, err = s.archive.Verified().Table(); err != nil {
		return err
	}
	if oldest, ok := s.dates.Oldest(); ok {
		s.Oldest = &oldest
		s.Dates = datesJSON(s.dates, s.now)
	}
	for i := range s.lines {
		l := &s.lines[i]
		if l.End == nil || s.dates.Updated != 0 && l.End.Unix() <= s.dates.Updated {
			continue
		}
		s.Unchecked++
		if s.Oldest == nil || l.Time.Before(*s.Oldest) {
			s.Oldest = &l.Time
		}
	}
	if s.Oldest != nil {
		oldest := s.Oldest.UTC()
		s.Oldest = &oldest
	}
	return nil
}

func (s *archiveStatus) addDamage(ctx context.Context) error {
	note, err := s.archive.Damage(ctx)
	if err != nil {
		return err
	}
	s.damage, s.DamageKnown = note.Damaged, uint64(len(note.Damaged))+note.More
	return nil
}

func (s *archiveStatus) addSpace() error {
	space, err := s.archive.FileSystem()
	if err != nil {
		return err
	}
	s.Free, s.Total = &space.Free, &space.Total
	s.FreeInodes, s.TotalInodes, s.ReadOnly = space.FreeInodes, space.Inodes, space.ReadOnly
	return nil
}
