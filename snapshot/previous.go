package snapshot

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// previous is the snapshot that the source is compared with, and whose stored files are linked. An unusable catalog
// costs time, never correctness: everything is then read again.
type previous struct {
	catalog *index.Catalog // nil: there is no previous snapshot
	name    string
	other   bool // it is of another source
	recheck recheck
	ignored tree.Fields // fields that mean nothing in the run's source: see tree.Unchanged
	gone    goneList

	mu       sync.Mutex
	unusable string // the first error of the catalog
}

// kinship says how well a snapshot suits as the previous one.
type kinship int

const (
	none kinship = iota
	otherSource
	samePath // on another host
	sameSource
)

func kinOf(s *index.Summary, l *archive.Lineage) kinship {
	switch {
	case l.Follows(s):
		return sameSource
	case s.Source == l.Source.Path:
		return samePath
	}
	return otherSource
}

// open opens the newest catalog of the source: of its host if there is one, or else of another host, which may have
// been the same under another name. If the archive has no snapshot of the source, the newest of all may still have some
// of its files under the same names, for example if the source was moved.
func (p *previous) open(l *archive.Lineage) error {
	best := none
	for _, s := range l.NewestFirst {
		c, err := s.OpenCatalog()
		switch {
		case errors.Is(err, index.ErrNewer):
			return fmt.Errorf("catalog of %s: %w", s.Name, err)
		case fsat.IsPassing(err): // with an older one, everything changed since then would look new
			return err
		case err != nil:
			if best == none {
				p.isUnusable(err)
			}
			continue
		}
		sum := c.Summary()
		is := kinOf(&sum, l)
		if is <= best {
			if err := c.Close(); err != nil {
				return err
			}
			continue
		}
		if err := p.close(); err != nil {
			return err
		}
		best, p.catalog, p.name = is, c, s.Name
		if is == sameSource {
			break
		}
	}
	if best == none {
		return nil
	}
	l.AnyHost = best == samePath
	p.other = best == otherSource
	return nil
}

func (p *previous) close() error {
	if p.catalog == nil {
		return nil
	}
	return p.catalog.Close()
}

// isUnusable records the first error of the catalog.
func (p *previous) isUnusable(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unusable == "" {
		p.unusable = err.Error()
	}
}

// readDir returns a folder's record; ok is false if the catalog cannot be read for it.
func (p *previous) readDir(at uint64) (rec *index.Record, ok bool) {
	rec, err := p.catalog.ReadDir(at)
	if err != nil {
		p.isUnusable(err)
	}
	return rec, err == nil
}

// xattrs returns a set of extended attributes; ok is false if the catalog cannot be read for it.
func (p *previous) xattrs(ref index.XattrRef) (set []fsat.Xattr, ok bool) {
	set, err := p.catalog.Xattrs(ref)
	if err != nil {
		p.isUnusable(err)
	}
	return set, err == nil
}

// unchanged reports whether an entry of the source is as the snapshot has it.
func (p *previous) unchanged(was *index.Entry, st *source.Stat) bool {
	return tree.Unchanged(was, &st.Stat, p.ignored)
}

// addUnlisted adds to a folder of which only a part could be listed the names that it has in the snapshot.
func (p *previous) addUnlisted(d *dir) {
	rec, ok := p.readDir(d.was.Child)
	if !ok {
		return
	}
	var all []fsat.DirEntry
	for old, name := range tree.Beside(rec, d.names) {
		if name != nil {
			all = append(all, *name)
		} else {
			all = append(all, fsat.DirEntry{Name: strings.Clone(old.Name), Type: tree.KindOf(old.Type)})
		}
		d.unlisted = append(d.unlisted, name == nil)
	}
	d.names = all
}

// pair puts the snapshot's entries into d.entries, by name, and records those that are gone.
func (p *previous) pair(d *dir) {
	if d.was.Type != index.Dir {
		return
	}
	rec, ok := p.readDir(d.was.Child)
	if !ok { // as if the folder were new: everything in it is read again
		d.was = index.Entry{}
		return
	}
	i := 0
	for old, name := range tree.Beside(rec, d.names) {
		if old != nil && name != nil {
			d.entries[i] = *old
			d.entries[i].Name, d.entries[i].Target = name.Name, strings.Clone(old.Target) // keep nothing of the record
		} else if old != nil && d.self.Flags&index.Unread == 0 {
			p.addGone(d, old)
		}
		if name != nil {
			i++
		}
	}
}
