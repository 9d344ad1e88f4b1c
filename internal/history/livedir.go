package history

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// liveDir is a directory of a live folder being compared. While the walk is far below it its handle is closed, so that
// a deep tree does not use up the descriptors.
type liveDir struct {
	parent *liveDir
	base   string // the top's: its path
	name   string
	was    index.Entry // in the snapshot; another Type than Dir: nothing below it to compare with
	id     tree.InodeID

	names   []fsat.DirEntry
	entries []index.Entry // goes with names: the snapshot's entries; Type 0: none

	mu    sync.Mutex
	users int
	fd    int
}

func (d *liveDir) path() string {
	if d.parent == nil {
		return d.base
	}
	return index.Join(d.parent.path(), d.name)
}

func (d *liveDir) identify() error {
	var st fsat.Stat
	if err := fsat.StatHandle(d.fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: d.path(), Err: err}
	}
	d.id = tree.IDOf(&st)
	return nil
}

// opened and closed keep account of the handles, so that a comparison that ends early can close them.
func (l *live) opened(d *liveDir) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[d] = struct{}{}
}

func (l *live) closed(d *liveDir) error {
	l.mu.Lock()
	delete(l.open, d)
	l.mu.Unlock()
	fd := d.fd
	d.fd = fsat.NoDir
	return fsat.Close(fd)
}

// acquire makes sure that the directory is open until release. One that was closed is looked up by the names from the
// top, and has to be the same.
func (l *live) acquire(d *liveDir) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		fd, err := fsat.OpenPath(l.root, d.path())
		if err != nil {
			return err
		}
		if err := l.reopened(d, fd); err != nil {
			return err
		}
	}
	d.users++
	return nil
}

// reopened gives a closed directory a new handle, if that is of the same inode.
func (l *live) reopened(d *liveDir, fd int) error {
	var st fsat.Stat
	err := fsat.StatHandle(fd, &st)
	if err == nil && tree.IDOf(&st) != d.id {
		err = errSwapped
	}
	if err != nil {
		return errors.Join(err, fsat.Close(fd))
	}
	d.fd = fd
	l.opened(d)
	return nil
}

var errSwapped = errors.New("folder was moved or replaced while it was compared")

func (d *liveDir) release() {
	d.mu.Lock()
	d.users--
	d.mu.Unlock()
}

// liveLevels is how many levels of directories above the one being compared are kept open.
const liveLevels = 24

// suspendAbove closes the handle of the directory that many levels above d, unless somebody is using it.
func (l *live) suspendAbove(d *liveDir) error {
	for range liveLevels {
		if d = d.parent; d == nil {
			return nil
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users > 0 || d.fd < 0 {
		return nil
	}
	return l.closed(d)
}

// enter starts a directory.
func (l *live) enter(id int, parent *liveDir, item int) (*liveDir, int, bool, error) {
	d := &liveDir{parent: parent, name: parent.names[item].Name, was: parent.entries[item], fd: fsat.NoDir}
	err := l.acquire(parent)
	if err == nil {
		d.fd, err = fsat.OpenDir(parent.fd, d.name)
		parent.release()
	}
	if fsat.IsOtherType(err) { // a second look tells what it is now
		return nil, 0, false, l.replaced(&l.workers[id], parent, item, err)
	}
	if fsat.IsGone(err) {
		if d.was.Type != 0 {
			err = l.removed(parent.path(), &d.was)
		} else {
			err = nil
		}
		return nil, 0, false, err
	}
	if err != nil {
		return nil, 0, false, l.fail(d.path(), tree.Cause(err))
	}
	l.opened(d)
	if err := l.fill(&l.workers[id], d); err != nil {
		return nil, 0, false, err
	}
	return d, len(d.names), true, l.suspendAbove(d)
}

// replaced compares what was listed as a directory and is none any more.
func (l *live) replaced(w *worker, parent *liveDir, item int, cause error) error {
	if err := l.acquire(parent); err != nil {
		return err
	}
	defer parent.release()
	isDir, err := l.item(w, parent, item)
	if err == nil && isDir {
		err = l.fail(index.Join(parent.path(), parent.names[item].Name), cause)
	}
	return err
}

// leave ends a directory. The one above is opened from it, which costs the same at any depth.
func (l *live) leave(_ int, d *liveDir) error {
	if p := d.parent; p != nil && d.fd >= 0 {
		p.mu.Lock()
		if p.fd < 0 {
			if fd, err := fsat.OpenParent(d.fd); err == nil {
				_ = l.reopened(p, fd) // otherwise the names will do
			}
		}
		p.mu.Unlock()
	}
	return l.closed(d)
}

// fill compares a directory itself, lists it, and pairs the names with the snapshot's entries.
func (l *live) fill(w *worker, d *liveDir) error {
	l.compared.Add(1)
	path := d.path()
	var st fsat.Stat
	err := fsat.StatHandle(d.fd, &st)
	if err != nil {
		return l.fail(path, err)
	}
	d.id = tree.IDOf(&st)
	if err := l.directory(d, path, &st); err != nil {
		return err
	}
	list, err := fsat.ReadDir(d.fd, w.copier.Buf[:64<<10])
	if err != nil {
		return l.fail(path, err)
	}
	return l.pair(d, path, list)
}

// pair tells of what is gone, and drops the names that are not to be looked at.
func (l *live) pair(d *liveDir, path string, list []fsat.DirEntry) error {
	was, err := openListing(l.catalog, &d.was)
	if err != nil {
		return err
	}
	d.names = list[:0]
	for i, n := range list {
		if i > 0 && n.Name == list[i-1].Name {
			continue
		}
		for was.more && was.entry.Name < n.Name {
			if err := l.removed(path, &was.entry); err != nil {
				return err
			}
			was.next()
		}
		e := index.Entry{}
		if was.more && was.entry.Name == n.Name {
			e = *kept(&was.entry)
			was.next()
		}
		if l.opt.Exclude != nil && l.excluded(index.Join(path, n.Name), n.Type == fsat.Directory) {
			continue
		}
		d.names = append(d.names, n)
		d.entries = append(d.entries, e)
	}
	for ; was.more; was.next() {
		if err := l.removed(path, &was.entry); err != nil {
			return err
		}
	}
	return nil
}

// items compares some of the names of a directory.
func (l *live) items(id int, d *liveDir, from, to int) (descend []int, err error) {
	if err := l.acquire(d); err != nil {
		return nil, l.fail(d.path(), tree.Cause(err))
	}
	defer d.release()
	for i := from; i < to; i++ {
		if l.ctx.Err() != nil {
			return nil, context.Cause(l.ctx)
		}
		isDir, err := l.item(&l.workers[id], d, i)
		if err != nil {
			return nil, err
		}
		if isDir {
			descend = append(descend, i)
		}
	}
	return descend, nil
}
