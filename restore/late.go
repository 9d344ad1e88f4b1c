package restore

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// lateWork has the modes and attributes that have to wait until all entries are there, since they would deny access.
type lateWork struct {
	locks bool // Options.Attrs
	moves bool // the target is to be moved, which its own attributes would prevent

	mu    sync.Mutex
	modes []lateMode
	attrs []lateAttrs
}

// lateMode is the final mode of a folder, which would deny access to it.
type lateMode struct {
	dir  *dir
	mode uint32
}

func (l *lateWork) closeMode(d *dir, mode uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.modes = append(l.modes, lateMode{d, mode})
}

// closeModes sets those modes, in the order in which the folders were left: folders below come before a folder.
func (r *run) closeModes() error {
	for _, m := range r.late.modes {
		if m.dir == r.top && r.target.swap != nil && !r.target.swap.done {
			continue // set after the exchange, when the note can go
		}
		if m.dir == r.top {
			if err := r.note.end(&r.workers[0], r.top.entry.Mtime); err != nil {
				return err
			}
		}
		if err := closeMode(m); err != nil {
			return err
		}
	}
	return nil
}

func closeMode(m lateMode) (err error) {
	fd, err := openAgain(m.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	if err := fsat.Chmod(fd, m.mode); err != nil && !fsat.IsRefused(err) {
		return fmt.Errorf("set mode of %q: %w", m.dir.Path(), err)
	}
	return nil
}

// lateAttrs are the locking attributes of an inode.
type lateAttrs struct {
	dir   *dir
	name  string // "": the directory itself
	attrs index.Attrs
	made  madeInode
}

// lock remembers the locking attributes of an entry that was made in d, or of d itself.
func (l *lateWork) lock(d *dir, name string, e *index.Entry, made *fsat.Stat) {
	if !l.locks || e.Attrs&tree.LockingAttrs == 0 || l.moves && d.parent == nil && name == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attrs = append(l.attrs, lateAttrs{d, strings.Clone(name), e.Attrs & tree.LockingAttrs, madeOf(made)})
}

// lockAll sets the locking attributes, in the order in which the inodes were finished: entries of a folder come before
// it.
func (l *lateWork) lockAll(w *worker) error {
	for _, a := range l.attrs {
		done, err := a.set()
		if err != nil {
			return fmt.Errorf("set attributes of %q: %w", a.path(), err)
		}
		if !done {
			w.counts.CatalogOnly.Attrs++
		}
	}
	return nil
}

func (l *lateAttrs) path() string {
	if l.name == "" {
		return l.dir.Path()
	}
	return l.dir.Child(l.name)
}

// set sets them if the inode is still the one that was made: in a folder of another user it may have been replaced.
func (l *lateAttrs) set() (done bool, err error) {
	fd, err := openAgain(l.dir)
	if err != nil {
		return false, err
	}
	if l.name != "" {
		file, err := fsat.OpenFile(fd, l.name)
		if err = errors.Join(err, fsat.Close(fd)); err != nil {
			return false, errors.Join(err, fsat.Close(file))
		}
		fd = file
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	var st fsat.Stat
	if err := fsat.StatHandle(fd, &st); err != nil {
		return false, err
	}
	if tree.IDOf(&st) != l.made.id {
		return false, errReplaced
	}
	err = fsat.SetAttrs(fd, uint32(l.attrs), uint32(tree.LockingAttrs))
	if fsat.IsRefused(err) {
		return false, nil
	}
	return err == nil, err
}
