package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// Standing is how far a snapshot can be relied on: as the base line of later runs, and as a replacement of older
// snapshots.
type Standing struct {
	Snapshot Snapshot
	Summary  index.Summary
	// Tripwires are those of its run that nobody has acknowledged.
	Tripwires []Tripwire
	Coverage  Coverage // zero: there was nothing to compare with
	Place     *Place   // of the source; nil: not recorded
	PlaceWas  *Place   // as its run had it from the base line
	// Hollow says that it lacks most entries of its base line, and that nobody has acknowledged this.
	Hollow bool

	// Accepted says that its run has set off tripwires, and that a person has acknowledged them.
	Accepted bool

	measured bool // by its own run, against a base line
}

// Source returns the source of the snapshot.
func (s *Standing) Source() SourceID { return SourceID{s.Summary.Host, s.Summary.Source} }

// SourceID identifies a source among those of an archive.
type SourceID struct {
	Host string
	Path string // absolute
}

// isGood reports whether s can replace older snapshots: it does not look wrong, and it is complete, or may be
// incomplete.
func (s *Standing) isGood(countIncomplete bool) bool {
	return (!s.Summary.Incomplete || countIncomplete) && len(s.Tripwires) == 0 && !s.Hollow
}

// isBaseline reports whether later runs can be measured against s: it is complete, or accepted by a person, or lacks
// only entries that earlier runs could not read either.
func (s *Standing) isBaseline() bool {
	switch {
	case len(s.Tripwires) > 0:
		return false
	case s.Summary.Counts.Files == 0 && !s.Accepted: // nothing could be missed
		return false
	case s.Accepted || !s.Summary.Incomplete:
		return true
	}
	return s.measured && s.Coverage.Unread == 0 || s.Summary.Previous == ""
}

// A Judge tells the standing of snapshots, from their catalogs and reports, and the note of those acknowledged at the
// time when it was made.
type Judge struct {
	meta         *Meta
	acknowledged acknowledged
}

// Judge returns a Judge for the archive's snapshots.
func (a *Archive) Judge() (j Judge, err error) {
	j.meta = a.Meta
	j.acknowledged, err = readAcknowledged(a.Meta)
	if couldNotLook(err) {
		return j, err
	}
	return j, nil // Findings reports a damaged note, which counts as empty
}

// Standings returns the standing of each snapshot, in the order of their names. It leaves out snapshots whose catalog
// is damaged or newer than this program.
func (a *Archive) Standings() (list []Standing, err error) {
	judge, err := a.Judge()
	if err != nil {
		return nil, err
	}
	snapshots, err := a.Snapshots()
	if err != nil {
		return nil, err
	}
	for _, s := range snapshots {
		st, ok, err := judge.standing(s)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, st)
		}
	}
	return list, nil
}

// standing judges one snapshot; ok is false if its catalog is unusable, or it has been removed meanwhile.
func (j *Judge) standing(s Snapshot) (st Standing, ok bool, err error) {
	c, err := s.OpenCatalog()
	switch {
	case errors.Is(err, index.ErrDamaged), errors.Is(err, index.ErrNewer), errors.Is(err, fs.ErrNotExist), fsat.IsBadDisk(err):
		return st, false, nil
	case err != nil:
		return st, false, fmt.Errorf("snapshot %s: %w", s.Name, err)
	}
	st = Standing{Snapshot: s, Summary: c.Summary()}
	if err := c.Close(); err != nil {
		return st, false, err
	}
	v, known, err := Reports{j.meta}.verdictOn(s.Name)
	if err != nil {
		return st, false, fmt.Errorf("snapshot %s: %w", s.Name, err)
	}
	st.Place, st.PlaceWas = v.Place, v.PlaceWas
	st.measured = v.Baseline != nil
	cover := v.Baseline
	if cover == nil {
		if cover, err = j.coverageAfterwards(&st.Summary, &v, known); err != nil {
			return st, false, err
		}
	}
	wires := v.Tripwires
	trial := Trial{Coverage: cover, Files: st.Summary.Counts.Files, Limits: Reports{j.meta}.limitsOf(&v, st.Summary.Previous)}
	if len(wires) == 0 && !st.measured {
		wires = trial.Tripwires()
	}
	if cover != nil {
		st.Coverage = *cover
	}
	isAcknowledged := j.acknowledged.covers(&st.Summary)
	st.Hollow = trial.hollow() && !isAcknowledged
	switch {
	case len(wires) == 0:
	case isAcknowledged:
		st.Accepted = true
	default:
		st.Tripwires = wires
	}
	return st, true, nil
}

