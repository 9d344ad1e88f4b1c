package archive

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"snapcopy/internal/fsat"
)

const ledgerFile = "space"

// Anchor returns the present identity of the archive's folder. Stored inode numbers of a catalog with the same anchor
// are valid.
func (a *Archive) Anchor() uint64 { return a.anchor }

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
// ledger and notes. It excludes work and trash (Trash.IsEmpty, HasWork).
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

// countFolder adds the space of a folder of .snapcopy with everything below it, except records of snapshots
// (RecordsOf) and the content of work and trash.
func (a *Archive) countFolder(u *Usage, dir string) error {
	if err := a.Meta.count(u, dir, ""); err != nil {
		return err
	}
	if dir == WorkDir || dir == TrashDir {
		return nil
	}
	list, err := a.Meta.list(dir)
	if err != nil {
		return err
	}
	for _, name := range list {
		var st fsat.Stat
		there, err := a.Meta.stat(dir, name, &st)
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

// isRecord reports whether RecordsOf counts a file for a snapshot.
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

// HasWork reports whether the work folder has files of an unpublished snapshot: its run is under way, or was
// interrupted.
func (a *Archive) HasWork() (bool, error) {
	list, err := a.Meta.listDerived(WorkDir)
	if err != nil {
		return false, err
	}
	return len(list) > 0, nil
}
