package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// dir is one directory being restored. There are three kinds: the top, which is the target itself; below it the
// directories of the snapshot; and, if only some paths are wanted, between the two one base for each path, which pairs
// the folder of the snapshot that holds the path with the target.
type dir struct {
	parent   *dir
	name     string // its own; "" for the top and a base
	depth    int
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

// path is the directory's path in the snapshot; child adds one element. They are made for people only.
func (d *dir) path() string {
	var parts []string
	at := d
	for ; at.parent != nil && at.base == nil; at = at.parent {
		parts = append(parts, at.name)
	}
	if at.base != nil && at.base.folder != "" {
		parts = append(parts, at.base.folder)
	}
	slices.Reverse(parts)
	return strings.Join(parts, "/")
}

func (d *dir) child(name string) string { return join(d.path(), name) }

// handles are the two open directories of a dir. While the walk is far below a directory its handles are closed, so
// that a deep tree does not use up the descriptors; acquire opens them again.
type handles struct {
	mu    sync.Mutex
	users int
	open  bool
	src   int   // in the snapshot; NoDir: there is none
	lost  error // why there is none
	dst   int   // in the target
}

func (h *handles) set(src int, lost error, dst int) {
	h.src, h.lost, h.dst, h.open = src, lost, dst, true
}

func (h *handles) close() error {
	if !h.open {
		return nil
	}
	h.open = false
	return errors.Join(fsat.Close(h.src), fsat.Close(h.dst))
}

// openLevels is how many levels of directories above the one being filled are kept open.
const openLevels = 24

// acquire makes sure the directory's handles are open until release.
func (d *dir) acquire() error {
	h := &d.handles
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.open {
		if err := d.parent.acquire(); err != nil {
			return err
		}
		defer d.parent.release()
		if err := d.open(&d.parent.handles); err != nil {
			return err
		}
	}
	h.users++
	return nil
}

func (d *dir) release() {
	d.handles.mu.Lock()
	d.handles.users--
	d.handles.mu.Unlock()
}

// suspend closes the handles of a directory that nobody is using at the moment.
func (d *dir) suspend() error {
	h := &d.handles
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users > 0 {
		return nil
	}
	return h.close()
}

// open opens both directories from those of the parent. The caller has the parent's, and sees that nobody else opens d.
func (d *dir) open(parent *handles) error {
	dst, err := d.openIn(parent.dst)
	if err != nil {
		return err
	}
	src, lost := fsat.NoDir, parent.lost
	if parent.src >= 0 {
		src, lost = d.openStored(parent.src)
	}
	d.handles.set(src, lost, dst)
	return nil
}

// openStored opens the directory of the snapshot. That there is none concerns only what has its content there.
func (d *dir) openStored(parent int) (int, error) {
	var fd int
	var err error
	if d.base != nil {
		fd, err = openPath(parent, d.base.folder)
	} else {
		fd, err = fsat.OpenDir(parent, d.name)
	}
	if err != nil {
		return fsat.NoDir, fmt.Errorf("open stored folder: %w", err)
	}
	return fd, nil
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

// openIn opens the directory of the target again, and makes sure that it is the same.
func (d *dir) openIn(parent int) (int, error) {
	name := d.name
	if d.base != nil {
		name = "."
	}
	return d.openSame(parent, name)
}

func (d *dir) openSame(from int, name string) (int, error) {
	fd, err := fsat.OpenDir(from, name)
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

// resume opens the handles of d from those of a directory directly below it, which costs the same at any depth.
func (d *dir) resume(below *handles) error {
	h := &d.handles
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open || below.src < 0 {
		return nil
	}
	dst, err := d.openSame(below.dst, "..")
	if err != nil {
		return nil // the directory below was moved elsewhere: acquire goes by the names
	}
	src, err := fsat.OpenParent(below.src)
	if err != nil {
		return fsat.Close(dst)
	}
	h.set(src, nil, dst)
	return nil
}

// openTargetDir opens the directory in the target for a caller who may come after it was left, and who closes it.
func (r *run) openTargetDir(d *dir) (int, error) {
	if d.parent == nil || d.base != nil {
		return fsat.OpenDir(r.target, ".")
	}
	h := &d.handles
	h.mu.Lock()
	if h.open {
		defer h.mu.Unlock()
		return fsat.OpenDir(h.dst, ".")
	}
	h.mu.Unlock()
	parent, err := r.openTargetDir(d.parent)
	if err != nil {
		return fsat.NoDir, err
	}
	fd, err := d.openSame(parent, d.name)
	if closeErr := fsat.Close(parent); closeErr != nil {
		return fsat.NoDir, errors.Join(closeErr, fsat.Close(fd))
	}
	return fd, err
}

// liveDirs are the directories entered and not left, so that a run that ends early can close them.
type liveDirs struct {
	mu   sync.Mutex
	dirs map[*dir]struct{}
}

func (l *liveDirs) add(d *dir) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dirs == nil {
		l.dirs = make(map[*dir]struct{})
	}
	l.dirs[d] = struct{}{}
}

func (l *liveDirs) remove(d *dir) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.dirs, d)
}

func (l *liveDirs) close() error {
	var errs []error
	for d := range l.dirs {
		errs = append(errs, d.handles.close())
	}
	return errors.Join(errs...)
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
	r.live.add(d)
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
func (r *run) enter(id int, parent *dir, item int) (*dir, int, bool, error) {
	if err := parent.acquire(); err != nil {
		return nil, 0, false, err
	}
	defer parent.release()
	d := &dir{parent: parent, depth: parent.depth + 1}
	var err error
	if parent.selected != nil {
		d.base, d.own, d.inode = &parent.selected[item], parent.own, parent.inode
		err = d.open(&parent.handles)
	} else {
		d.entry = parent.at(item)
		d.entry.Name = strings.Clone(d.entry.Name) // the record need not stay in memory for it
		d.name = d.entry.Name
		err = r.enterDir(&r.workers[id], d)
	}
	if err != nil {
		err = errors.Join(err, d.handles.close())
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
	r.live.add(d)
	return d, d.items(), true, r.suspendAbove(d)
}

func (r *run) suspendAbove(d *dir) error {
	if d.depth <= openLevels {
		return nil
	}
	above := d
	for range openLevels {
		above = above.parent
	}
	if above.parent == nil {
		return nil
	}
	return above.suspend()
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
		src, lost = d.openStored(p.handles.src)
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
func (r *run) leave(id int, d *dir) error {
	w := &r.workers[id]
	if err := d.acquire(); err != nil {
		return err
	}
	defer r.live.remove(d)
	if d.finish {
		if err := r.finishDir(w, d); err != nil {
			return errors.Join(err, d.close())
		}
	}
	d.rec, d.cursor, d.xattrs = nil, index.Cursor{}, nil
	if d.parent == nil {
		return d.close()
	}
	return errors.Join(d.parent.resume(&d.handles), d.close())
}

// close closes the handles of a directory that was left.
func (d *dir) close() error {
	d.handles.mu.Lock()
	defer d.handles.mu.Unlock()
	return d.handles.close()
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
