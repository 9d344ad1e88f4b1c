package restore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
	"snapcopy/internal/outcome"
	"snapcopy/internal/tree"
)

// An entry of the target that only lacks metadata which the target's file system or these privileges cannot store is
// as good as a restore can make it: to make it again would change nothing. A trial on an inode of the restore's own,
// without a name, finds out which metadata can be stored: no list of file systems would be right for all of them.

// trials finds out in this way which metadata the target can take.
type trials struct {
	target   *target
	maker    *maker
	linkable sync.Map // whether file systems support hard links, by device
}

// scratch is such an inode, with a handle, on one file system.
type scratch struct {
	open bool
	dev  uint64
	fd   int
}

// most is the best result for an entry, given the file system and the privileges.
type most struct {
	stat   fsat.Stat
	xattrs index.Hash
	attrs  index.Attrs
	// noLocks says that no inode can be made immutable or append-only.
	noLocks bool
	// noDefault says that a default ACL was not tried, because the trial used a file.
	noDefault bool
}

// left returns the differences that could be mended. An owner that cannot be set is no difference: it is that of the
// process that made the entry.
func (m *most) left(e *index.Entry, diff tree.Fields, st *fsat.Stat) tree.Fields {
	if diff&tree.Owner&^tree.DiffStat(e, &m.stat) == 0 {
		diff &^= tree.Owner
	}
	if st.Mode == m.stat.Mode {
		diff &^= tree.Mode
	}
	if diff&tree.Mtime != 0 {
		off := distance(m.stat.Mtime, e.Mtime)
		switch { // a time out of range becomes another one, and some file systems keep none at all
		case off >= coarsest, off > 0 && distance(st.Mtime, e.Mtime) < coarsest:
			diff &^= tree.Mtime
		}
	}
	return diff
}

// coarsest is the coarsest unit in which file systems keep times.
const coarsest = 2 * time.Second

// distance returns how far two times are apart, within limits.
func distance(a, b index.Time) time.Duration {
	const far = 1 << 30
	if d := a.Sec - b.Sec; d > far || d < -far {
		return far * time.Second
	}
	return (time.Duration(a.Sec-b.Sec)*time.Second + time.Duration(a.Nsec) - time.Duration(b.Nsec)).Abs()
}

// most finds the best result for an entry of d. ok is false if no trial is possible: then every difference counts.
// Missing metadata are counted as catalog only. A folder can be tried on a file without a name, which leaves no trace,
// except for a default ACL: file systems with such files treat both alike.
func (t *trials) most(w *worker, d *dir, e *index.Entry) (m most, ok bool, err error) {
	as := *e
	as.Type = index.File
	if e.Type == index.Symlink {
		as.Mode = 0o777 // its only possible mode, which is not looked at
	}
	s, ok, err := t.scratchOn(w, d)
	if err != nil {
		return m, false, err
	}
	if ok {
		if m, ok, err = t.on(w, s.fd, &as); !ok {
			err = errors.Join(err, s.close()) // some file systems set nothing on an inode without a name
		}
		return m, ok, err
	}
	if e.Type == index.Dir {
		return m, false, nil
	}
	return t.onNamed(w, d, &as, func(in int, temp string) (int, error) { return fsat.Create(in, temp, 0o600) }, fsat.Unlink)
}

// onFolder does the same as most, on a folder, which has a name in d or in the target meanwhile.
func (t *trials) onFolder(w *worker, d *dir, e *index.Entry) (m most, ok bool, err error) {
	return t.onNamed(w, d, e, func(in int, temp string) (int, error) {
		if err := fsat.Mkdir(in, temp, 0o700); err != nil {
			return fsat.NoDir, err
		}
		fd, err := fsat.OpenDir(in, temp)
		if err != nil {
			err = errors.Join(err, fsat.Rmdir(in, temp))
		}
		return fd, err
	}, fsat.Rmdir)
}

// onNamed does the same as most, on an inode that has a name in d or in the target meanwhile. It is closed before it is removed:
// many file systems in user space, and NFS, give a removed open file another name, and remove that late, which then
// changes the time of its folder.
func (t *trials) onNamed(w *worker, d *dir, e *index.Entry, create func(in int, temp string) (int, error),
	remove func(in int, temp string) error) (m most, ok bool, err error) {
	if t.target.dry || t.target.step("scratch") != nil {
		return m, false, nil
	}
	for _, in := range t.scratchPlaces(d) {
		err := t.target.briefly(in, func() error {
			temp := t.temp(w, in, d)
			fd, err := create(in, temp)
			if err != nil {
				return nil // a real attempt to make an entry there reports the error
			}
			m, ok, err = t.on(w, fd, e)
			return errors.Join(err, fsat.Close(fd), remove(in, temp))
		})
		if ok || err != nil {
			return m, ok, err
		}
	}
	return m, false, nil
}

