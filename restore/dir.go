package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/dirhandles"
	"snapcopy/internal/fsat"
)

// dir is one directory being restored. There are three kinds: the top, which is the target itself; below it the
// directories of the snapshot; and, if only some paths are wanted, between the two one base for each path, which pairs
// the folder of the snapshot that holds the path with the target.
type dir struct {
	parent   *dir
	name     string      // its own; "" for the top and a base
	selected []selection // the top's, if only some paths are wanted
	base     *selection  // a base's
	entry    index.Entry // the metadata it gets
	xattrs   []index.Xattr

	// own: only this run makes names in it, so that one which exists is a second form of one made before.
	// finish: it gets its metadata when everything in it is there.
	// plain: what is made in it belongs to us and inherits nothing.
	own, finish, plain bool
	inode              inodeID // in the target

	mu     sync.Mutex // of the cursor
	rec    *index.Record
	cursor index.Cursor

	handles handles
}

// inodeID names an inode in the target.
type inodeID struct{ dev, ino uint64 }

func idOf(st *fsat.Stat) inodeID { return inodeID{st.Dev, st.Ino} }

// items is the number of entries to restore.
func (d *dir) items() int {
	switch {
	case d.selected != nil:
		return len(d.selected)
	case d.base != nil:
		return 1
	}
	return d.rec.Len()
}

// at gives one entry.
func (d *dir) at(item int) index.Entry {
	if d.base != nil {
		return d.base.entry
	}
	e, _ := d.rec.At(item)
	return e
}

