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

// LedgerPath returns the path of the ledger of space (package prune); "" if the archive cannot be written to.
func (a *Archive) LedgerPath() string {
	if OutsideOthers(a.Path) != nil {
		return ""
	}
	return a.Meta.Path(ledgerFile)
}

// FileSystem describes the file system of the archive.
func (a *Archive) FileSystem() (fsat.Space, error) {
	space, err := fsat.FileSystem(a.Root)
	if err != nil {
		return space, &fs.PathError{Op: "statfs", Path: a.Path, Err: err}
	}
	return space, nil
}

// Usage is the space of a file: bytes, and an inode of the file system.
type Usage struct{ Bytes, Inodes uint64 }

// RecordsOf returns the space of a snapshot's catalog and run report.
func (a *Archive) RecordsOf(name string) (u Usage, err error) {
	for _, file := range [][2]string{{CatalogsDir, name + CatalogExt}, {RunsDir, name + ".json"}} {
		if err := a.Meta.count(&u, file[0], file[1]); err != nil {
			return u, err
		}
	}
	return u, nil
}

// Overhead returns the space of the archive that belongs to no snapshot: its own folders, the content-hash index, the
// ledger and notes. It excludes work and trash (Trash.IsEmpty, Meta.HasWork).
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
	return u, a.Meta.countDir(&u, "")
}

func (u *Usage) add(st *fsat.Stat) {
	u.Bytes += uint64(st.Blocks) * 512
	u.Inodes++
}

// HasWork reports whether the work folder has files of an unpublished snapshot: its run is under way, or was
// interrupted.
func (m *Meta) HasWork() (bool, error) {
	list, err := m.listDerived(WorkDir)
	return len(list) > 0, err
}

// countDir adds the space of a folder of .snapcopy with everything below it, except records of snapshots
// (RecordsOf) and the content of work and trash.
func (m *Meta) countDir(u *Usage, dir string) error {
	if err := m.count(u, dir, ""); err != nil {
		return err
	}
	if dir == WorkDir || dir == trashDir {
		return nil
	}
	list, err := m.list(dir)
	if err != nil {
		return err
	}
	for _, name := range list {
		var st fsat.Stat
		there, err := m.stat(dir, name, &st)
		switch {
		case err != nil:
			return err
		case !there || m.isRecord(dir, name):
		case st.Type == fsat.Directory:
			if err := m.countDir(u, strings.TrimPrefix(dir+"/"+name, "/")); err != nil {
				return err
			}
		default:
			u.add(&st)
		}
	}
	return nil
}

// isRecord reports whether RecordsOf counts a file for a snapshot.
func (m *Meta) isRecord(dir, file string) bool {
	ext, ok := map[string]string{CatalogsDir: CatalogExt, RunsDir: reportExt}[dir]
	name, isExt := strings.CutSuffix(file, ext)
	if !ok || !isExt || !IsName(name) {
		return false
	}
	folder, err := os.Lstat(filepath.Join(filepath.Dir(m.path), name))
	_, catalogErr := os.Lstat(m.catalog(name))
	return err == nil && folder.IsDir() && catalogErr == nil
}

// count adds the space of a file or a folder of .snapcopy, without the folder's content; a missing one takes none.
func (m *Meta) count(u *Usage, dir, name string) error {
	var st fsat.Stat
	there, err := m.stat(dir, name, &st)
	if there {
		u.add(&st)
	}
	return err
}

// stat describes a name in a folder of .snapcopy, or the folder itself, if it exists.
func (m *Meta) stat(dir, name string, st *fsat.Stat) (there bool, err error) {
	fd, err := fsat.OpenPath(m.fd, dir)
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
	return false, &fs.PathError{Op: "stat", Path: m.Path(dir, name), Err: err}
}
