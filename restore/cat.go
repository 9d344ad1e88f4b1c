package restore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/lookup"
	"snapcopy/internal/tree"
)

// ErrNotFile is wrapped by the error for a path that is not a regular file, or is in the catalog only.
var ErrNotFile = errors.New("has no stored content")

// Cat writes the content of a regular file of a snapshot to w, holes as zeros, and compares it with the catalog's hash
// on the way. Damage is known only at the end: the error then wraps ErrDamaged, and w has bytes that may be wrong. If
// the path is not in the snapshot, the error is a *[lookup.NotFoundError].
func Cat(ctx context.Context, from archive.OpenSnapshot, path string, w io.Writer) (err error) {
	clean := index.CleanPath(path)
	e, ok, err := from.Catalog.Lookup(clean)
	switch {
	case err != nil:
		return fmt.Errorf("look up %q: %w", path, err)
	case !ok:
		return lookup.NotFound(from.Catalog, path, clean)
	case e.Type != index.File:
		return fmt.Errorf("%q is a %s and %w", path, e.Type, ErrNotFile)
	case e.Flags&index.NotStored != 0:
		return fmt.Errorf("%q is in the catalog only and %w", path, ErrNotFile)
	}
	file, err := openStoredByName(from.Dir, index.FolderOf(clean), &e)
	if err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	defer func() { err = errors.Join(err, fsat.Close(file)) }()
	c := filecopy.Copier{Buf: make([]byte, filecopy.BufferSize), Out: w}
	n, hash, err := c.Copy(ctx, filecopy.NoFile, file, int64(e.Size), false)
	var writeErr *filecopy.WriteError
	switch {
	case errors.As(err, &writeErr):
		return fmt.Errorf("write the content of %q: %w", path, err)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("read %q: %w", path, tree.StoredError(err))
	case uint64(n) != e.Size || hash != e.Hash:
		return fmt.Errorf("read %q: %w: the content written differs from the recorded one", path, tree.ErrDamaged)
	}
	return nil
}

// openStoredByName opens the stored file of an entry by the path of its folder in the snapshot.
func openStoredByName(snapshot, folder string, e *index.Entry) (file int, err error) {
	root, err := fsat.OpenRoot(snapshot)
	if err != nil {
		return fsat.NoDir, err
	}
	dir, lost := fsat.OpenPath(root, folder)
	if err := fsat.Close(root); err != nil {
		return fsat.NoDir, errors.Join(err, fsat.Close(dir))
	}
	file, _, err = tree.OpenStored(dir, lost, e)
	return file, errors.Join(err, fsat.Close(dir))
}
