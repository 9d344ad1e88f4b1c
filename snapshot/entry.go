package snapshot

import (
	"errors"
	"io/fs"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/filter"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// items handles some of the names of a folder. It returns the folders among them, to be entered later.
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
		if err != nil {
			return nil, err
		}
		if isDir {
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
		if err := d.handles.lost; err != nil {
			return false, r.notStored(w, d, i, lostWith(err))
		}
		if err := lookedAt(st.Err); err != nil {
			return false, r.notSeen(w, d, i, path, err)
		}
		kind = st.Type
	}
	if rule := r.excludedBy(path, name, kind == fsat.Directory); rule != "" {
		return false, r.excluded(w, d, i, kind, rule)
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
			return false, r.excluded(w, d, i, kind, rule)
		}
	}
	err = r.put(w, d, i, st)
	if !errors.Is(err, errIsDir) {
		return false, err
	}
	if rule := r.excludedBy(path, name, true); rule != "" { // some patterns are for folders alone
		return false, r.excluded(w, d, i, fsat.Directory, rule)
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
		return r.excluded(w, d, i, d.names[i].Type, rule)
	}
	if errors.Is(err, source.ErrElsewhere) {
		return r.leftOutElsewhere(w, d, i)
	}
	return r.notStored(w, d, i, err)
}

// leaveOutFile returns the rule that leaves out an entry other than a folder because of its size, content or
// attributes, or "".
func (w *worker) leaveOutFile(d *dir, name string, st *source.Stat) (rule string, err error) {
	reason, err := d.handles.src.LeaveOut(name, st)
	switch {
	case err != nil:
		return "", err
	case reason.OfState:
		w.tally.leftOutForState(d.child(name), reason.Rule)
	case reason.Rule == source.RuleNote:
		w.tally.unfinishedRestore(d.sharedPath(), reason.Rule)
	}
	return reason.Rule, nil
}

// put puts an entry other than a folder into the snapshot, or leaves it out as failed. It returns errIsDir for an entry
// that has become a folder, or an error of the archive.
func (r *run) put(w *worker, d *dir, i int, st *source.Stat) error {
	if was := &d.entries[i]; was.Type == index.Dir { // the entries below the former folder are gone
		r.gone.add(d, was)
		*was = index.Entry{}
	}
	err := r.keep(w, d, i, st)
	if err == nil || errors.Is(err, errIsDir) {
		return err
	}
	return r.notStored(w, d, i, err)
}

// notStored handles an entry that could not be looked at.
func (r *run) notStored(w *worker, d *dir, i int, err error) error {
	if isFatal(err) {
		return err
	}
	was := d.entries[i]
	name := d.names[i].Name
	if errors.Is(err, errVanished) {
		d.entries[i] = index.Entry{}
		d.vanish(i, was)
		return nil
	}
	r.coverage.lacks(d, i, unreadable)
	d.entries[i] = index.Entry{}
	w.fail(d.child(name), err)
	return nil
}

// leftOutElsewhere leaves out a name on another file system that cannot be looked at. Its type is unknown, so no empty
// folder takes its place.
func (r *run) leftOutElsewhere(w *worker, d *dir, i int) error {
	w.tally.leftOutForState(d.child(d.names[i].Name), filter.RuleOneFileSystem)
	return r.excluded(w, d, i, d.names[i].Type, filter.RuleOneFileSystem)
}

func (r *run) excluded(w *worker, d *dir, i int, kind uint32, rule string) error {
	r.coverage.lacks(d, i, rule)
	d.entries[i] = index.Entry{}
	w.counts.Excluded++
	if w.tally.isTold() {
		w.tally.tell(Item{Path: d.child(d.names[i].Name), Action: Excluded, Type: tree.TypeOf(kind), Rule: rule})
	}
	return nil
}

// reconsider looks again at a name that was listed as a folder and cannot be opened as one.
func (r *run) reconsider(w *worker, d *dir, i int) error {
	var st source.Stat
	if err := look(d, i, &st); err != nil {
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
}
