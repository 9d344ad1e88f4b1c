package archive

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"snapcopy/internal/fsat"
)

const ledgerFile = "space"

// Anchor is the present identity of the archive's folder: in catalogs with the same, stored inode numbers hold.
func (a *Archive) Anchor() uint64 { return a.anchor }

// LedgerPath is where it is remembered which snapshots hold what; "" where nothing may be written.
func (a *Archive) LedgerPath() string {
	if OutsideOthers(a.Path) != nil {
		return ""
	}
	return a.MetaPath(ledgerFile)
}

// FileSystem describes the file system of the archive.
func (a *Archive) FileSystem() (fsat.Space, error) {
	space, err := fsat.FileSystem(a.Root)
	if err != nil {
		return space, &fs.PathError{Op: "statfs", Path: a.Path, Err: err}
	}
	return space, nil
}

// Usage is what a file takes, in bytes, and as one of the file system's inodes if it is there.
type Usage struct{ Bytes, Inodes uint64 }

// RecordsOf is what the archive keeps about a snapshot beside its folder: the catalog, the run report.
func (a *Archive) RecordsOf(name string) (u Usage, err error) {
	for _, file := range [][2]string{{CatalogsDir, name + CatalogExt}, {RunsDir, name + ".json"}} {
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
	if err := fsat.StatHandle(a.Root, &root); err != nil {
		return u, &fs.PathError{Op: "stat", Path: a.Path, Err: err}
	}
	u.add(&root)
	var link fsat.Stat
	if err := fsat.StatAt(a.Root, LatestLink, &link); err == nil {
		u.add(&link)
	} else if !fsat.IsGone(err) {
		return u, &fs.PathError{Op: "stat", Path: a.Path + "/" + LatestLink, Err: err}
	}
	return u, a.countFolder(&u, "")
}

// countFolder adds what a folder of .snapcopy takes with all below it, whatever that is, but the records of snapshots
// (RecordsOf) and what is in work and trash.
func (a *Archive) countFolder(u *Usage, dir string) error {
	if err := a.count(u, dir, ""); err != nil {
		return err
	}
	if dir == WorkDir || dir == TrashDir {
		return nil
	}
	list, err := a.list(dir)
	if err != nil {
		return err
	}
	for _, name := range list {
		var st fsat.Stat
		there, err := a.statBelow(dir, name, &st)
		switch {
		case err != nil:
			return err
		case !there || a.isRecord(dir, name):
		case st.Type == fsat.Directory:
			if err := a.countFolder(u, strings.TrimPrefix(dir+"/"+name, "/")); err != nil {
				return err
			}
		default:
			u.add(&st)
		}
	}
	return nil
}

// isRecord reports whether a file is what RecordsOf counts for a snapshot.
func (a *Archive) isRecord(dir, file string) bool {
	ext, ok := map[string]string{CatalogsDir: CatalogExt, RunsDir: reportExt}[dir]
	name, isExt := strings.CutSuffix(file, ext)
	if !ok || !isExt || !IsName(name) {
		return false
	}
	folder, err := os.Lstat(filepath.Join(a.Path, name))
	_, catalogErr := os.Lstat(a.CatalogPath(name))
	return err == nil && folder.IsDir() && catalogErr == nil
}

func (u *Usage) add(st *fsat.Stat) {
	u.Bytes += uint64(st.Blocks) * 512
	u.Inodes++
}

// HasWork reports whether there is something of a snapshot that is not published: its run is under way, or was cut
// short.
func (a *Archive) HasWork() (bool, error) {
	list, err := a.listDerived(WorkDir)
	if err != nil {
		return false, err
	}
	return len(list) > 0, nil
}

// count adds what a file or a folder of .snapcopy takes, without what is in it; what is not there takes nothing.
func (a *Archive) count(u *Usage, dir, name string) error {
	var st fsat.Stat
	there, err := a.statBelow(dir, name, &st)
	if there {
		u.add(&st)
	}
	return err
}

// statBelow describes a name in a folder of .snapcopy, or the folder itself, if it is there.
func (a *Archive) statBelow(dir, name string, st *fsat.Stat) (there bool, err error) {
	fd, err := fsat.OpenPath(a.Meta, dir)
	if err == nil {
		if name == "" {
			err = fsat.StatHandle(fd, st)
		} else {
			err = fsat.StatAt(fd, name, st)
		}
		err = errors.Join(err, fsat.Close(fd))
	}
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return false, nil
	}
	return false, &fs.PathError{Op: "stat", Path: a.MetaPath(dir, name), Err: err}
}