// on sets the metadata of an entry on a scratch inode.
func (t *trials) on(w *worker, fd int, e *index.Entry) (m most, ok bool, err error) {
	set, err := w.xattrs.Get(t.maker.catalog, e.Xattrs)
	if err != nil {
		return m, false, err
	}
	wanted := len(set)
	if e.Type != index.Dir {
		set = slices.DeleteFunc(slices.Clone(set), func(x index.Xattr) bool { return x.Name == tree.DefaultACL })
	}
	before := w.counts.CatalogOnly
	var made tree.Done
	err = fsat.Chmod(fd, 0o700) // an owner who may not write may set no extended attributes
	if err == nil || fsat.IsRefused(err) {
		made, err = t.maker.updateInode(w, fd, e, set)
	}
	if err == nil {
		m, err = t.look(fd, &made.Stat, e.Type == index.Dir)
		m.noDefault = len(set) < wanted
	}
	if err != nil {
		w.counts.CatalogOnly = before
		if t.maker.ctx.Err() != nil {
			return m, false, context.Cause(t.maker.ctx)
		}
		return m, false, nil
	}
	return m, true, nil
}

func (t *trials) look(fd int, st *fsat.Stat, folder bool) (m most, err error) {
	m.stat = *st
	set, err := fsat.Xattrs(fd)
	if err != nil {
		return m, fmt.Errorf("read extended attributes: %w", err)
	}
	m.xattrs = index.HashXattrs(set)
	if t.maker.setter.Attrs {
		attrs, err := fsat.Attrs(fd)
		if err != nil {
			return m, fmt.Errorf("read attributes: %w", err)
		}
		m.attrs = tree.KnownAttrs(attrs)
		if folder { // its name would stay if the process ended here
			return m, nil
		}
		err = fsat.SetAttrs(fd, uint32(tree.LockingAttrs), uint32(tree.LockingAttrs))
		if m.noLocks = fsat.IsRefused(err); err == nil {
			err = fsat.SetAttrs(fd, 0, uint32(tree.LockingAttrs))
		}
		if err != nil && !m.noLocks {
			return m, fmt.Errorf("set attributes: %w", err)
		}
	}
	return m, nil
}

// wanted is the metadata of an entry of d, or the best possible: a trial runs only if there is a difference.
type wanted struct {
	t        *trials
	w        *worker
	d        *dir
	e        *index.Entry
	tried    bool
	onFolder bool
	ok       bool
	most     most
	before   outcome.CatalogOnlyCounts // when nothing had been tried
}

func (m *wanted) try() (ok bool, err error) {
	if m.tried {
		return m.ok, nil
	}
	m.tried, m.before = true, m.w.counts.CatalogOnly
	if m.most, m.ok, err = m.t.most(m.w, m.d, m.e); !m.ok && err == nil {
		return m.tryFolder()
	}
	return m.ok, err
}

func (m *wanted) tryFolder() (ok bool, err error) {
	if m.e.Type == index.Dir && !m.onFolder {
		m.onFolder = true
		before := m.w.counts.CatalogOnly
		if m.ok { // it would be counted twice
			m.w.counts.CatalogOnly = m.before
		}
		if m.most, m.ok, err = m.t.onFolder(m.w, m.d, m.e); !m.ok {
			m.w.counts.CatalogOnly = before
		}
	}
	return m.ok, err
}

// leftAsMade reports whether the entry is a symbolic link on which the restore sets no metadata: see
// maker.linksTake.
func (m *wanted) leftAsMade() (bool, error) {
	if m.e.Type != index.Symlink || m.t.target.dry {
		return false, nil
	}
	can, err := m.t.maker.linksTake(m.w)
	return !can && err == nil, err
}

// hasStat reports whether an entry of the target has the metadata that stat data tell.
func (m *wanted) hasStat(st *fsat.Stat) (bool, error) {
	diff := tree.DiffStat(m.e, st) & tree.Settable(m.e.Type)
	if diff == 0 {
		return true, nil
	}
	if leave, err := m.leftAsMade(); leave || err != nil {
		if diff&tree.Owner != 0 {
			m.w.counts.CatalogOnly.Owners++
		}
		if diff&tree.Mtime != 0 {
			m.w.counts.CatalogOnly.Times++
		}
		return leave, err
	}
	ok, err := m.try()
	return ok && m.most.left(m.e, diff, st) == 0, err
}

