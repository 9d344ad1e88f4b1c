package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/rmtree"
	"snapcopy/internal/tree"
)

// takeOut moves the path from a snapshot's folder to the trash, and resets the metadata of the folder above.
func (w *forgetWork) takeOut(c *index.Catalog, name string) error {
	if !isOf(c, name) {
		return w.takeOutDamaged(name)
	}
	above, _ := splitPath(w.path)
	e, found, err := c.Lookup(above)
	if err == nil && found && e.Type == index.Dir {
		err = w.takeOutOf(name, &e)
	}
	return w.takeOutFailed(name, err)
}

// takeOutDamaged is takeOut for a snapshot with a damaged catalog, or with that of another snapshot in its place.
func (w *forgetWork) takeOutDamaged(name string) error {
	return w.takeOutFailed(name, w.takeOutOf(name, nil))
}

func (w *forgetWork) takeOutFailed(name string, err error) error {
	return callFailed("take out", filepath.Join(w.Path, name, w.path), err)
}

// splitPath splits a path into the folder above, "" for the top, and the name in it.
func splitPath(path string) (above, leaf string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// takeOutOf is takeOut for a folder with the catalog entry e, or nil if the catalog is damaged. A missing folder is no
// error.
func (w *forgetWork) takeOutOf(name string, e *index.Entry) (err error) {
	if err := w.step.at("take out"); err != nil {
		return err
	}
	above, leaf := splitPath(w.path)
	dir, err := openIn(w.Root, name, above)
	if fsat.IsNoDir(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(dir)) }()
	var was, st fsat.Stat
	if err := fsat.StatHandle(dir, &was); err != nil {
		return err
	}
	if err = fsat.StatAt(dir, leaf, &st); err == nil {
		err = w.moveOut(dir, leaf, name, &st)
	}
	if err != nil && !fsat.IsGone(err) {
		return err
	}
	if e == nil {
		e = &index.Entry{Mode: was.Mode, Mtime: was.Mtime}
	}
	return resetFolder(dir, e)
}

// openIn opens a folder of a snapshot.
func openIn(root int, snapshot, path string) (dir int, err error) {
	top, err := fsat.OpenDir(root, snapshot)
	if err != nil {
		return -1, err
	}
	defer func() { err = errors.Join(err, fsat.Close(top)) }()
	return fsat.OpenPath(top, path)
}

// resetFolder gives a folder of a snapshot the mode and the time that it had before an entry was taken out of it, as
// far as the archive can take them.
func resetFolder(dir int, e *index.Entry) error {
	mode := e.Mode
	if e.Flags&index.OwnerCatalogOnly != 0 {
		mode = tree.SafeMode(e)
	}
	if e.Flags&index.ModeCatalogOnly == 0 || e.Flags&index.OwnerCatalogOnly != 0 {
		if err := fsat.Chmod(dir, mode); err != nil && !fsat.IsRefused(err) {
			return err
		}
	}
	if err := fsat.SetMtime(dir, e.Mtime); err != nil && !fsat.IsRefused(err) {
		return err
	}
	return nil
}

// moveOut moves a name to the trash. Without privileges that takes write permission on the folder that contains it,
// and on a folder that is moved; every folder is in one snapshot only.
func (w *forgetWork) moveOut(dir int, leaf, snapshot string, st *fsat.Stat) (err error) {
	trash, err := w.Trash.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trash.close()) }()
	move := func() error {
		for i := 1; ; i++ {
			err := fsat.RenameNew(dir, leaf, trash.fd, fmt.Sprintf("%s%s%d", snapshot, forgottenExt, i))
			if !fsat.IsExist(err) {
				return err
			}
		}
	}
	err = move()
	if fsat.IsNoSpace(err) { // the note makes sure that all of it goes
		return rmtree.Remove(dir, leaf)
	}
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if err := fsat.Chmod(dir, 0o700); err != nil {
		return err
	}
	if st.Type == fsat.Directory {
		if err := fsat.ChmodAt(dir, leaf, st.Mode|0o700); err != nil {
			return err
		}
	}
	return move()
}
