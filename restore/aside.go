package restore

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/outcome"
	"snapcopy/internal/rmtree"
	"snapcopy/internal/tree"
)

// maxAside bounds the names tried for keeping an entry aside.
const maxAside = 1000

// clearer makes way for entries of the snapshot, and deletes entries that it lacks.
type clearer struct {
	opt     *Options
	catalog *index.Catalog
	target  *target
	note    *note
	opener  *opener
	teller  *teller
}

// keepAside makes way for an entry that is to have a name of d, and keeps the existing entry under another name if
// that is wanted. A file that another is about to replace (replaced) stays until then. A folder is removed: it must be
// empty, or all in it is to be deleted.
func (c *clearer) keepAside(w *worker, d *dir, name string, st *fsat.Stat, replaced bool) error {
	dir := d.dst()
	switch {
	case c.opt.BackupSuffix != "" && st.Type == fsat.Directory && c.target.archive.isIn(st):
		return fmt.Errorf("keep aside: %w", ErrHoldsArchive)
	case c.opt.BackupSuffix != "":
		if st.Type == fsat.Directory {
			if err := noMountsBelow(dir, name); err != nil {
				return fmt.Errorf("keep aside: %w", err)
			}
		}
		return c.renameAside(w, dir, name, replaced && st.Type != fsat.Directory)
	case st.Type == fsat.Directory:
		return c.removeDir(d, name)
	case !replaced && !c.opt.DryRun:
		return unlink(dir, name)
	}
	return nil
}

func (c *clearer) renameAside(w *worker, dir int, name string, replaced bool) error {
	if c.opt.DryRun {
		w.counts.KeptAside++
		return nil
	}
	keep := fsat.RenameNew
	if replaced {
		keep = fsat.Link // so that the name is there all the time
	}
	for n := 1; n <= maxAside; n++ {
		aside := name + c.opt.BackupSuffix
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
	return fmt.Errorf("keep aside: %d names with the suffix %q are taken", maxAside, c.opt.BackupSuffix)
}

// isAside reports whether renameAside gives such names.
func (c *clearer) isAside(name string) bool {
	before, number, numbered := cutLast(name, c.opt.BackupSuffix+".")
	if n, err := strconv.Atoi(number); numbered && before != "" && err == nil && n > 1 && n <= maxAside {
		return true
	}
	return len(name) > len(c.opt.BackupSuffix) && strings.HasSuffix(name, c.opt.BackupSuffix)
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
func (c *clearer) removeDir(d *dir, name string) error {
	if c.opt.Delete {
		all, err := c.removeTree(d, name)
		if err == nil && !all {
			err = fmt.Errorf("%w as a folder with entries that are not deleted", ErrExists)
		}
		return err
	}
	err := c.removeEmpty(d.dst(), name)
	if fsat.IsExist(err) {
		return fmt.Errorf("%w as a folder that is not empty", ErrExists)
	}
	if err != nil {
		return fmt.Errorf("remove the folder in its place: %w", err)
	}
	return nil
}

func (c *clearer) removeEmpty(dir int, name string) error {
	if !c.opt.DryRun {
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
func (c *clearer) removeTree(d *dir, name string) (all bool, err error) {
	remove := rmtree.RemoveExcept
	if c.opt.DryRun {
		remove = rmtree.WouldRemove
	}
	all, err = remove(d.dst(), name, func(dir int, path string, st *fsat.Stat) (bool, error) {
		path = d.Child(path)
		if st.Mounted || tree.IDOf(st) == c.target.archive.folder {
			c.teller.spared(path)
			return true, nil
		}
		if c.opt.excludes(path, st.Type == fsat.Directory) {
			return true, nil
		}
		return c.hasNoCopy(d, dir, path, st)
	})
	if err != nil {
		err = fmt.Errorf("remove folder: %w", err)
	}
	return all, err
}

// deleteOthers removes from an existing folder of the target the entries that the snapshot does not have in it, or
// only the leftovers of an earlier run.
func (c *clearer) deleteOthers(w *worker, d *dir) error {
	others := c.opt.Delete && d.rec != nil && !d.spared
	if d.own || d.dst() < 0 || !others && !c.note.resumed() {
		return nil
	}
	list, err := fsat.ReadDir(d.dst(), make([]byte, 64<<10))
	if err != nil {
		return c.teller.failed(d.above(), &d.entry, fmt.Errorf("list in target: %w", err))
	}
	for e, listed := range tree.Beside(d.rec, list) {
		if e != nil { // the snapshot contains the name
			continue
		}
		name := listed.Name
		if !w.isLeftover(d, name) && (!others || d.isTemporary(name) || c.spares(d, listed)) {
			continue
		}
		if err := c.deleteOther(w, d, name); err != nil {
			return err
		}
	}
	return nil
}

// spares reports whether a name that the snapshot does not have is to stay.
func (c *clearer) spares(d *dir, e *fsat.DirEntry) bool {
	switch {
	case d.parent == nil && c.note.all[e.Name] != "":
		return true
	case c.opt.BackupSuffix != "" && c.isAside(e.Name):
		return true
	}
	return c.opt.excludes(d.Child(e.Name), e.Type == fsat.Directory)
}

// deleteOther removes an entry that the snapshot does not have.
func (c *clearer) deleteOther(w *worker, d *dir, name string) error {
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
		if c.isElsewhere(d, &st) {
			c.teller.spared(d.Child(name))
			return nil
		}
		deleted, err = c.removeOther(w, d, name, &st)
	}
	if err != nil {
		return c.teller.failed(d, &gone, fmt.Errorf("delete: %w", whyRefused(d.dst(), name, err)))
	}
	if deleted {
		d.touched.Store(true)
		w.counts.Deleted++
		c.teller.told(d, &gone, outcome.Deleted)
	}
	return nil
}

// isElsewhere reports whether an entry of d is the archive, or on another file system.
func (c *clearer) isElsewhere(d *dir, st *fsat.Stat) bool {
	return st.Mounted ||
		st.Type == fsat.Directory && (st.Dev != d.ID(inTarget).Dev || tree.IDOf(st) == c.target.archive.folder)
}

// removeOther removes an entry, unless it is to stay, or keeps it aside. A folder is deleted if nothing in it stays.
func (c *clearer) removeOther(w *worker, d *dir, name string, st *fsat.Stat) (deleted bool, err error) {
	if err := c.opener.openUp(d); err != nil {
		return false, err
	}
	ours := w.isLeftover(d, name) // left by a restore that was cut short
	if !ours {
		if stays, err := c.hasNoCopy(d, d.dst(), d.Child(name), st); stays || err != nil {
			return false, err
		}
	}
	if !c.opt.DryRun {
		if err := c.target.step("delete"); err != nil {
			return false, err
		}
	}
	isDir := st.Type == fsat.Directory
	switch {
	case ours && !isDir && c.opt.DryRun:
		return true, nil
	case ours && !isDir:
		return true, unlink(d.dst(), name)
	case isDir && c.opt.BackupSuffix == "":
		return c.removeTree(d, name)
	}
	return true, c.keepAside(w, d, name, st, false)
}
