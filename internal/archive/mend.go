package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
	"snapcopy/internal/plainfile"
)

// mend puts the archive's own folders and files in order: it makes missing derived ones anew, moves objects of the
// wrong type aside, and removes temporary files of interrupted processes. Mended reports the changes.
func (a *Locked) mend() error {
	if err := a.mendFolders(); err != nil {
		return err
	}
	// A folder is the one thing that a new file cannot replace.
	for _, file := range []string{ArchiveFile, IndexFile, ledgerFile, acknowledgedFile, forgetFile} {
		var st fsat.Stat
		err := fsat.StatAt(a.Meta, file, &st)
		if err == nil && st.Type == fsat.Directory {
			err = a.putAside(file, "a folder")
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &fs.PathError{Op: "mend", Path: a.MetaPath(file), Err: err}
		}
	}
	if err := a.removePending(); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	err := a.withRoom(context.Background(), a.mendInfo)
	if fsat.IsNoSpace(err) { // removing does not need archive.json, and makes space for the next Lock
		return nil
	}
	return err
}

// Mended returns a sentence for each folder or file that was made anew or put aside. Each sentence is returned once.
func (a *Archive) Mended() []string {
	list := a.mended
	a.mended = nil
	return list
}

func (a *Archive) tellMended(format string, args ...any) {
	a.mended = append(a.mended, fmt.Sprintf(format, args...))
}

// mendFolders makes the folders that writing to the archive needs. Other tools leave out empty folders when they copy
// an archive. Catalogs cannot be made anew: another object in the place of their folder is left alone.
func (a *Locked) mendFolders() error {
	for _, dir := range []string{CatalogsDir, RunsDir, WorkDir, TrashDir} {
		path := a.MetaPath(dir)
		var st fsat.Stat
		err := fsat.StatAt(a.Meta, dir, &st)
		switch {
		case err == nil && st.Type == fsat.Directory:
			err = a.openMode(dir, &st)
		case err == nil && dir == CatalogsDir:
			err = a.kindOf(dir)
		case err == nil:
			err = a.kindOf(dir)
			var kind *plainfile.KindError
			if errors.As(err, &kind) {
				err = a.putAside(dir, kind.Is)
			}
			if err == nil {
				err = a.makeFolder(dir)
			}
		case errors.Is(err, fs.ErrNotExist):
			if err = a.makeFolder(dir); err == nil {
				a.tellMended("the folder %s was made anew: it was missing", path)
			}
		}
		if err != nil {
			return fmt.Errorf("mend %s: %w", path, err)
		}
	}
	return nil
}

// openMode gives the owner of the archive access to one of its folders, as in the others.
func (a *Locked) openMode(dir string, st *fsat.Stat) error {
	if st.Mode&0o700 == 0o700 || int(st.UID) != os.Geteuid() {
		return nil
	}
	if err := fsat.ChmodAt(a.Meta, dir, st.Mode|0o700); err != nil && !fsat.IsRefused(err) {
		return err
	}
	a.tellMended("the folder %s had the mode %04o and can be used again", a.MetaPath(dir), st.Mode)
	return nil
}

// makeFolder makes a folder in .snapcopy, for the owner of the archive.
func (a *Locked) makeFolder(dir string) (err error) {
	if err := fsat.Mkdir(a.Meta, dir, 0o700); err != nil {
		return err
	}
	f, err := os.Open(a.MetaPath(dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return errors.Join(atomicfile.Inherit(f), fsat.Sync(a.Meta))
}

// kindOf returns the error for a name in .snapcopy that is not a folder.
func (a *Archive) kindOf(dir string) error {
	info, err := os.Lstat(a.MetaPath(dir))
	if err != nil {
		return err
	}
	if info.IsDir() {
		return nil
	}
	return &plainfile.KindError{Is: plainfile.KindOf(info.Mode()), Want: "a folder"}
}

// asideExt ends the names of objects that were put aside.
const asideExt = ".aside"

// putAside renames an object in the place of a derived file or folder. It keeps the object, which may be a person's.
func (a *Archive) putAside(name, kind string) error {
	for i := 1; ; i++ {
		to := name + asideExt
		if i > 1 {
			to = fmt.Sprintf("%s%d", to, i)
		}
		err := fsat.RenameNew(a.Meta, name, a.Meta, to)
		if fsat.IsExist(err) && i < 1000 {
			continue
		}
		if err == nil {
			a.tellMended("%s was %s, which is %s now", a.MetaPath(name), kind, a.MetaPath(to))
		}
		return err
	}
}

// list returns the names in a folder of .snapcopy; none if it is missing. The error wraps plainfile.ErrKind if it is
// not a folder.
func (a *Archive) list(dir string) (names []string, err error) {
	fd, err := fsat.OpenDir(a.Meta, cmp.Or(dir, "."))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		if kind := a.kindOf(dir); errors.Is(kind, plainfile.ErrKind) {
			err = kind
		}
		return nil, &fs.PathError{Op: "list", Path: a.MetaPath(dir), Err: err}
	}
	entries, err := fsat.ReadDir(fd, make([]byte, 32<<10))
	if err = errors.Join(err, fsat.Close(fd)); err != nil {
		return nil, &fs.PathError{Op: "list", Path: a.MetaPath(dir), Err: err}
	}
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names, nil
}

// listDerived is list for a folder with derived content: another object in its place counts as empty.
func (a *Archive) listDerived(dir string) ([]string, error) {
	names, err := a.list(dir)
	if errors.Is(err, plainfile.ErrKind) {
		return nil, nil
	}
	return names, err
}

// noteAge is how old a file of an unfinished note of a reader is at least when it is removed: notes are written without
// the lock.
const noteAge = time.Hour

// removePending removes temporary files of interrupted replacements.
func (a *Locked) removePending() error {
	for _, dir := range []string{"", CatalogsDir, RunsDir, pinsDir, readersDir} {
		files, err := a.listDerived(dir)
		if err != nil {
			return err
		}
		for _, name := range files {
			if !atomicfile.IsPending(name) {
				continue
			}
			path := a.MetaPath(dir, name)
			if info, err := os.Lstat(path); dir == readersDir && err == nil && time.Since(info.ModTime()) < noteAge {
				continue
			}
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
