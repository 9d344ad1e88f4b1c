package snapshot

import (
	"bytes"
	"errors"
	"slices"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// This file looks at what the archive's file system has made of a new inode. Many take what they cannot hold without an
// error, and clamp it, round it, map it to something else or forget it; then the catalog alone has the truth. What stat
// tells costs no call of its own: a new inode is looked at anyway, for its number.

// newInode is an inode of the mirror that this run has made: an open one, or what cannot be opened by its name.
type newInode struct {
	fd   int // NoDir: it is name in dir
	dir  int
	name string
}

func (n newInode) chmod(mode uint32) error {
	if n.fd >= 0 {
		return fsat.Chmod(n.fd, mode)
	}
	return fsat.ChmodAt(n.dir, n.name, mode)
}

func (n newInode) xattrs() ([]fsat.Xattr, error) {
	if n.fd >= 0 {
		return fsat.Xattrs(n.fd)
	}
	return fsat.XattrsAt(n.dir, n.name)
}

// readBack flags what a new inode, which stored describes, does not hold of the entry though setting it has succeeded.
func (r *run) readBack(n newInode, e *index.Entry, set []fsat.Xattr, stored *fsat.Stat) error {
	e.Flags |= (tree.DiffStat(e, stored) & tree.Settable(e.Type)).Flags()
	if r.caps.NeedsFsync && !everywhere(e.Mtime) {
		e.Flags |= index.TimeNotHeld
	}
	if e.Flags&index.OwnerNotHeld != 0 && stored.Mode&0o6000 != 0 {
		// A program must not run with the rights of somebody it never belonged to.
		e.Flags |= index.ModeNotHeld
		if err := n.chmod(stored.Mode &^ 0o6000); err != nil && !fsat.IsRefused(err) {
			return err
		}
	}
	if len(set) == 0 || e.Flags&index.XattrsNotHeld != 0 || r.heldXattrs.has(e.XattrHash) {
		return nil
	}
	have, err := n.xattrs()
	if err != nil && !fsat.IsRefused(err) {
		return err
	}
	if !holdsXattrs(have, set) {
		e.Flags |= index.XattrsNotHeld
		return nil
	}
	r.heldXattrs.add(e.XattrHash)
	return nil
}

// everywhere reports whether even FAT and exFAT can hold a time. A file system in user space answers with what it was
// given for as long as it has that in memory, and writes something else (exfat-fuse).
func everywhere(t index.Time) bool {
	const from, to = 315_532_800 + 86_400, 4_354_819_200 - 86_400 // 1980 to 2107, whatever the time zone
	return t.Sec > from && t.Sec < to
}

// holdsXattrs reports whether all of set are among those that an inode has. Security modules add some of their own.
func holdsXattrs(have, set []fsat.Xattr) bool {
	for _, x := range set {
		i := slices.IndexFunc(have, func(h fsat.Xattr) bool { return h.Name == x.Name })
		if i < 0 || !bytes.Equal(have[i].Value, x.Value) {
			return false
		}
	}
	return true
}

// isAsMade reports whether a symbolic link or special file is what was asked for.
func isAsMade(dir int, e *index.Entry, stored *fsat.Stat) bool {
	if e.Type == index.Symlink {
		if stored.Type == fsat.Symlink && uint64(stored.Size) == e.Size {
			return true
		}
		target, err := fsat.Readlink(dir, e.Name, stored.Size)
		return err == nil && target == e.Target
	}
	return tree.DiffStat(e, stored)&(tree.Type|tree.Rdev) == 0
}

// xattrSets are sets of extended attributes that a new inode was seen to hold. What the file system has held once is
// not read back again.
type xattrSets struct {
	mu   sync.Mutex
	sets map[index.Hash]struct{}
}

func (s *xattrSets) has(set index.Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.sets[set]
	return ok
}

func (s *xattrSets) add(set index.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sets == nil || len(s.sets) >= maxRefs {
		s.sets = make(map[index.Hash]struct{})
	}
	s.sets[set] = struct{}{}
}

// countNames counts the entries of a finished directory that the file system lists under another name than it was given,
// though it finds them by that too: some keep accents as characters of their own, or drop a dot at the end.
func (r *run) countNames(w *worker, d *dir) error {
	if r.caps.NamesKept {
		return nil
	}
	fd, err := fsat.OpenDir(d.handles.dst, ".")
	if err != nil {
		return err
	}
	list, err := fsat.ReadDir(fd, w.list)
	if err := errors.Join(err, fsat.Close(fd)); err != nil {
		return err
	}
	for i := range d.entries {
		if e := &d.entries[i]; e.Flags&index.NotStored == 0 && !archive.Lists(list, e.Name) {
			w.notHeld.Names++
		}
	}
	return nil
}
