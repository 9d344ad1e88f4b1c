package mirror

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// This file changes inodes. No function here reaches a stored file of a published snapshot: each gets an inode that
// this mirror has made. It checks new inodes where tree.Set does not.
//
// File systems use one error, "no space left on device", both for an extended attribute above their size limit and for
// a lack of space. The first comes back in each run, and such an attribute is only in the catalog. The second passes:
// if the disk is full, the run ends; if not, the error is returned as lost, and the entry is flagged (LacksForNow).

// plainFile is a new regular file of a Plain mirror.
type plainFile struct {
	of   *Plain
	fd   int
	made uint32 // mode that it was made with; 0: it is to be set in any case
}

func (f *plainFile) FD() int { return f.fd }

func (f *plainFile) Writable() (int, error) { return f.fd, failed("write", f.of.step("write")) }

func (f *plainFile) Finish(e *index.Entry, set []fsat.Xattr) (lost, err error) {
	st, lost, err := f.of.setMetadata(tree.Opened(f.fd), e, set, f.made)
	if err != nil {
		return nil, failed("set metadata of", err)
	}
	e.Stored, e.Blocks = st.Ino, uint64(st.Blocks)
	if f.of.at.NeedsFsync {
		err = fsat.Sync(f.fd)
	}
	return lost, failed("sync", err)
}

func (f *plainFile) Close() error { return failed("close", fsat.Close(f.fd)) }

// setMetadata sets the metadata of an entry on a new inode, which was made with a mode, and flags in the entry the
// metadata that the inode lacks. lost is the error for metadata that another attempt may be able to set.
func (p *Plain) setMetadata(n tree.Inode, e *index.Entry, set []fsat.Xattr, made uint32) (st fsat.Stat, lost, err error) {
	return p.setAs(n, e, set, tree.Setting{
		Plain: true,
		Made:  made &^ p.umask,
		Leave: e.Type == index.Symlink && !p.at.LinkMetadata, // the calls would reach the link's target
	})
}

// setFolder is setMetadata for a folder. One that could not be moved or emptied afterwards is not given away.
func (p *Plain) setFolder(n tree.Inode, e *index.Entry, set []fsat.Xattr) (st fsat.Stat, lost, err error) {
	keep := p.at.OwnFolders && e.UID != p.set.UID
	if keep {
		p.lacks.Or(uint64(fsat.Missing(fsat.CapOverride)))
	}
	return p.setAs(n, e, set, tree.Setting{Plain: true, Made: 0o700 &^ p.umask, KeepOwner: keep})
}

func (p *Plain) setAs(n tree.Inode, e *index.Entry, set []fsat.Xattr, how tree.Setting) (st fsat.Stat, lost, err error) {
	done, err := p.set.Set(n, e, set, how)
	if err != nil {
		return done.Stat, nil, err
	}
	p.lacks.Or(uint64(done.Lacks))
	e.Flags |= done.CatalogOnly.Flags()
	if done.NoRoom.Err != nil && !p.areTooLarge(set) {
		e.Flags |= LacksForNow
		lost = fmt.Errorf("set %s in the archive, which has room: %w; the next run tries again",
			done.NoRoom.Xattr, done.NoRoom.Err)
	}
	return done.Stat, lost, p.readBack(n, e, set)
}

// readBack flags the metadata of the entry that a new inode lacks by its stat data, or although setting them
// succeeded.
func (p *Plain) readBack(n tree.Inode, e *index.Entry, set []fsat.Xattr) error {
	if p.at.NeedsFsync && !everywhere(e.Mtime) {
		e.Flags |= index.TimeCatalogOnly
	}
	if len(set) == 0 || e.Flags&index.XattrsCatalogOnly != 0 || p.stored.has(e.XattrHash) {
		return nil
	}
	have, err := n.Xattrs()
	if err != nil && !fsat.IsRefused(err) {
		return fmt.Errorf("read back extended attributes: %w", err)
	}
	if !hasXattrs(have, set) {
		e.Flags |= index.XattrsCatalogOnly
		return nil
	}
	p.stored.add(e.XattrHash)
	return nil
}

// everywhere reports whether even FAT and exFAT can store a time. A file system in user space may return the time that
// was set while it is in memory, and write another one (exfat-fuse).
func everywhere(t index.Time) bool {
	const from, to = 315_532_800 + 86_400, 4_354_819_200 - 86_400 // 1980 to 2107, whatever the time zone
	return t.Sec > from && t.Sec < to
}

// hasXattrs reports whether an inode has all attributes in set. Security modules add some of their own.
func hasXattrs(have, set []fsat.Xattr) bool {
	for _, x := range set {
		i := slices.IndexFunc(have, func(h fsat.Xattr) bool { return h.Name == x.Name })
		if i < 0 || !bytes.Equal(have[i].Value, x.Value) {
			return false
		}
	}
	return true
}

// areTooLarge reports whether extended attributes exceed the size that the archive's file system permits for one
// inode. The smallest such limit is some hundred bytes (ext4 with blocks of 1 KiB); above that, it is tried on an
// empty file.
func (p *Plain) areTooLarge(set []fsat.Xattr) bool {
	const anywhere = 512
	size := 0
	for _, x := range set {
		size += len(x.Name) + len(x.Value)
	}
	if size <= anywhere {
		return false
	}
	p.trial.Lock()
	defer p.trial.Unlock()
	fd, err := fsat.Create(p.at.Work, trialName, 0o600)
	if err != nil {
		return false
	}
	refused := false
	for _, x := range set {
		refused = refused || fsat.IsNoSpace(fsat.SetXattr(fd, x))
	}
	return errors.Join(fsat.Close(fd), fsat.Unlink(p.at.Work, trialName)) == nil && refused
}

// xattrSets has the sets of extended attributes that a new inode was seen to have. A set that the file system has
// stored once is not read back again.
type xattrSets struct {
	mu   sync.Mutex
	sets map[index.Hash]struct{}
}

// maxSets bounds the sets; one that falls out is read back once more.
const maxSets = 1 << 14

func (s *xattrSets) has(set index.Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.sets[set]
	return ok
}

func (s *xattrSets) add(set index.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sets == nil || len(s.sets) >= maxSets {
		s.sets = make(map[index.Hash]struct{})
	}
	s.sets[set] = struct{}{}
}
