package history

import (
	"errors"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
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
	l.compared.Add(1)
	same := tree.Unchanged(was, &st, l.ignored)
	if same && l.opt.IgnoreCtime {
		set, err := fsat.XattrsAt(d.FD(source), name)
		same = err == nil && index.HashXattrs(set) == was.XattrHash && was.Nlink == st.Nlink
	}
	if same {
		return false, nil
	}
	return false, l.changed(w, d, was, name, &st)
}

// changed compares an entry, other than a folder, that may have changed.
func (l *live) changed(w *worker, d *liveDir, was *index.Entry, name string, st *fsat.Stat) error {
	path := d.Child(name)
	e := index.Entry{Name: strings.Clone(name)}
	tree.Describe(&e, st)
	c := Change{Path: path, Kind: Added, New: &e}
	read := was.Type == index.File && e.Type == index.File && was.Size == e.Size
	err := l.complete(w, d.FD(source), &e, st, read)
	if fsat.IsGone(err) {
		if was.Type == 0 {
			return nil
		}
		return l.removed(d.Path(), was)
	}
	if err != nil {
		return l.fail(path, err)
	}
	if was.Type != 0 {
		kind, differ := kindOf(was, &e)
		if kind == "" {
			return nil
		}
		c.Kind, c.Old, c.Fields = kind, was, differ.Names()
	}
	if err := l.tell(c); err != nil || was.Type != index.Dir || e.Type == index.Dir {
		return err
	}
	return l.removedBelow(path, was)
}

var errAnotherType = errors.New("changed its type while it was compared")

// complete reads the metadata that statx does not report, and the content of a regular file if wanted.
func (l *live) complete(w *worker, dir int, e *index.Entry, st *fsat.Stat, content bool) (err error) {
	if e.Type != index.File {
		if e.Type == index.Symlink {
			if e.Target, err = fsat.Readlink(dir, e.Name, st.Size); err != nil {
				return err
			}
			e.Size = uint64(len(e.Target))
		}
		set, err := fsat.XattrsAt(dir, e.Name)
		e.XattrHash = index.HashXattrs(set)
		return err
	}
	fd, err := fsat.OpenFile(dir, e.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	if err := fsat.StatHandle(fd, st); err != nil {
		return err
	}
	if st.Type != fsat.Regular {
		return errAnotherType
	}
	*e = index.Entry{Name: e.Name}
	tree.Describe(e, st)
	set, err := fsat.Xattrs(fd)
	if err != nil {
		return err
	}
	e.XattrHash = index.HashXattrs(set)
	attrs, err := fsat.Attrs(fd)
	if err != nil {
		return err
	}
	e.Attrs = tree.KnownAttrs(attrs)
	if !content {
		return nil
	}
	l.filesRead.Add(1)
	n, hash, err := w.copier.Copy(l.ctx, filecopy.NoFile, fd, st.Size, fsat.HasHoles(fd, st.Size))
	l.bytesRead.Add(uint64(w.copier.Data))
	e.Size, e.Hash = uint64(n), hash
	return err
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
	c := Change{Path: path, Kind: Added, New: &e}
	if was.Type != 0 {
		kind, differ := kindOf(was, &e)
		if kind == "" {
			return nil
		}
		c.Kind, c.Old, c.Fields = kind, was, differ.Names()
	}
	return l.tell(c)
}
