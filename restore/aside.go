package restore

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/rmtree"
	"snapcopy/internal/tree"
)

// maxAside bounds the names tried for keeping an entry aside.
const maxAside = 1000

// keepAside makes way for an entry that is to have a name of d, and keeps the existing entry under another name if
// that is wanted. A file that another is about to replace (replaced) stays until then. A folder is removed: it must be
// empty, or all in it is to be deleted.
func (r *run) keepAside(w *worker, d *dir, name string, st *fsat.Stat, replaced bool) error {
	dir := d.dst()
	switch {
	case r.opt.BackupSuffix != "" && st.Type == fsat.Directory && r.target.archive.isIn(st):
		return fmt.Errorf("keep aside: %w", ErrHoldsArchive)
	case r.opt.BackupSuffix != "":
		if st.Type == fsat.Directory {
			if err := noMountsBelow(dir, name); err != nil {
				return fmt.Errorf("keep aside: %w", err)
			}
		}
		return r.renameAside(w, dir, name, replaced && st.Type != fsat.Directory)
	case st.Type == fsat.Directory:
		return r.removeDir(d, name)
	case !replaced && !r.opt.DryRun:
		return unlink(dir, name)
	}
	return nil
}

func (r *run) renameAside(w *worker, dir int, name string, replaced bool) error {
	if r.opt.DryRun {
		w.counts.KeptAside++
		return nil
	}
	keep := fsat.RenameNew
	if replaced {
		keep = fsat.Link // so that the name is there all the time
	}
	for n := 1; n <= maxAside; n++ {
		aside := name + r.opt.BackupSuffix
		if n > 1 {
			aside += "." + strconv.Itoa(n)
		}
		err := keep(dir, name, dir, aside)
		if replaced && (fsat.IsRefused(err) || fsat.IsLinkLimit(err)) { // no links, or not one more
			err = fsat.RenameNew(dir, name, dir, aside)
		}
		if err == nil {
			w.counts.KeptAside++
			return nil
		}
		if !fsat.IsExist(err) {
			return fmt.Errorf("keep aside as %q: %w", aside, err)
		}
	}
	return fmt.Errorf("keep aside: %d names with the suffix %q are taken", maxAside, r.opt.BackupSuffix)
}

