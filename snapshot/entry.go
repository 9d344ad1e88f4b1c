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
			if rule := r.filter.Name(join(path, name), false); rule != "" { // decides without a look
				return false, r.excluded(w, d, i, kind, rule)
			}
			if errors.Is(err, source.ErrElsewhere) {
				return false, r.leftOutElsewhere(w, d, i)
			}
			return false, r.notStored(w, d, i, err)
		}
		kind = st.Type
	}
	if !r.opt.Exclude.Empty() {
		if rule, out := r.opt.Exclude.Match(join(path, name), kind == fsat.Directory); out {
			return false, r.excluded(w, d, i, kind, rule.String())
		}
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
	err = r.keep(w, d, i, st)
	if !errors.Is(err, errIsDir) {
		return false, err
	}
	if !r.opt.Exclude.Empty() { // some patterns are for folders alone
		if rule, out := r.opt.Exclude.Match(join(path, name), true); out {
			return false, r.excluded(w, d, i, fsat.Directory, rule.String())
		}
	}
	return true, nil
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

// keep puts an entry other than a folder into the snapshot: a link if it is unchanged, stored anew otherwise.
func (r *run) keep(w *worker, d *dir, i int, st *source.Stat) error {
	was := &d.entries[i]
	w.notLinked = 0
	if was.Type == index.Dir { // the entries below the former folder are gone
		r.gone.add(d, was)
		*was = index.Entry{}
	}
	if was.Type == 0 || !r.canLink(was, st) || r.opt.IgnoreCtime && !sameAttributes(d.handles.src, was, st) {
		return r.storeEntry(w, d, i, st)
	}
	unreadable, err := r.rec.keepXattrs(was, r.previous, was)
	if err != nil {
		return err
	}
	if unreadable != nil {
		r.previousUnusable(unreadable)
		return r.storeEntry(w, d, i, st)
	}
	if st.Nlink > 1 {
		return r.keepLinked(w, d, i, st)
	}
	linked, err := r.linkPrevious(w, d, i, was, st.Nlink)
	if err != nil {
		return err
	}
	if !linked {
		return r.storeEntry(w, d, i, st)
	}
	return r.keptAsWas(w, d, i, st)
}

// keptAsWas turns the previous entry, to which a link was just made, into the new one.
func (r *run) keptAsWas(w *worker, d *dir, i int, st *source.Stat) error {
	e := &d.entries[i]
	e.Dev, e.Ino, e.Ctime, e.Nlink = r.rec.device(d, st), st.Ino, st.Ctime, st.Nlink
	e.Flags = e.Flags&ofStored | st.Flags
	d.fresh[i] = r.restat
	w.countEntry(d, i, Unchanged, "")
	return nil
}

// ofStored are the flags that belong to a stored file. LinksNotHeld belongs to each snapshot.
const ofStored = index.NotHeld&^index.LinksNotHeld | index.ZeroHash

// canLink reports whether the previous stored file of an entry can go on in this snapshot without opening the source's
// file: the source's file is unchanged, and this run could not store more of its metadata.
func (r *run) canLink(was *index.Entry, st *source.Stat) bool {
	return tree.Unchanged(was, &st.Stat, r.ignored) && was.Flags&index.NotStored == 0 && !r.couldHoldMore(was) &&
		asKnown(was, st)
}

// sameAttributes compares the extended attributes and file attributes, for sources whose change time means nothing.
func sameAttributes(dir source.Folder, was *index.Entry, st *source.Stat) bool {
	m := dir.Metadata(was.Name, st)
	return m.Err == nil && m.TargetErr == nil && index.HashXattrs(m.Xattrs) == was.XattrHash &&
		(was.Type != index.File || tree.KnownAttrs(m.Attrs) == was.Attrs)
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
	err := r.keep(w, d, i, &st)
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
