package archive

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"snapcopy/internal/fsat"
)

// Usage returns at least what emptying the trash gives back: files with names elsewhere, be it in the trash, are not
// counted.
func (t Trash) Usage(ctx context.Context) (u Usage, err error) {
	top := t.meta.Path(trashDir)
	fd, err := fsat.OpenRoot(top)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return u, nil
		}
		return u, &fs.PathError{Op: "open", Path: top, Err: err}
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) || err == nil && path == top { // another process empties it
			return nil
		}
		if err != nil {
			return err
		}
		var st fsat.Stat
		switch err := fsat.StatAt(fd, path[len(top)+1:], &st); {
		case fsat.IsGone(err):
			return nil
		case err != nil:
			return &fs.PathError{Op: "stat", Path: path, Err: err}
		}
		if st.Type == fsat.Directory || st.Nlink == 1 {
			u.add(&st)
		}
		return nil
	})
	return u, err
}
