package snapshot

import (
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
)

// comparePrevious opens the snapshots to compare with: the previous one, whose files are linked, and the base line, by
// which the run is judged. Both are of the same source; an archive can have several sources.
func (r *run) comparePrevious(newestFirst []archive.Snapshot) error {
	l := archive.Lineage{NewestFirst: newestFirst, Source: archive.SourceID{Host: r.host, Path: r.report.Source}}
	if err := r.openPreviousOf(&l); err != nil {
		return err
	}
	var err error
	if l.Judge, err = r.archive.Judge(); err != nil {
		return err
	}
	if r.report.OtherSource == "" {
		ok, err := r.openBaseline(&l)
		if ok || err != nil {
			return err
		}
	}
	r.inside, r.report.Contains, err = l.Around()
	return err
}

// openPreviousOf opens the newest catalog of the source: of its host if there is one, or else of another host, which
// may have been the same under another name. If the archive has no snapshot of the source, the newest of all may still
// have some of its files under the same names, for example if the source was moved. An unusable catalog costs time,
// never correctness: everything is then read again.
func (r *run) openPreviousOf(l *archive.Lineage) error {
	const (
		other = iota + 1
		samePath
		same
	)
	rank := 0
	for _, s := range l.NewestFirst {
		c, err := s.OpenCatalog()
		if errors.Is(err, index.ErrNewer) {
			return fmt.Errorf("catalog of %s: %w", s.Name, err)
		}
		if fsat.IsPassing(err) { // with an older one, everything changed since then would look new
			return err
		}
		if err != nil {
			if rank == 0 {
				r.tally.previousUnusable(err)
			}
			continue
		}
		sum := c.Summary()
		is := other
		switch {
		case l.Follows(&sum):
			is = same
		case sum.Source == l.Source.Path:
			is = samePath
		}
		if is <= rank {
			if err := c.Close(); err != nil {
				return err
			}
			continue
		}
		if r.previous != nil {
			if err := r.previous.Close(); err != nil {
				return err
			}
		}
		rank, r.previous, r.prevName = is, c, s.Name
		if is == same {
			break
		}
	}
	if rank == 0 {
		return nil
	}
	sum := r.previous.Summary()
	r.report.Previous, l.AnyHost = r.prevName, rank == samePath
	if rank == other {
		r.report.OtherSource, r.gone.off, r.tally.allNew = sum.Source, true, true
	}
	r.caps.restat = sum.Anchor != r.archive.Anchor()
	r.beginRecheck()
	r.opt.Progress.ExpectFiles.Store(sum.Counts.Files)
	r.opt.Progress.ExpectAll.Store(sum.Counts.BytesTotal)
	return nil
}

// openBaseline opens the catalog of the base line, if there is one.
func (r *run) openBaseline(l *archive.Lineage) (ok bool, err error) {
	s, ok, err := l.Baseline()
	if err != nil || !ok {
		return false, err
	}
	c := &r.coverage
	if s.Name == r.prevName {
		c.base, c.same = r.previous, true
		return true, nil
	}
	if c.base, err = s.OpenCatalog(); err != nil {
		return false, fmt.Errorf("catalog of %s: %w", s.Name, err)
	}
	return true, nil
}
