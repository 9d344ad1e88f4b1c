package history

import (
	"context"
	"errors"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// copyBuffer is the size of a worker's buffer for content.
const copyBuffer = 1 << 20

// worker reads for one goroutine at a time, and counts.
type worker struct {
	copier filecopy.Copier

	compared, filesRead, bytesRead uint64 // as in LiveReport

	_ [64]byte
}

var errAnotherType = errors.New("changed its type while it was compared")

// complete reads the metadata that statx does not report, and the content of a regular file if wanted.
func (w *worker) complete(ctx context.Context, dir int, e *index.Entry, st *fsat.Stat, content bool) (err error) {
	if e.Type != index.File {
		if e.Type == index.Symlink {
			if e.Target, err = fsat.Readlink(dir, e.Name, st.Size); err != nil {
				return err
			}
			e.Size = uint64(len(e.Target))
		}
		set, err := fsat.XattrsAt(dir, e.Name)
		e.XattrHash = index.HashXattrs(set)
		return err
	}
	fd, err := fsat.OpenFile(dir, e.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	if err := fsat.StatHandle(fd, st); err != nil {
		return err
	}
	if st.Type != fsat.Regular {
		return errAnotherType
	}
	*e = index.Entry{Name: e.Name}
	tree.Describe(e, st)
	set, err := fsat.Xattrs(fd)
	if err != nil {
		return err
	}
	e.XattrHash = index.HashXattrs(set)
	attrs, err := fsat.Attrs(fd)
	if err != nil {
		return err
	}
	e.Attrs = tree.KnownAttrs(attrs)
	if !content {
		return nil
	}
	w.filesRead++
	n, hash, err := w.copier.Copy(ctx, filecopy.NoFile, fd, st.Size, fsat.HasHoles(fd, st.Size))
	w.bytesRead += uint64(w.copier.Data)
	e.Size, e.Hash = uint64(n), hash
	return err
}