// isAside reports whether renameAside gives such names.
func (r *run) isAside(name string) bool {
	before, number, numbered := cutLast(name, r.opt.BackupSuffix+".")
	if n, err := strconv.Atoi(number); numbered && before != "" && err == nil && n > 1 && n <= maxAside {
		return true
	}
	return len(name) > len(r.opt.BackupSuffix) && strings.HasSuffix(name, r.opt.BackupSuffix)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func unlink(dir int, name string) error {
	if err := fsat.Unlink(dir, name); err != nil && !fsat.IsGone(err) {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}

// removeDir removes a folder of d that is in the way.
func (r *run) removeDir(d *dir, name string) error {
	if r.opt.Delete {
		all, err := r.removeTree(d, name)
		if err == nil && !all {
			err = fmt.Errorf("%w as a folder that holds what is not deleted", ErrExists)
		}
		return err
	}
	err := r.removeEmpty(d.dst(), name)
	if fsat.IsExist(err) {
		return fmt.Errorf("%w as a folder that is not empty", ErrExists)
	}
	if err != nil {
		return fmt.Errorf("remove the folder in its place: %w", err)
	}
	return nil
}

func (r *run) removeEmpty(dir int, name string) error {
	if !r.opt.DryRun {
		return fsat.Rmdir(dir, name)
	}
	fd, err := fsat.OpenDir(dir, name)
	if err != nil {
		return err
	}
	list, err := fsat.ReadDir(fd, make([]byte, 4096))
	if err == nil && len(list) > 0 {
		err = syscall.ENOTEMPTY
	}
	return errors.Join(err, fsat.Close(fd))
}

// removeTree removes a folder of d with everything in it, except entries that are to stay: those that Exclude matches,
// the archive, other file systems, and entries that the snapshot cannot contain.
func (r *run) removeTree(d *dir, name string) (all bool, err error) {
	remove := rmtree.RemoveExcept
	if r.opt.DryRun {
		remove = rmtree.WouldRemove
	}
	all, err = remove(d.dst(), name, func(dir int, path string, st *fsat.Stat) (bool, error) {
		path = d.Child(path)
		if st.Mounted || tree.IDOf(st) == r.target.archive.folder {
			r.spared(path)
			return true, nil
		}
		if r.excluded(path, st.Type == fsat.Directory) {
			return true, nil
		}
		return r.hasNoCopy(d, dir, path, st)
	})
	if err != nil {
		err = fmt.Errorf("remove folder: %w", err)
	}
	return all, err
}

// deleteOthers removes from an existing folder of the target the entries that the snapshot does not have in it, or
// only the leftovers of an earlier run.
func (r *run) deleteOthers(w *worker, d *dir) error {
	others := r.opt.Delete && d.rec != nil && !d.spared
	if d.own || d.dst() < 0 || !others && !r.resumed() {
		return nil
	}
	list, err := fsat.ReadDir(d.dst(), make([]byte, 64<<10))
	if err != nil {
		return r.failed(d.above(), &d.entry, fmt.Errorf("list in target: %w", err))
	}
	for e, listed := range tree.Beside(d.rec, list) {
		if e != nil { // the snapshot contains the name
			continue
		}
		name := listed.Name
		if !w.isLeftover(d, name) && (!others || d.isTemporary(name) || r.spares(d, listed)) {
			continue
		}
		if err := r.deleteOther(w, d, name); err != nil {
			return err
		}
	}
	return nil
}

// spares reports whether a name that the snapshot does not have is to stay.
func (r *run) spares(d *dir, e *fsat.DirEntry) bool {
	switch {
	case d.parent == nil && r.note.all[e.Name] != "":
		return true
	case r.opt.BackupSuffix != "" && r.isAside(e.Name):
		return true
	}
	return r.excluded(d.Child(e.Name), e.Type == fsat.Directory)
}

// excluded reports whether Exclude matches a path.
func (r *run) excluded(path string, dir bool) bool {
	_, out := r.opt.Exclude.Match(path, dir)
	return out
}

// deleteOther removes an entry that the snapshot does not have.
func (r *run) deleteOther(w *worker, d *dir, name string) error {
	gone := index.Entry{Name: name, Type: index.File}
	var st fsat.Stat
	err := fsat.StatAt(d.dst(), name, &st)
	if fsat.IsGone(err) {
		return nil
	}
	deleted := false
	if err == nil {
		if st.Type == fsat.Directory {
			gone.Type = index.Dir
		}
		if r.isElsewhere(d, &st) {
			r.spared(d.Child(name))
			return nil
		}
		deleted, err = r.removeOther(w, d, name, &st)
	}
	if err != nil {
		return r.failed(d, &gone, fmt.Errorf("delete: %w", whyRefused(d.dst(), name, err)))
	}
	if deleted {
		d.touched.Store(true)
		w.counts.Deleted++
		r.told(d, &gone, tree.Deleted)
	}
	return nil
}

// isElsewhere reports whether an entry of d is the archive, or on another file system.
func (r *run) isElsewhere(d *dir, st *fsat.Stat) bool {
	return st.Mounted || st.Type == fsat.Directory && (st.Dev != d.ID(inTarget).Dev || tree.IDOf(st) == r.target.archive.folder)
}

// removeOther removes an entry, unless it is to stay, or keeps it aside. A folder is deleted if nothing in it stays.
func (r *run) removeOther(w *worker, d *dir, name string, st *fsat.Stat) (deleted bool, err error) {
	if err := r.openUp(d); err != nil {
		return false, err
	}
	ours := w.isLeftover(d, name) // left by a restore that was cut short
	if !ours {
		if stays, err := r.hasNoCopy(d, d.dst(), d.Child(name), st); stays || err != nil {
			return false, err
		}
	}
	if !r.opt.DryRun {
		if err := r.target.step("delete"); err != nil {
			return false, err
		}
	}
	isDir := st.Type == fsat.Directory
	switch {
	case ours && !isDir && r.opt.DryRun:
		return true, nil
	case ours && !isDir:
		return true, unlink(d.dst(), name)
	case isDir && r.opt.BackupSuffix == "":
		return r.removeTree(d, name)
	}
	return true, r.keepAside(w, d, name, st, false)
}
