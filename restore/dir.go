package restore

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"snapcopy/index"
	"snapcopy/internal/dirhandles"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// dir is one directory being restored. There are three kinds: the top, which is the target itself; below it the
// directories of the snapshot; and, if only some paths are wanted, between the two one base for each path, which pairs
// the folder of the snapshot that holds the path with the target.
type dir struct {
	parent   *dir
	name     string           // its own; "" for the top and a base
	selected []tree.Selection // the top's, if only some paths are wanted
	base     *tree.Selection  // a base's
	entry    index.Entry      // the metadata it gets
	xattrs   []index.Xattr

	// own: only this run makes names in it, so that one which exists is a second form of one made before.
	// finish: it gets its metadata when everything in it is there.
	// update: the same, if it is not as in the snapshot.
	// plain: what is made in it belongs to us and inherits nothing.
	// missing: a dry run has found that it does not exist.
	// spared: nothing in it is deleted, because something is mounted there that the snapshot knows nothing of.
	own, finish, update, plain, missing, spared bool

	diff    tree.Fields  // it existed: in what it was not as in the snapshot
	seen    seenMetadata // then
	touched atomic.Bool  // names in it have changed, or would without a dry run

	// leftOut is the rule by which a run with the snapshot's filters would not look into it, so that nothing is deleted.
	leftOut string

	inode tree.InodeID // in the target

	searched atomic.Bool // for what a killed restore has left
	open     openable
	settled  bool // it has got the snapshot's metadata

	folds bool            // names that differ may be the same there
	had   map[string]bool // its names when it was entered, if so

	mu     sync.Mutex // of the cursor
	rec    *index.Record
	cursor index.Cursor

	handles handles
}

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
		return d.base.Entry
	}
	e, _ := d.rec.At(item)
	return e
}

// take decodes the next entries, n in all the calls together, and returns how many there are in this one.
func (d *dir) take(w *worker, n int) int {
	if d.base != nil {
		w.entries[0], w.pos[0] = d.base.Entry, 0
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
	if above.base != nil && above.base.Folder != "" {
		names = slices.Insert(names, 0, above.base.Folder)
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

// above is where the entry of d is, for what is said of it; the top stands for itself.
func (d *dir) above() *dir {
	if d.parent == nil {
		return d
	}
	return d.parent
}

func (d *dir) child(name string) string { return index.Join(d.path(), name) }

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
	if err != nil {
		err = &fs.PathError{Op: "close folder", Path: d.path(), Err: err}
	}
	return err
}

// openByPath opens the directory by the names from the top. That takes long where it is deep, but leaves no other
// handle open.
func (r *run) openByPath(d *dir) error {
	names, above := d.names()
	dst := fsat.NoDir
	if !d.missing {
		path := r.below(names, above)
		var err error
		if dst, err = d.same(fsat.OpenPath(r.target, strings.TrimSuffix(path, "/"))); err != nil {
			return err
		}
	}
	src, lost := r.openStoredByPath(d)
	d.handles.set(src, lost, dst)
	return nil
}

// below gives the path, in the target, of a directory by its names.
func (r *run) below(names []string, above *dir) string {
	path := strings.Join(names, "/")
	if above.base != nil && r.opt.InPlace {
		path = index.Join(above.base.Folder, path)
	}
	return path
}

// targetPath gives the whole path of a directory of the target.
func (r *run) targetPath(d *dir) string {
	names, above := d.names()
	return filepath.Join(r.report.Target, r.below(names, above))
}

// openStoredByPath opens the directory of the snapshot. One that was not there once is not looked for again.
func (r *run) openStoredByPath(d *dir) (int, error) {
	if err := d.handles.lost; err != nil {
		return fsat.NoDir, err
	}
	return tree.OpenedStored(fsat.OpenPath(r.snapshot, d.path()))
}

// openFrom opens the directory from one directly below it.
func (r *run) openFrom(d, child *dir) (done bool, err error) {
	below := &child.handles
	if child.missing || r.opt.InPlace && d.parent == nil { // nothing to open it from: the names will do
		return false, nil
	}
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

var errMoved = errors.New("folder was moved or replaced while it was filled")

// same makes sure that what was opened in the target is the directory that was entered, and closes it if not.
func (d *dir) same(fd int, err error) (int, error) {
	if err != nil {
		return fsat.NoDir, &fs.PathError{Op: "open in target", Path: d.path(), Err: err}
	}
	var st fsat.Stat
	if err = fsat.StatHandle(fd, &st); err == nil && tree.IDOf(&st) != d.inode {
		err = errMoved
	}
	if err != nil {
		return fsat.NoDir, errors.Join(&fs.PathError{Op: "open in target", Path: d.path(), Err: err}, fsat.Close(fd))
	}
	return fd, nil
}

// openTargetDir opens the directory in the target for a caller who may come after it was left, and who closes it.
func (r *run) openTargetDir(d *dir) (int, error) {
	if d.base != nil && r.opt.InPlace {
		return d.same(fsat.OpenPath(r.target, d.base.Folder))
	}
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
