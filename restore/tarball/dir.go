package tarball

import (
	"errors"
	"fmt"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/lookup"
	"snapcopy/internal/outcome"
	"snapcopy/internal/pax"
	"snapcopy/internal/tree"
)

// dir is a folder of the snapshot being written. The top is the snapshot's root. If only some paths are selected, each
// has a base below the top: the folder of the snapshot that contains the path.
type dir struct {
	tree.Folder
	entry index.Entry // of a base: none
}

// The trees of the walk: the snapshot, and the tar archive, which consists only of paths, the names of its members.
const (
	stored = iota
	member
)

// member returns the member name of an entry of d.
func (d *dir) member(name string) string { return index.Join(d.ownMember(), name) }

// ownMember returns the member name of d itself.
func (d *dir) ownMember() string { return d.PathIn(member) }

// start opens the root of the snapshot.
func (t *run) start() error {
	t.top.entry = t.from.Catalog.Root()
	t.top.BeginTop("", ".")
	fd, err := fsat.OpenDir(t.snapshot, ".")
	if err != nil {
		return fmt.Errorf("open snapshot: %w", err)
	}
	t.top.Put(stored, fd, nil)
	t.dirs.Start(&t.top.Folder, tree.StoredRoot(t.snapshot), tree.Root{})
	return nil
}

// selection writes one selected path.
func (t *run) selection(s *lookup.Selected) error {
	base := new(dir)
	base.BeginBase(&t.top.Folder, s.Folder, "")
	_ = base.Open(stored) // an entry whose content is stored there reports the error
	if err := base.Enter(); err != nil {
		return err
	}
	err := t.entry(base, &s.Entry)
	return errors.Join(err, base.Leave())
}

// whole writes the snapshot. The root comes once more at the end: bsdtar sets the time of an existing folder at once,
// and extracting entries into the folder changes it again.
func (t *run) whole() error {
	root := t.top.entry
	rec, err := t.from.Catalog.ReadDir(root.Child)
	if err != nil {
		return err
	}
	if err := t.begin(t.top.ownMember(), &root, &pax.Header{Kind: pax.Folder}); err != nil {
		return t.failed(&t.top, &root, err)
	}
	if err := t.entries(&t.top, rec); err != nil {
		return err
	}
	if err := t.begin(t.top.ownMember(), &root, &pax.Header{Kind: pax.Folder}); err != nil {
		return t.failed(&t.top, &root, err)
	}
	return nil
}

// entry writes an entry with everything below it.
func (t *run) entry(d *dir, e *index.Entry) error {
	if err := t.ctx.Err(); err != nil {
		return t.failed(d, e, err)
	}
	if !t.opt.Exclude.Empty() {
		if _, out := t.opt.Exclude.Match(d.Child(e.Name), e.Type == index.Dir); out {
			t.report.Excluded++
			return nil
		}
	}
	if e.Type == index.Dir {
		return t.folder(d, e)
	}
	if err := d.Acquire(); err != nil {
		return err
	}
	err := t.leaf(d, e)
	t.opt.Progress.Files.Add(1)
	return errors.Join(err, d.Release())
}

// leaf writes an entry of an open folder, other than a folder.
func (t *run) leaf(d *dir, e *index.Entry) error {
	if e.Linked() {
		return t.linked(d, e)
	}
	if err := t.make(d, e); err != nil {
		return t.failed(d, e, err)
	}
	t.add(d, e, outcome.Restored)
	return nil
}

// folder writes a folder and everything in it.
func (t *run) folder(parent *dir, e *index.Entry) error {
	d, err := t.enter(parent, e)
	if err != nil {
		return err
	}
	rec, err := t.from.Catalog.ReadDir(e.Child)
	if err != nil {
		err = tree.CatalogError(err)
	} else {
		err = t.begin(d.ownMember(), &d.entry, &pax.Header{Kind: pax.Folder})
	}
	if err != nil {
		err = t.failed(parent, &d.entry, err)
	} else {
		t.add(parent, &d.entry, outcome.Restored)
		err = t.entries(d, rec)
	}
	return errors.Join(err, d.Leave())
}

// enter opens a folder. Afterwards only d is in use, so the depth of the tree does not matter.
func (t *run) enter(parent *dir, e *index.Entry) (d *dir, err error) {
	if err := parent.Acquire(); err != nil {
		return nil, err
	}
	d = &dir{entry: *e}
	d.entry.Name = strings.Clone(e.Name) // do not keep the record in memory for the name
	d.Begin(&parent.Folder, d.entry.Name)
	_ = d.Open(stored) // an entry whose content is stored there reports the error
	return d, errors.Join(d.Enter(), parent.Release())
}

// entries writes the entries of a folder.
func (t *run) entries(d *dir, rec *index.Record) error {
	var e index.Entry
	for cursor := rec.Cursor(); cursor.Next(&e); {
		if err := t.entry(d, &e); err != nil {
			return err
		}
	}
	return nil
}

// begin begins a member with the metadata of an entry.
func (t *run) begin(member string, e *index.Entry, h *pax.Header) error {
	set, err := t.xattrs.Get(t.from.Catalog, e.Xattrs)
	if err != nil {
		return err
	}
	h.Name = member
	h.Mode, h.UID, h.GID, h.Mtime = e.Mode, e.UID, e.GID, e.Mtime
	if h.Kind != pax.HardLink {
		h.Xattrs = set
	}
	err = t.out.Begin(h)
	if errors.Is(err, pax.ErrHeaderSize) && len(h.Xattrs) > 0 {
		h.Xattrs = nil
		if err = t.out.Begin(h); err == nil {
			t.report.XattrsCatalogOnly++
		}
	}
	return written(err)
}
