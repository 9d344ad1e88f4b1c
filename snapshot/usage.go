package snapshot

import (
	"errors"
	"fmt"
	"io/fs"

	"snapcopy/internal/fsat"
)

const ledgerFile = "space"

// Anchor is the present identity of the archive's folder: in catalogs with the same, stored inode numbers hold.
func (a *Archive) Anchor() uint64 { return a.anchor }

// LedgerPath is where it is remembered which snapshots hold what.
func (a *Archive) LedgerPath() string { return a.metaPath(ledgerFile) }

// FileSystem describes the file system of the archive.
func (a *Archive) FileSystem() (fsat.Space, error) {
	space, err := fsat.FileSystem(a.root)
	if err != nil {
		return space, &fs.PathError{Op: "statfs", Path: a.Path, Err: err}
	}
	return space, nil
}

// Usage is what a file takes, in bytes, and as one of the file system's inodes if it is there.
type Usage struct{ Bytes, Inodes uint64 }

// RecordsOf is what the archive keeps about a snapshot beside its folder: the catalog, the run report.
func (a *Archive) RecordsOf(name string) (u Usage, err error) {
	for _, file := range [][2]string{{catalogsDir, name + catalogExt}, {runsDir, name + ".json"}} {
		if err := a.count(&u, file[0], file[1]); err != nil {
			return u, err
		}
	}
	return u, nil
}

// Overhead is what the archive takes that belongs to no snapshot: its own folders, the content-hash index, what it
// remembers. What is in work and trash is not part of it (HasTrash, HasWork).
func (a *Archive) Overhead() (u Usage, err error) {
	var root fsat.Stat
	if err := fsat.StatHandle(a.root, &root); err != nil {
		return u, &fs.PathError{Op: "stat", Path: a.Path, Err: err}
	}
	u.add(&root)
	var link fsat.Stat
	if err := fsat.StatAt(a.root, latestLink, &link); err == nil {
		u.add(&link)
	} else if !fsat.IsGone(err) {
		return u, &fs.PathError{Op: "stat", Path: a.Path + "/" + latestLink, Err: err}
	}
	if err := a.count(&u, "", ""); err != nil {
		return u, err
	}
	for _, dir := range []string{"", readersDir} {
		list, err := names(a.metaPath(dir))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return u, fmt.Errorf("list: %w", err)
		}
		for _, name := range list {
			if err := a.count(&u, dir, name); err != nil {
				return u, err
			}
		}
	}
	return u, nil
}

func (u *Usage) add(st *fsat.Stat) {
	u.Bytes += uint64(st.Blocks) * 512
	u.Inodes++
}

// HasWork reports whether there is something of a snapshot that is not published: its run is under way, or was cut
// short.
func (a *Archive) HasWork() (bool, error) {
	list, err := names(a.WorkPath())
	if err != nil {
		return false, fmt.Errorf("list: %w", err)
	}
	return len(list) > 0, nil
}

// count adds what a file or a folder of .snapcopy takes, without what is in it; what is not there takes nothing.
func (a *Archive) count(u *Usage, dir, name string) (err error) {
	path := a.metaPath(dir, name)
	fd, err := fsat.OpenPath(a.meta, dir)
	if err != nil {
		return &fs.PathError{Op: "open", Path: a.metaPath(dir), Err: err}
	}
	defer func() {
		if closeErr := fsat.Close(fd); err == nil {
			err = closeErr
		}
	}()
	var st fsat.Stat
	if name == "" {
		err = fsat.StatHandle(fd, &st)
	} else {
		err = fsat.StatAt(fd, name, &st)
	}
	if fsat.IsGone(err) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	u.add(&st)
	return nil
}
