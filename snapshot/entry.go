package snapshot

import (
	"errors"
	"io/fs"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// items handles some of the names of a folder. It returns those to be entered later: folders, and entries that wait to be tried again.
func (r *run) items(id int, d *dir, from, to int) (descend []int, err error) {
	w := &r.workers[id]
	if err := d.handles.Acquire(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.handles.Release()) }()
	path := ""
	if !r.opt.Exclude.Empty() {
		path = d.path()
	}
	w.forgetLooks()
	for i := from; i < to; i++ {
		st := w.look(d, i, to)
		isDir, err := r.oneItem(w, d, i, path, st)
		waits := isLater(err)
		if err != nil && !waits {
			return nil, err
		}
		if isDir || waits {
			descend = append(descend, i)
		}
	}
	w.publishProgress(r.opt.Progress)
	return descend, nil
}

// oneItem handles one name. st is its description, unless it is listed as a folder. isDir reports a folder to enter.
func (r *run) oneItem(w *worker, d *dir, i int, path string, st *source.Stat) (isDir bool, err error) {
	name, kind := d.names[i].Name, d.names[i].Type
	if kind != fsat.Directory {
		if d.isUnlisted(i) {
			return false, r.notStored(w, d, i, errUnlisted)
		}
		if err := d.handles.lost; err != nil {
			return false, r.notStored(w, d, i, lostWith(err))
		}
		if err := lookedAt(st.Err); err != nil {
			return false, r.notSeen(w, d, i, path, err)
		}
		kind = st.Type
	}
	if rule := r.excludedBy(path, name, kind == fsat.Directory); rule != "" {
		return false, w.excluded(d, i, kind, rule)
	}
	if kind == fsat.Directory {
		return true, nil
	}
	if r.filter.ByState() || strings.HasPrefix(name, leftover.Prefix) {
		rule, err := w.leaveOutFile(d, name, st)
		if err != nil {
			return false, r.notStored(w, d, i, err)
		}
		if rule != "" {
			return false, w.excluded(d, i, kind, rule)
		}
	}
	err = r.put(w, d, i, st)
	if !errors.Is(err, errIsDir) {
		return false, err
	}
	if rule := r.excludedBy(path, name, true); rule != "" { // some patterns are for folders alone
		return false, w.excluded(d, i, fsat.Directory, rule)
	}
	return true, nil
}

// excludedBy returns the pattern that excludes a name of the folder at path, or "".
func (r *run) excludedBy(path, name string, isDir bool) string {
	if r.opt.Exclude.Empty() {
		return ""
	}
	return r.filter.Name(join(path, name), isDir)
}

// notSeen handles an entry that is not listed as a folder and that the source could not look at.
func (r *run) notSeen(w *worker, d *dir, i int, path string, err error) error {
	if rule := r.filter.Name(join(path, d.names[i].Name), false); rule != "" { // decides without a look
		return w.excluded(d, i, d.names[i].Type, rule)
	}
	if errors.Is(err, source.ErrElsewhere) {
		return w.leftOutElsewhere(d, i)
	}
	return r.notStored(w, d, i, err)
}

// put puts an entry other than a folder into the snapshot, or leaves it out as failed. It returns errIsDir for an entry
// that has become a folder, or an error of the archive.
func (r *run) put(w *worker, d *dir, i int, st *source.Stat) error {
	if d.entries[i].Type == index.Dir {
		return r.replaceDir(w, d, i, st)
	}
	err := r.keep(slot{w: w, d: d, i: i}, st)
	if err == nil || errors.Is(err, errIsDir) {
		return err
	}
	return r.notStored(w, d, i, err)
}

// replaceDir is put for an entry that has taken the place of a folder of the previous snapshot.
func (r *run) replaceDir(w *worker, d *dir, i int, st *source.Stat) error {
	former := d.entries[i]
	d.entries[i] = index.Entry{}
	err := r.keep(slot{w: w, d: d, i: i}, st)
	if err == nil { // the entries below the former folder are gone
		r.previous.addGone(d, &former)
		return nil
	}
	d.entries[i] = former
	if errors.Is(err, errIsDir) {
		return err
	}
	return r.notStored(w, d, i, err)
}

// reconsider looks again at a name that was listed as a folder and cannot be opened as one.
func (r *run) reconsider(w *worker, d *dir, i int) error {
	var st source.Stat
	if err := (slot{w: w, d: d, i: i}).look(&st); err != nil {
		return r.notStored(w, d, i, err)
	}
	if st.Type == fsat.Directory { // swapped back and forth
		return r.notStored(w, d, i, &fs.PathError{Op: "open", Path: d.names[i].Name, Err: source.ErrMoved})
	}
	err := r.put(w, d, i, &st)
	if errors.Is(err, errIsDir) {
		err = r.notStored(w, d, i, err)
	}
	return err
}

// describe sets the fields of e that need no open file.
func describe(e *index.Entry, st *source.Stat, dev uint32) {
	tree.Describe(e, &st.Stat)
	e.Dev = dev
	e.Flags |= st.Flags
	e.AsOf = st.AsOf
}
