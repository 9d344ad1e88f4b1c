package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/zeebo/blake3"

	"snapcopy/index"
)

// Elsewhere is a name that stays although its file has the content of a forgotten one.
type Elsewhere struct {
	Path     string
	Snapshot string // the newest that has it
	Size     uint64
	Linked   bool // another name of the same stored file
}

// findElsewhere reports the names that stay with forgotten content: other paths in any snapshot, and the path itself
// in skipped snapshots. Empty files are not reported.
func (f *forgetting) findElsewhere(snapshots []Snapshot) error {
	if f.opt.Elsewhere == nil {
		return nil
	}
	s := search{forgetting: f, contents: make(map[index.Hash]bool), inodes: make(map[uint64]bool),
		seen: make(map[[16]byte]struct{})}
	for _, look := range []func(*index.Catalog, Snapshot) error{s.collect, s.find} {
		for _, snap := range slices.Backward(snapshots) {
			c, err := snap.OpenCatalog()
			if err == nil {
				err = errors.Join(look(c, snap), c.Close())
			}
			if err != nil {
				return fmt.Errorf("look for content in %s: %w", snap.Name, err)
			}
		}
		clear(s.seen)
	}
	return nil
}

// search reads catalogs, the newest first. A folder that is the same in an older snapshot is read once.
type search struct {
	*forgetting
	contents map[index.Hash]bool // contents to be forgotten
	inodes   map[uint64]bool
	seen     map[[16]byte]struct{} // versions of folders and files at their places
}

// first reports whether this version of the entry at a path is new to the search.
func (s *search) first(path string, version ...[]byte) bool {
	h := blake3.New()
	write := func(b []byte) { _, _ = h.Write(b) } // never fails
	write([]byte(path))
	write([]byte{0})
	for _, b := range version {
		write(b)
	}
	var key [16]byte
	copy(key[:], h.Sum(nil))
	_, met := s.seen[key]
	s.seen[key] = struct{}{}
	return !met
}

func (s *search) forgets(name string) bool {
	return slices.ContainsFunc(s.report.Forgotten, func(f ForgottenFrom) bool { return f.Snapshot == name })
}

// collect records the contents and stored files of a snapshot at the path to be forgotten.
func (s *search) collect(c *index.Catalog, snap Snapshot) error {
	if !s.forgets(snap.Name) {
		return nil
	}
	e, found, err := c.Lookup(s.report.Path)
	if err != nil || !found {
		return err
	}
	return s.walk(c, "", &e, func(_ string, e *index.Entry) error {
		s.contents[e.Hash] = true
		s.inodes[e.Stored] = true
		return nil
	}, "")
}

// find reports the other paths of a snapshot with one of these contents.
func (s *search) find(c *index.Catalog, snap Snapshot) error {
	without := ""
	if s.forgets(snap.Name) {
		without = s.report.Path
	}
	root := c.Root()
	return s.walk(c, "", &root, func(path string, e *index.Entry) error {
		if !s.contents[e.Hash] || !s.first(path, e.Hash[:]) {
			return nil
		}
		s.report.Elsewhere++
		return s.opt.Elsewhere(Elsewhere{Path: path, Snapshot: snap.Name, Size: e.Size, Linked: e.Stored != 0 && s.inodes[e.Stored]})
	}, without)
}

// walk calls fn for each file with content at a path and below it, except at and below the path without.
func (s *search) walk(c *index.Catalog, path string, e *index.Entry, fn func(string, *index.Entry) error, without string) error {
	if err := s.ctx.Err(); err != nil {
		return context.Cause(s.ctx)
	}
	if path != "" && path == without {
		return nil
	}
	switch {
	case e.Type == index.File && e.Size > 0:
		return fn(path, e)
	case e.Type != index.Dir || !s.first(path, e.Hash[:], e.Inodes[:]):
		return nil
	}
	rec, err := c.ReadDir(e.Child)
	if err != nil {
		return err
	}
	for _, child := range rec.Entries() {
		if err := s.walk(c, index.Join(path, child.Name), child, fn, without); err != nil {
			return err
		}
	}
	return nil
}
