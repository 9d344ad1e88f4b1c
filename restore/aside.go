package restore

import (
	"fmt"
	"strconv"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/rmtree"
)

// maxAside bounds the names that are tried to keep something aside under.
const maxAside = 1000

// keepAside makes way for what is to have a name now, and keeps what has it under another name if that is wanted. A file
// whose place another is about to take (replaced) stays until then. A directory goes: it must be empty, or all in it is
// to be deleted.
func (r *run) keepAside(w *worker, dir int, name string, st *fsat.Stat, replaced bool) error {
	if r.opt.BackupSuffix == "" {
		switch {
		case st.Type == fsat.Directory:
			return r.removeDir(w, dir, name)
		case !replaced:
			return unlink(dir, name)
		}
		return nil
	}
	keep := fsat.RenameNew
	if replaced && st.Type != fsat.Directory {
		keep = fsat.Link // so that the name is there all the time
	}
	for n := 1; n <= maxAside; n++ {
		aside := name + r.opt.BackupSuffix
		if n > 1 {
			aside += "." + strconv.Itoa(n)
		}
		err := keep(dir, name, dir, aside)
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

func unlink(dir int, name string) error {
	if err := fsat.Unlink(dir, name); err != nil && !fsat.IsGone(err) {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}

// removeDir removes a directory that is in the way.
func (r *run) removeDir(w *worker, dir int, name string) error {
	if r.opt.Delete {
		if err := rmtree.Remove(dir, name); err != nil {
			return fmt.Errorf("remove the folder in its place: %w", err)
		}
		w.counts.Deleted++
		return nil
	}
	err := fsat.Rmdir(dir, name)
	if fsat.IsExist(err) {
		return fmt.Errorf("%w as a folder that is not empty", ErrExists)
	}
	if err != nil {
		return fmt.Errorf("remove the folder in its place: %w", err)
	}
	return nil
}

// deleteOthers removes from an existing directory of the target what the snapshot does not have in it.
func (r *run) deleteOthers(w *worker, d *dir) error {
	if !r.opt.Delete || d.own || d.rec == nil || d.spared || d.entry.Flags&index.Unread != 0 {
		return nil
	}
	list, err := fsat.ReadDir(d.handles.dst, make([]byte, 64<<10))
	if err != nil {
		return r.failed(d.above(), &d.entry, fmt.Errorf("list in target: %w", err))
	}
	cur := d.rec.Cursor()
	var e index.Entry
	more := cur.Next(&e)
	for i := range list {
		name := list[i].Name
		for more && e.Name < name {
			more = cur.Next(&e)
		}
		if more && e.Name == name || r.spares(d, &list[i]) {
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
	if d.parent == nil && e.Name == unfinishedName {
		return true
	}
	if r.opt.BackupSuffix != "" && strings.Contains(e.Name, r.opt.BackupSuffix) {
		return true
	}
	if r.opt.Exclude.Empty() {
		return false
	}
	_, out := r.opt.Exclude.Match(d.child(e.Name), e.Type == fsat.Directory)
	return out
}

func (r *run) deleteOther(w *worker, d *dir, name string) error {
	gone := index.Entry{Name: name, Type: index.File}
	var st fsat.Stat
	err := fsat.StatAt(d.handles.dst, name, &st)
	if fsat.IsGone(err) {
		return nil
	}
	if err == nil && st.Type == fsat.Directory {
		gone.Type = index.Dir
	}
	if err == nil && !r.opt.DryRun {
		if err = r.step("delete"); err == nil {
			err = r.keepAside(w, d.handles.dst, name, &st, false)
		}
	}
	if err != nil {
		return r.failed(d, &gone, fmt.Errorf("delete: %w", err))
	}
	if st.Type != fsat.Directory || r.opt.DryRun || r.opt.BackupSuffix != "" { // otherwise removeDir has counted it
		w.counts.Deleted++
	}
	r.told(d, &gone, Deleted)
	return nil
}
