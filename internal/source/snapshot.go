package source

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"
	"time"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// Snapshot is a snapshot of an archive. Everything but contents comes from its catalog, whatever the file system of
// that archive could store; so does the hash of each content, and a content that the target has need not be read.
// Contents come from the stored files. The reader has to compare them with the catalog: see Stat.Known.
type Snapshot struct {
	catalog *index.Catalog
	root    int
	devices []uint64
}

// OpenSnapshot opens the snapshot of that name in the archive whose folder is open as archive, and takes over its
// catalog. The caller holds the snapshot until the source is closed.
func OpenSnapshot(archive int, name string, catalog *index.Catalog) (*Snapshot, error) {
	root, err := fsat.OpenDir(archive, name)
	if err != nil {
		return nil, errors.Join(&fs.PathError{Op: "open", Path: name, Err: err}, catalog.Close())
	}
	return &Snapshot{catalog, root, catalog.Devices()}, nil
}

// errNoEntry is the error for a missing name, as of a file system.
var errNoEntry error = syscall.ENOENT

// Summary returns the summary that the run of the snapshot wrote.
func (s *Snapshot) Summary() index.Summary { return s.catalog.Summary() }

// Close closes the source.
func (s *Snapshot) Close() error { return errors.Join(s.catalog.Close(), fsat.Close(s.root)) }

// Top opens the snapshot's own folder.
func (s *Snapshot) Top() (Folder, error) {
	return &snapshotFolder{of: s, entry: s.catalog.Root(), fd: fsat.NoDir}, nil
}

// Find describes an entry anywhere in the snapshot.
func (s *Snapshot) Find(dir, name string, st *Stat) error {
	e, ok, err := s.catalog.Lookup(path.Join(dir, name))
	if err == nil && !ok {
		err = errNoEntry
	}
	if err == nil {
		err = s.describe(&e, st)
	}
	return err
}

// Freshness is without limit: a snapshot never changes.
func (s *Snapshot) Freshness() time.Duration { return 0 }

// Failures returns nothing: the report of the snapshot's run has its failures.
func (s *Snapshot) Failures() []error { return nil }

// ofSource are the flags that concern the source and not the archive.
const ofSource = index.Racy | index.Torn | index.Unread | index.LinksCatalogOnly | index.Kept

// describe sets st to the description of an entry, and keeps the entry.
func (s *Snapshot) describe(e *index.Entry, st *Stat) error {
	if int(e.Dev) >= len(s.devices) {
		return fmt.Errorf("the catalog knows no file system %d: %w", e.Dev, index.ErrDamaged)
	}
	*st = Stat{
		Stat: fsat.Stat{
			Type: tree.KindOf(e.Type), Mode: e.Mode, UID: e.UID, GID: e.GID, Nlink: e.Nlink,
			Dev: s.devices[e.Dev], Mount: uint64(e.Dev), Ino: e.Ino, Size: int64(e.Size),
			Major: e.Major, Minor: e.Minor, Mtime: e.Mtime, Ctime: e.Ctime, Attrs: uint32(e.Attrs),
		},
		Flags: e.Flags & ofSource,
		AsOf:  e.AsOf,
		Known: e,
	}
	if e.Linked() {
		st.Part = e.Stored
	}
	return nil
}

// metadata reads the metadata of an entry beyond its Stat from the catalog.
func (s *Snapshot) metadata(e *index.Entry) (m Metadata) {
	m.Xattrs, m.Err = s.catalog.Xattrs(e.Xattrs)
	m.Attrs, m.Target = uint32(e.Attrs), e.Target
	return m
}
