package source

import (
	"cmp"
	"errors"
	"io/fs"
	"math"

	"snapcopy/index"
	"snapcopy/internal/filter"
	"snapcopy/internal/fsat"
)

// A Carrier gives access to the folders of the previous snapshot of a live source, for entries that cannot be read now:
// they are carried along as that snapshot has them. Each is described as an entry of a copied snapshot is, and flagged as
// index.Kept.
type Carrier struct {
	from   Snapshot
	name   string
	filter *filter.Filter
}

// OpenCarrier opens the folder of the snapshot of that name in the archive whose folder is open as archive. The catalog
// stays the caller's. Entries that the filter leaves out now are not carried along.
func OpenCarrier(archive int, name string, catalog *index.Catalog, f *filter.Filter) (*Carrier, error) {
	root, err := fsat.OpenDir(archive, name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &Carrier{Snapshot{catalog, root, catalog.Devices()}, name, f}, nil
}

// Close closes the carrier. A nil Carrier was never opened.
func (c *Carrier) Close() error {
	if c == nil {
		return nil
	}
	return fsat.Close(c.from.root)
}

// Place is a folder of the live source, with its entry in the previous snapshot: what is on the same file system there is
// taken to be on the same one here.
type Place struct {
	Path string // below the source
	Was  *index.Entry
	Now  *Stat
}

// Folder returns the snapshot's folder at a place, or that of the given entry below it, if it is not nil.
func (c *Carrier) Folder(at Place, below *index.Entry) Folder {
	s := &snapshotFolder{of: &c.from, entry: *at.Was, fd: fsat.NoDir}
	s.carriage = &carriage{by: c, path: at.Path, number: at.Was.Dev, dev: at.Now.Dev, mount: at.Now.Mount}
	if below == nil {
		return s
	}
	return &snapshotFolder{of: s.of, parent: s, entry: *below, carriage: s.carriage, fd: fsat.NoDir}
}

// carriage is what the folders have in common that are carried along from one place.
type carriage struct {
	by         *Carrier
	path       string
	number     uint32 // of the file system of the place in the catalog
	dev, mount uint64 // its present numbers
}

func (c *carriage) at() string {
	if c == nil {
		return ""
	}
	return c.path
}

// mark flags an entry as carried along.
func (c *carriage) mark(e *index.Entry, st *Stat) {
	if c == nil {
		return
	}
	st.Flags |= index.Kept | e.Flags&index.Rotten
	st.AsOf = cmp.Or(e.AsOf, c.by.name)
	if e.Type == index.Dir {
		st.Flags |= index.Unread // whatever has come since is missing
	}
	if e.Linked() && st.Part == 0 {
		st.Part = math.MaxUint64 // apart from the names that the source's own folders have
	}
	st.AttrsTold |= fsat.NoDump
	if e.Dev == c.number {
		st.Dev, st.Mount = c.dev, c.mount
	} else {
		st.Mount = 1<<63 | uint64(e.Dev) // no number of a present mount
	}
}

// leaveOut asks the filter whether it leaves out an entry that was not left out before.
func (c *carriage) leaveOut(f *snapshotFolder, name string, st *Stat) (Reason, error) {
	if !c.by.filter.ByState() {
		return Reason{}, nil
	}
	if name != "" {
		rule, err := c.by.filter.File(fsat.NoDir, name, &st.Stat)
		return Reason{rule, rule != ""}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.openFolder(); err != nil {
		return Reason{}, errors.New("open its stored folder: " + err.Error())
	}
	rule, err := c.by.filter.Dir(f.fd, &st.Stat)
	return Reason{rule, rule != ""}, err
}