// take decodes the next entries, n in all the calls together, and returns how many there are in this one.
func (d *dir) take(w *worker, n int) int {
	if d.base != nil {
		w.entries[0], w.pos[0] = d.base.entry, 0
		return 1
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range min(n, chunk) {
		if !d.cursor.Next(&w.entries[i]) {
			return i
		}
		w.pos[i] = d.cursor.Pos()
	}
	return min(n, chunk)
}

// path is the directory's path in the snapshot; child adds one element.
func (d *dir) path() string {
	names, above := d.names()
	if above.base != nil && above.base.folder != "" {
		names = slices.Insert(names, 0, above.base.folder)
	}
	return strings.Join(names, "/")
}

// names are the elements of the directory's path in the target, where above, the top or a base, is the target itself.
func (d *dir) names() (names []string, above *dir) {
	for above = d; above.parent != nil && above.base == nil; above = above.parent {
		names = append(names, above.name)
	}
	slices.Reverse(names)
	return names, above
}

func (d *dir) child(name string) string { return join(d.path(), name) }

// handles are the two open directories of a dir. While the walk is far from a directory they are closed, so that a deep
// tree does not use up the descriptors; whoever uses them acquires them.
type handles struct {
	dirhandles.Dir[*dir]
	src  int   // in the snapshot; NoDir: there is none
	lost error // why there is none
	dst  int   // in the target
}

func (h *handles) set(src int, lost error, dst int) { h.src, h.lost, h.dst = src, lost, dst }

func (d *dir) closeHandles() error {
	h := &d.handles
	err := errors.Join(fsat.Close(h.src), fsat.Close(h.dst))
	h.src, h.dst = fsat.NoDir, fsat.NoDir
	return err
}

// openByPath opens the directory by the names from the top. That takes long where it is deep, but leaves no other
// handle open.
func (r *run) openByPath(d *dir) error {
	names, _ := d.names()
	dst, err := d.same(openPath(r.target, strings.Join(names, "/")))
	if err != nil {
		return err
	}
	src, lost := r.openStoredByPath(d)
	d.handles.set(src, lost, dst)
	return nil
}

// openStoredByPath opens the directory of the snapshot. One that was not there once is not looked for again.
func (r *run) openStoredByPath(d *dir) (int, error) {
	if err := d.handles.lost; err != nil {
		return fsat.NoDir, err
	}
	return stored(openPath(r.snapshot, d.path()))
}

// stored adds to an error what could not be opened. That concerns only what has its content there.
func stored(fd int, err error) (int, error) {
	if err != nil {
		return fsat.NoDir, fmt.Errorf("open stored folder: %w", err)
	}
	return fd, nil
}

// openFrom opens the directory from one directly below it.
func (r *run) openFrom(d, child *dir) (done bool, err error) {
	below := &child.handles
	dst, err := d.same(fsat.OpenParent(below.dst))
	if err != nil {
		return false, nil // the directory below was moved elsewhere: the names will do
	}
	var src int
	var lost error
	if below.src < 0 { // the one below is not in the snapshot, this one may be
		src, lost = r.openStoredByPath(d)
	} else if src, err = fsat.OpenParent(below.src); err != nil {
		return false, fsat.Close(dst)
	}
	d.handles.set(src, lost, dst)
	return true, nil
}

// openPath opens the folder at path below a directory, element by element.
func openPath(root int, path string) (int, error) {
	fd, err := fsat.OpenDir(root, ".")
	if err != nil || path == "" {
		return fd, err
	}
	for name := range strings.SplitSeq(path, "/") {
		next, err := fsat.OpenDir(fd, name)
		if err = errors.Join(err, fsat.Close(fd)); err != nil {
			return fsat.NoDir, errors.Join(err, fsat.Close(next))
		}
		fd = next
	}
	return fd, nil
}

var errMoved = errors.New("folder was moved or replaced while it was filled")

// same makes sure that what was opened in the target is the directory that was entered, and closes it if not.
func (d *dir) same(fd int, err error) (int, error) {
	if err != nil {
		return fsat.NoDir, &fs.PathError{Op: "open in target", Path: d.path(), Err: err}
	}
	var st fsat.Stat
	if err = fsat.StatHandle(fd, &st); err == nil && idOf(&st) != d.inode {
		err = errMoved
	}
	if err != nil {
		return fsat.NoDir, errors.Join(&fs.PathError{Op: "open in target", Path: d.path(), Err: err}, fsat.Close(fd))
	}
	return fd, nil
}

// openTargetDir opens the directory in the target for a caller who may come after it was left, and who closes it.
func (r *run) openTargetDir(d *dir) (int, error) {
	if d.parent == nil || d.base != nil {
		return fsat.OpenDir(r.target, ".")
	}
	fd := fsat.NoDir
	open, err := d.handles.IfOpen(func() (err error) {
		fd, err = fsat.OpenDir(d.handles.dst, ".")
		return err
	})
	if open {
		return fd, err
	}
	parent, err := r.openTargetDir(d.parent)
	if err != nil {
		return fsat.NoDir, err
	}
	fd, err = d.same(fsat.OpenDir(parent, d.name))
	if closeErr := fsat.Close(parent); closeErr != nil {
		return fsat.NoDir, errors.Join(closeErr, fsat.Close(fd))
	}
	return fd, err
}

// openTop starts the walk at the target.
func (r *run) openTop(selected []selection) error {
	d := &dir{selected: selected}
	r.top = d
	if r.whole {
		var err error
		d.entry, d.finish = r.from.Catalog.Root(), true
		if err = r.readRecord(d); err != nil {
			return err
		}
		if d.xattrs, err = r.from.Catalog.Xattrs(d.entry.Xattrs); err != nil {
			return err
		}
	}
	var st fsat.Stat
	if err := fsat.StatHandle(r.target, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: r.report.Target, Err: err}
	}
	d.inode = idOf(&st)
	list, err := fsat.ReadDir(r.target, make([]byte, 64<<10))
	if err != nil {
		return &fs.PathError{Op: "list", Path: r.report.Target, Err: err}
	}
	d.own = len(list) == 0
	src, err := fsat.OpenDir(r.snapshot, ".")
	if err != nil {
		return &fs.PathError{Op: "open", Path: r.from.Dir, Err: err}
	}
	dst, err := fsat.OpenDir(r.target, ".")
	if err != nil {
		return errors.Join(&fs.PathError{Op: "open", Path: r.report.Target, Err: err}, fsat.Close(src))
	}
	d.handles.set(src, nil, dst)
	r.dirs.Open, r.dirs.OpenFrom, r.dirs.Close = r.openByPath, r.openFrom, (*dir).closeHandles
	r.dirs.Start(&d.handles.Dir, d)
	return nil
}

func (r *run) readRecord(d *dir) error {
	rec, err := r.from.Catalog.ReadDir(d.entry.Child)
	if err != nil {
		return fmt.Errorf("%w: its catalog cannot be used: %w", ErrDamaged, err)
	}
	d.rec, d.cursor = rec, rec.Cursor()
	return nil
}

// enter makes a directory that items has found, or enters it if it exists.
func (r *run) enter(id int, parent *dir, item int) (d *dir, items int, ok bool, err error) {
	if err := parent.handles.Acquire(); err != nil {
		return nil, 0, false, err
	}
	defer func() { err = errors.Join(err, parent.handles.Release()) }()
	d = &dir{parent: parent}
	d.handles.set(fsat.NoDir, nil, fsat.NoDir)
	if parent.selected != nil {
		d.base, d.own, d.inode = &parent.selected[item], parent.own, parent.inode
		err = r.openByPath(d)
	} else {
		d.entry = parent.at(item)
		d.entry.Name = strings.Clone(d.entry.Name) // the record need not stay in memory for it
		d.name = d.entry.Name
		err = r.enterDir(&r.workers[id], d)
	}
	if err != nil {
		err = errors.Join(err, d.closeHandles())
		if d.base != nil {
			return nil, 0, false, err
		}
		if d.finish { // nothing is left of what could not be restored; only an empty folder can be removed
			if rmErr := fsat.Rmdir(parent.handles.dst, d.name); rmErr != nil && !fsat.IsExist(rmErr) {
				err = errors.Join(err, fmt.Errorf("remove folder: %w", rmErr))
			}
		}
		return nil, 0, false, r.failed(parent, &d.entry, err)
	}
	return d, d.items(), true, d.handles.Enter(&parent.handles.Dir, d)
}