func (m *wanted) hasXattrs(hash index.Hash) (bool, error) {
	if hash == m.e.XattrHash {
		return true, nil
	}
	if leave, err := m.leftAsMade(); leave || err != nil {
		return leave, err
	}
	ok, err := m.try()
	if ok && err == nil && m.most.noDefault {
		ok, err = m.tryFolder()
	}
	return ok && hash == m.most.xattrs, err
}

func (m *wanted) hasAttrs(attrs index.Attrs) (bool, error) {
	if attrs == m.e.Attrs {
		return true, nil
	}
	ok, err := m.try()
	if !ok || err != nil || attrs&^tree.LockingAttrs != m.most.attrs&^tree.LockingAttrs {
		return false, err
	}
	return attrs&tree.LockingAttrs == m.e.Attrs&tree.LockingAttrs || m.most.noLocks && attrs&tree.LockingAttrs == 0, nil
}

// hasOpened reports whether an open file has the extended attributes and the file attributes of the entry. It does not
// compare them if meta is false: then other metadata are known to differ.
func (m *wanted) hasOpened(fd int, meta bool) (bool, error) {
	set, err := fsat.Xattrs(fd)
	if err != nil {
		return false, fmt.Errorf("read extended attributes in target: %w", err)
	}
	attrs, err := fsat.Attrs(fd)
	if err != nil {
		return false, fmt.Errorf("read attributes in target: %w", err)
	}
	if meta {
		meta, err = m.hasXattrs(index.HashXattrs(set))
	}
	if meta && m.t.maker.setter.Attrs && err == nil {
		meta, err = m.hasAttrs(tree.KnownAttrs(attrs))
	}
	return meta, err
}

// scratchOn returns a worker's scratch file on the file system of d, if that supports files without a name.
func (t *trials) scratchOn(w *worker, d *dir) (s *scratch, ok bool, err error) {
	s = &w.scratch
	if s.open && s.dev == d.ID(inTarget).Dev {
		return s, true, nil
	}
	if err := s.close(); err != nil {
		return s, false, err
	}
	if t.target.step("scratch") != nil {
		return s, false, nil
	}
	for _, in := range t.scratchPlaces(d) {
		if s.fd, err = fsat.CreateUnnamed(in, 0o600); err == nil {
			s.open, s.dev = true, d.ID(inTarget).Dev
			return s, true, nil
		}
	}
	return s, false, nil // a real attempt to make an entry there reports the error
}

// scratchPlaces returns the folders in which an inode on the file system of d can be made.
func (t *trials) scratchPlaces(d *dir) (list []int) {
	if d.dst() != fsat.NoDir {
		list = append(list, d.dst())
	}
	if t.target.id.Dev == d.ID(inTarget).Dev { // where these privileges can make an entry if they can anywhere
		list = append(list, t.target.fd)
	}
	return list
}

// temp returns a worker's temporary name in one of the scratchPlaces of d.
func (t *trials) temp(w *worker, in int, d *dir) string {
	if in == t.target.fd {
		return w.tempIn(t.target.id)
	}
	return w.temp(d)
}

// canLink reports whether the file system of d supports hard links. A dry run assumes that.
func (t *trials) canLink(w *worker, d *dir) (can bool, err error) {
	if known, ok := t.linkable.Load(d.ID(inTarget).Dev); ok || t.target.dry {
		return !ok || known.(bool), nil
	}
	if _, ok, err := t.scratchOn(w, d); ok || err != nil { // files without a name get one by a link
		return true, err
	}
	in, temp, second := d.dst(), w.temp(d), leftover.Temporary(rand.Uint64(), d.ID(inTarget).Ino)
	can = true
	err = t.target.briefly(in, func() error {
		fd, err := fsat.Create(in, temp, 0o600)
		if err != nil {
			return nil // without a file to link, nothing is known
		}
		err = fsat.Link(in, temp, in, second)
		if can = !fsat.IsRefused(err); err == nil {
			var one, two fsat.Stat // over some protocols each name has a number of its own
			err = errors.Join(fsat.StatAt(in, temp, &one), fsat.StatAt(in, second, &two))
			can = tree.IDOf(&one) == tree.IDOf(&two)
			err = errors.Join(err, fsat.Unlink(in, second))
		} else {
			err = nil
		}
		return errors.Join(err, fsat.Close(fd), fsat.Unlink(in, temp))
	})
	t.linkable.Store(d.ID(inTarget).Dev, can)
	return can, err
}

func (s *scratch) close() error {
	if !s.open {
		return nil
	}
	s.open = false
	return fsat.Close(s.fd)
}
