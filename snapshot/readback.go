package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// This file checks new inodes where tree.Set does not: extended attributes, special files, names. Many file systems
// accept values that they cannot store without an error; then only the catalog has the truth.

// readBack flags the metadata of the entry that a new inode lacks by its stat data, or although setting them
// succeeded.
func (r *run) readBack(n tree.Inode, e *index.Entry, set []fsat.Xattr) error {
	if r.caps.NeedsFsync && !everywhere(e.Mtime) {
		e.Flags |= index.TimeNotHeld
	}
	if len(set) == 0 || e.Flags&index.XattrsNotHeld != 0 || r.heldXattrs.has(e.XattrHash) {
		return nil
	}
	have, err := n.Xattrs()
	if err != nil && !fsat.IsRefused(err) {
		return fmt.Errorf("read back extended attributes: %w", err)
	}
	if !holdsXattrs(have, set) {
		e.Flags |= index.XattrsNotHeld
		return nil
	}
	r.heldXattrs.add(e.XattrHash)
	return nil
}

// everywhere reports whether even FAT and exFAT can store a time. A file system in user space may return the time that
// was set while it is in memory, and write another one (exfat-fuse).
func everywhere(t index.Time) bool {
	const from, to = 315_532_800 + 86_400, 4_354_819_200 - 86_400 // 1980 to 2107, whatever the time zone
	return t.Sec > from && t.Sec < to
}

// holdsXattrs reports whether an inode has all attributes in set. Security modules add some of their own.
func holdsXattrs(have, set []fsat.Xattr) bool {
	for _, x := range set {
		i := slices.IndexFunc(have, func(h fsat.Xattr) bool { return h.Name == x.Name })
		if i < 0 || !bytes.Equal(have[i].Value, x.Value) {
			return false
		}
	}
	return true
}

// isAsMade reports whether a symbolic link or special file has the target or device number that was asked for.
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

// xattrSets has the sets of extended attributes that a new inode was seen to have. A set that the file system has
// stored once is not read back again.
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

// countNames counts the entries of a finished folder that the file system lists under another name than the given one,
// though it finds them by that too: some file systems keep accents as characters of their own, or drop a dot at the
// end.
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