// enterDir makes the directory, open to us alone while it is filled, and opens both sides.
func (r *run) enterDir(w *worker, d *dir) error {
	p := d.parent
	if err := r.readRecord(d); err != nil {
		return err
	}
	var err error
	if d.xattrs, err = w.xattrs.get(r.from.Catalog, d.entry.Xattrs); err != nil {
		return err
	}
	if err := r.step("mkdir"); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	switch err := fsat.Mkdir(p.handles.dst, d.name, 0o700); {
	case err == nil:
		d.own, d.finish = true, true
	case fsat.IsExist(err) && !p.own:
	default:
		return p.refused("make folder", err)
	}
	dst, err := fsat.OpenDir(p.handles.dst, d.name)
	if err != nil {
		if !d.finish && fsat.IsGone(err) {
			return fmt.Errorf("%w and is not a folder", ErrExists)
		}
		return fmt.Errorf("open in target: %w", err)
	}
	src, lost := fsat.NoDir, p.handles.lost
	if p.handles.src >= 0 {
		src, lost = stored(fsat.OpenDir(p.handles.src, d.name))
	}
	d.handles.set(src, lost, dst)
	if err := r.startDir(d); err != nil {
		return err
	}
	if d.finish {
		if err := r.startAttrs(dst, &d.entry); err != nil {
			return err
		}
	}
	if !d.finish {
		w.counts.Existing++
		r.told(d.parent, &d.entry, Entered)
	}
	return nil
}

// startDir takes off a new directory what it has inherited: the snapshot alone says what is in the target.
func (r *run) startDir(d *dir) error {
	dst := d.handles.dst
	var st fsat.Stat
	if err := fsat.StatHandle(dst, &st); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	d.inode = idOf(&st)
	if !d.finish {
		return nil
	}
	if !d.parent.plain {
		if err := r.checkNew(dst); err != nil {
			return err
		}
		if err := (inode{fd: dst}).dropACLs(true); err != nil {
			return err
		}
		if st.UID != r.euid || st.GID != r.egid {
			if err := fsat.Chown(dst, r.euid, r.egid); err != nil && !fsat.IsRefused(err) {
				return fmt.Errorf("chown: %w", err)
			}
		}
		if err := fsat.Chmod(dst, 0o700); err != nil && !fsat.IsRefused(err) {
			return fmt.Errorf("chmod: %w", err)
		}
		if err := fsat.StatHandle(dst, &st); err != nil {
			return fmt.Errorf("stat: %w", err)
		}
	}
	d.plain = st.UID == r.euid && st.GID == r.egid && st.Mode == 0o700
	return nil
}

// checkNew makes sure that a directory just made is the one that was opened, as far as it matters: where others may
// change names, they could have put a folder of ours in its place, and it must not get new contents and metadata.
func (r *run) checkNew(fd int) error {
	list, err := fsat.ReadDir(fd, make([]byte, 4096))
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if len(list) > 0 {
		return errMoved
	}
	return nil
}

// leave ends a directory: it gets its metadata now that nothing in it changes any more.
func (r *run) leave(id int, d *dir) (err error) {
	if err := d.handles.Acquire(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.handles.Release()) }()
	if d.finish {
		if err := r.finishDir(&r.workers[id], d); err != nil {
			return err
		}
	}
	d.rec, d.cursor, d.xattrs = nil, index.Cursor{}, nil
	return d.handles.Leave()
}

func (r *run) finishDir(w *worker, d *dir) error {
	e := d.entry
	e.Below = index.Totals{} // what is in it has been accounted for
	above := d.parent
	if above == nil {
		above = d
	}
	how := setting{plain: d.plain}
	if r.euid != 0 && e.Mode&0o500 != 0o500 {
		how.keep = 0o700 // names in it may still be linked to, and folders in it have to be closed first
	}
	set, err := r.setMetadata(w, inode{fd: d.handles.dst}, &e, d.xattrs, how)
	if err != nil {
		return r.failed(above, &e, fmt.Errorf("set metadata: %w", err))
	}
	if r.fsync {
		if err := fsat.Sync(d.handles.dst); err != nil {
			return r.failed(above, &e, fmt.Errorf("sync: %w", err))
		}
	}
	r.lockLater(d, "", &e, &set.stat)
	if how.keep != 0 {
		r.late.closeMode(d, set.mode)
	}
	if d.parent != nil {
		w.counts.Dirs++
		r.told(above, &e, Restored)
	}
	return nil
}
