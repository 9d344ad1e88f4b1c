package history

import (
	"errors"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// item compares one name; isDir reports a folder to enter.
func (l *live) item(w *worker, d *liveDir, i int) (isDir bool, err error) {
	name, was := d.names[i].Name, &d.entries[i]
	var st fsat.Stat
	err = fsat.StatAt(d.FD(source), name, &st)
	if fsat.IsGone(err) {
		if was.Type == 0 {
			return false, nil
		}
		return false, l.removed(d.Path(), was)
	}
	if err != nil {
		return false, l.fail(d.Child(name), err)
	}
	if st.Type == fsat.Directory {
		return tree.IDOf(&st) != l.archive, nil
	}
	w.compared++
	same := tree.Unchanged(was, &st, l.ignored)
	if same && l.opt.IgnoreCtime {
		same = was.Nlink == st.Nlink && l.unchangedBeyondStat(w, d, was, st)
	}
	if same {
		l.sameGroup(d, was, &st)
		return false, nil
	}
	return false, l.changed(w, d, was, name, &st)
}

// sameGroup takes note of the link group of an unchanged entry. A change time tells of each name that is made or removed.
func (l *live) sameGroup(d *liveDir, was *index.Entry, st *fsat.Stat) {
	switch {
	case !was.Linked():
	case l.ignored == 0:
		l.groups.same(was, st.Dev)
	default:
		e := *was
		e.Ino = st.Ino
		l.groups.meet(d.Child(was.Name), was, &e, st.Dev)
	}
}

// unchangedBeyondStat reads what tree.UnchangedBeyondStat compares.
func (l *live) unchangedBeyondStat(w *worker, d *liveDir, was *index.Entry, st fsat.Stat) bool {
	e := index.Entry{Name: was.Name}
	tree.Describe(&e, &st)
	return w.complete(l.ctx, d.FD(source), &e, &st, false) == nil && tree.UnchangedBeyondStat(was, &e)
}

// changed compares an entry, other than a folder, that may have changed.
func (l *live) changed(w *worker, d *liveDir, was *index.Entry, name string, st *fsat.Stat) error {
	path := d.Child(name)
	e := index.Entry{Name: strings.Clone(name)}
	tree.Describe(&e, st)
	read := was.Type == index.File && e.Type == index.File && was.Size == e.Size
	err := w.complete(l.ctx, d.FD(source), &e, st, read)
	if fsat.IsGone(err) {
		if was.Type == 0 {
			return nil
		}
		return l.removed(d.Path(), was)
	}
	if err != nil {
		return l.fail(path, err)
	}
	l.groups.meet(path, was, &e, st.Dev)
	c, ok := changeOf(path, was, &e)
	if !ok {
		return nil
	}
	if err := l.changes.add(c); err != nil || was.Type != index.Dir || e.Type == index.Dir {
		return err
	}
	return l.removedBelow(path, was)
}

// changeOf returns the change from the recorded entry of a path, of Type 0 if there is none, to that of the source; ok
// is false if they are equal.
func changeOf(path string, was, e *index.Entry) (c Change, ok bool) {
	if was.Type == 0 {
		return Change{Path: path, Kind: Added, New: e}, true
	}
	kind, differ := kindOf(was, e)
	return Change{Path: path, Kind: kind, Old: was, New: e, Fields: differ.Names()}, kind != ""
}

// directory compares a folder itself.
func (l *live) directory(d *liveDir, path string, st *fsat.Stat) error {
	e := index.Entry{Name: strings.Clone(d.Name())}
	tree.Describe(&e, st)
	was := &d.was
	if tree.Unchanged(was, st, l.ignored) && !l.opt.IgnoreCtime {
		return nil
	}
	set, err := fsat.Xattrs(d.FD(source))
	attrs, attrsErr := fsat.Attrs(d.FD(source))
	if err := errors.Join(err, attrsErr); err != nil {
		return l.fail(path, err)
	}
	e.XattrHash, e.Attrs = index.HashXattrs(set), tree.KnownAttrs(attrs)
	if c, ok := changeOf(path, was, &e); ok {
		return l.changes.add(c)
	}
	return nil
}
