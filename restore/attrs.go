package restore

import (
	"errors"
	"fmt"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// lateAttrs are the locking attributes of an inode.
type lateAttrs struct {
	dir   *dir
	name  string // "": the directory itself
	attrs index.Attrs
	made  madeInode
}

// lockLater remembers the locking attributes of an entry that was made in d, or of d itself.
func (r *run) lockLater(d *dir, name string, e *index.Entry, made *fsat.Stat) {
	if !r.opt.Attrs || e.Attrs&tree.LockingAttrs == 0 || r.target.swap != nil && d == r.top && name == "" {
		return
	}
	r.late.mu.Lock()
	defer r.late.mu.Unlock()
	r.late.attrs = append(r.late.attrs, lateAttrs{d, strings.Clone(name), e.Attrs & tree.LockingAttrs, madeOf(made)})
}

// lockAll sets the locking attributes, in the order in which the inodes were finished: entries of a folder come before
// it.
func (r *run) lockAll() error {
	for _, l := range r.late.attrs {
		held, err := l.lock()
		if err != nil {
			return fmt.Errorf("set attributes of %q: %w", l.path(), err)
		}
		if !held {
			r.workers[0].counts.NotHeld.Attrs++
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

// lock sets them if the inode is still the one that was made: in a folder of another user it may have been replaced.
func (l *lateAttrs) lock() (held bool, err error) {
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