// coverageAfterwards compares a snapshot with its base line although its report does not; nil if its run had none. known
// says that there is a report, of which v is the verdict.
func (j *Judge) coverageAfterwards(s *index.Summary, v *verdict, known bool) (*Coverage, error) {
	switch {
	case known && v.Limits != nil && len(v.Unfinished) == 0:
		return nil, nil
	case known:
		return coverageFromCounts(s), nil
	}
	return coverageFromCatalogs(j.meta, s)
}

// Lineage finds the snapshots to compare a run with, for its source.
type Lineage struct {
	Judge       Judge
	NewestFirst []Snapshot
	Source      SourceID
	AnyHost     bool // no snapshot is of the source's host, whose name may have changed
}

// Follows reports whether a snapshot is of the same source.
func (l *Lineage) Follows(s *index.Summary) bool {
	return s.Source == l.Source.Path && (l.AnyHost || s.Host == l.Source.Host)
}

// Baseline finds the last good snapshot of the source: of its host if there is one, or else of another host, which may
// have been the same under another name. If none is good, it is the one with the most files: some files of a source
// may never be readable. ok is false if the source has no snapshot.
func (l *Lineage) Baseline() (best Standing, ok bool, err error) {
	most := uint64(0)
	var elsewhere Standing
	for _, s := range l.NewestFirst {
		st, usable, err := l.Judge.standing(s)
		if err != nil {
			return best, false, err
		}
		if !usable || st.Summary.Source != l.Source.Path {
			continue
		}
		if !l.Follows(&st.Summary) {
			if elsewhere.Snapshot.Name == "" && st.isBaseline() {
				elsewhere = st
			}
			continue
		}
		if st.isBaseline() {
			return st, true, nil
		}
		if files := st.Summary.Counts.Files; len(st.Tripwires) == 0 && files > most {
			best, ok, most = st, true, files
		}
	}
	if elsewhere.Snapshot.Name != "" {
		return elsewhere, true, nil
	}
	return best, ok, nil
}

// Around looks in the archive for sources of the same host above and below a new source. If the newest snapshot of a
// folder above has entries of this source, inside compares the run with that snapshot: the run covers only a part of
// it. contains names a source below this one.
func (l *Lineage) Around() (inside *Coverage, contains string, err error) {
	seen := make(map[string]bool)
	for _, s := range l.NewestFirst {
		c, err := s.OpenCatalog()
		if err != nil {
			continue // it is told of elsewhere
		}
		sum := c.Summary()
		if sum.Host == l.Source.Host && sum.Source != l.Source.Path && !seen[sum.Source] {
			seen[sum.Source] = true
			if below, ok := pathBelow(sum.Source, l.Source.Path); ok && inside == nil {
				inside, err = insideOf(c, below)
			}
			if _, ok := pathBelow(l.Source.Path, sum.Source); ok && contains == "" {
				contains = sum.Source
			}
		}
		if err = errors.Join(err, c.Close()); err != nil {
			return nil, "", fmt.Errorf("snapshot %s: %w", s.Name, err)
		}
	}
	return inside, contains, nil
}

// insideOf compares the part at path of a snapshot with all of it; nil if the snapshot has nothing there.
func insideOf(c *index.Catalog, path string) (*Coverage, error) {
	e, ok, err := c.Lookup(path)
	if errors.Is(err, index.ErrDamaged) {
		return nil, nil
	}
	if err != nil || !ok || e.Type != index.Dir || e.Below.Files == 0 {
		return nil, err
	}
	s := c.Summary()
	return &Coverage{Snapshot: s.Snapshot, Source: s.Source, Files: s.Counts.Files,
		LeftOut: s.Counts.Files - min(s.Counts.Files, e.Below.Files)}, nil
}

// pathBelow returns an absolute path relative to another one; ok is false if it does not lie there.
func pathBelow(above, below string) (string, bool) {
	sep := string(os.PathSeparator)
	rest, ok := strings.CutPrefix(below, strings.TrimSuffix(above, sep)+sep)
	return path.Clean(strings.ReplaceAll(rest, sep, "/")), ok && rest != ""
}
