package index

import (
	"context"
	"errors"
	"fmt"

	"snapcopy/internal/pair"
)

// Rebuild makes the index at path anew from the catalogs at the given paths, the newest first. It lists every stored
// file once, with its location in the newest snapshot that contains it. Temporary files go into tmpdir. If catalogs
// cannot be read, the error is the errors.Join of one error for each of them, and path is not touched.
func Rebuild(ctx context.Context, catalogs []string, tmpdir, path string) (err error) {
	b := NewBuilder(tmpdir)
	defer func() {
		if closeErr := b.Close(); closeErr != nil {
			err = errors.Join(err, closeErr)
		}
	}()
	names, err := b.addCatalogs(ctx, catalogs)
	if err != nil {
		return err
	}
	return b.merge(ctx, nil, names, -1, path)
}

// addCatalogs adds the stored files of the catalogs and returns the names of their snapshots, in the same order.
func (b *Builder) addCatalogs(ctx context.Context, paths []string) (names []string, err error) {
	var bad []error
	var newer *Catalog // the last good one
	defer func() {
		if newer == nil {
			return
		}
		if closeErr := newer.Close(); closeErr != nil {
			err = errors.Join(err, closeErr)
		}
	}()
	for i, path := range paths {
		c, err := b.addCatalog(ctx, path, newer, uint32(i))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			bad = append(bad, err)
			continue
		}
		names = append(names, c.Summary().Snapshot)
		if newer != nil {
			bad = append(bad, newer.Close())
		}
		newer = c
	}
	return names, errors.Join(bad...)
}

// addCatalog adds the stored files of a catalog and returns it open.
func (b *Builder) addCatalog(ctx context.Context, path string, newer *Catalog, number uint32) (*Catalog, error) {
	c, err := Open(path)
	if err != nil {
		return nil, err
	}
	r := rebuild{ctx: ctx, b: b, c: c, newer: newer, number: number}
	if err := r.start(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// rebuild adds those stored files of the catalog c that newer, the catalog handled before it, does not have under the
// same path. Neighbouring snapshots share most files, and sorting those again would take a temporary file as large as
// all catalogs together.
type rebuild struct {
	ctx    context.Context
	b      *Builder
	c      *Catalog
	newer  *Catalog
	number uint32
}

func (r *rebuild) start() error {
	if name := r.c.Summary().Snapshot; !validName(name) {
		return r.c.damaged(r.c.end, fmt.Errorf("snapshot %q: %w", name, errName))
	}
	var newer uint64
	if r.newer != nil {
		newer = r.newer.Root().Child
	}
	return r.dir(r.c.Root().Child, newer)
}

// dir adds the directory at pos; newer is the position of the directory with the same path in the newer catalog, or 0.
func (r *rebuild) dir(pos, newer uint64) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	rec, err := r.c.ReadDir(pos)
	if err != nil {
		return err
	}
	var others *Record
	if newer != 0 {
		if others, err = r.newer.ReadDir(newer); err != nil {
			return err
		}
	}
	i := -1
	for e, other := range pair.Lists(rec.Pull(), others.Pull(), CompareNames) {
		if e == nil {
			continue
		}
		i++
		switch {
		case e.Type == Dir && other != nil && other.Type == Dir:
			err = r.dir(e.Child, other.Child)
		case e.Type == Dir:
			err = r.dir(e.Child, 0)
		case other == nil || !sameStored(e, other):
			r.b.add(e, r.number, rec.id, uint32(i))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sameStored reports whether two entries make the same index record, apart from the location.
func sameStored(a, b *Entry) bool {
	return a.Type == b.Type && a.Stored == b.Stored && a.Hash == b.Hash && a.Size == b.Size && a.Mode == b.Mode &&
		a.UID == b.UID && a.GID == b.GID && a.Mtime == b.Mtime && a.XattrHash == b.XattrHash
}
