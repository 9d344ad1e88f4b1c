package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/plainfile"
	"snapcopy/internal/rmtree"
	"snapcopy/internal/tree"
)

// takeOut moves the path from a snapshot's folder to the trash, and resets the metadata of the folder above.
func (a *Locked) takeOut(c *index.Catalog, name, path string, step stepper) error {
	above, _ := splitPath(path)
	e, found, err := c.Lookup(above)
	if err != nil || !found || e.Type != index.Dir {
		return err
	}
	return a.takeOutOf(name, path, &e, step)
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
func (a *Locked) takeOutOf(name, path string, e *index.Entry, step stepper) (err error) {
	if err := step.at("take out"); err != nil {
		return err
	}
	above, leaf := splitPath(path)
	dir, err := a.openIn(name, above)
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
		err = a.moveOut(dir, leaf, name, &st)
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
func (a *Archive) openIn(snapshot, path string) (dir int, err error) {
	top, err := fsat.OpenDir(a.Root, snapshot)
	if err != nil {
		return -1, err
	}
	defer func() { err = errors.Join(err, fsat.Close(top)) }()
	return fsat.OpenPath(top, path)
}

// resetFolder gives a folder of a snapshot the mode and the time that it had before an entry was taken out of it, as far
// as the archive can hold them.
func resetFolder(dir int, e *index.Entry) error {
	mode := e.Mode
	if e.Flags&index.OwnerNotHeld != 0 {
		mode = tree.SafeMode(e)
	}
	if e.Flags&index.ModeNotHeld == 0 || e.Flags&index.OwnerNotHeld != 0 {
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
func (a *Locked) moveOut(dir int, leaf, snapshot string, st *fsat.Stat) (err error) {
	trash, err := a.openTrash()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(trash)) }()
	move := func() error {
		for i := 1; ; i++ {
			err := fsat.RenameNew(dir, leaf, trash, fmt.Sprintf("%s%s%d", snapshot, forgottenExt, i))
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

// dropReport removes a damaged run report, because it may name the forgotten path and cannot be searched for it.
func (a *Locked) dropReport(name string, damage error) error {
	var kind *plainfile.KindError
	if errors.As(damage, &kind) {
		return a.putAside(filepath.Join(RunsDir, name+reportExt), kind.Is)
	}
	var errno syscall.Errno
	if errors.As(damage, &errno) { // it could not be read this time, and may be sound
		return damage
	}
	if err := os.Remove(a.reportPath(name)); err != nil {
		return err
	}
	a.tellMended("the damaged %v was removed, as it might name what is forgotten", damage)
	return nil
}
