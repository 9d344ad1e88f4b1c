package restore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// maker makes inodes in the target, and gives inodes there their metadata. It changes only inodes that this run has
// made, or was told to update, and reaches each by its handle: its name may belong to another inode by now.
type maker struct {
	ctx     context.Context
	catalog *index.Catalog
	target  *target
	setter  tree.Setter // with the user and group of the process
	verify  bool        // Options.Verify
	// atOnce says that inodes in new folders get their names when they are begun: a note tells that they may be
	// unfinished.
	atOnce bool

	clones atomic.Int32  // whether the target accepts reflinks of stored files: one of the states below
	named  atomic.Bool   // the target does not support files without a name
	lacks  atomic.Uint64 // fsat.Privileges whose lack kept metadata from being set
	masked atomic.Uint32 // mode bits that new files do not get
	links  linkTrial
}

// linkTrial is the trial whether symbolic links take metadata of their own.
type linkTrial struct {
	once sync.Once
	take bool // they do
	err  error
}

// Whether the target accepts reflinks of stored files.
const (
	cloneUntried = iota
	cloneWorks
	cloneRefused
)

// file makes a regular file that only lacks its name. After a failure nothing is left of it.
func (m *maker) file(w *worker, d *dir, e *index.Entry, set []index.Xattr) (p pending, made fsat.Stat, err error) {
	src, stored, err := tree.OpenStored(d.src(), d.Lost(inSnapshot), e)
	if err != nil {
		return p, made, err
	}
	if err = m.target.step("create"); err != nil {
		return p, made, errors.Join(fmt.Errorf("create: %w", err), fsat.Close(src))
	}
	if p, err = m.newFile(w, d, e); err != nil {
		return p, made, errors.Join(d.refused("create", err), fsat.Close(src))
	}
	err = m.startAttrs(p.fd, e)
	if err == nil {
		err = m.fill(w, e, p.fd, src, &stored)
	}
	if err == nil {
		made, err = m.complete(w, d, e, set, &p)
	}
	if err = errors.Join(err, fsat.Close(src)); err != nil {
		err = errors.Join(err, p.end())
	}
	return p, made, err
}

// complete sets the metadata of a new file that has its content, and does all that is to be done before it has a name.
func (m *maker) complete(w *worker, d *dir, e *index.Entry, set []index.Xattr, p *pending) (made fsat.Stat, err error) {
	s, err := m.setMetadata(w, tree.Opened(p.fd), e, set, tree.Setting{Plain: d.plain, Made: p.mode})
	if err != nil {
		return made, err
	}
	if m.target.fsync || m.verify {
		if err := fsat.Sync(p.fd); err != nil {
			return made, fmt.Errorf("sync: %w", err)
		}
	}
	if m.verify {
		if err := m.readBack(w, e, p.fd); err != nil {
			return made, err
		}
	}
	return s.Stat, nil
}

// special makes a symbolic link, FIFO, socket or device from the catalog alone, as file does.
func (m *maker) special(w *worker, d *dir, e *index.Entry, set []index.Xattr) (p pending, made fsat.Stat, err error) {
	if err := m.target.step("create"); err != nil {
		return p, made, fmt.Errorf("create: %w", err)
	}
	if p, err = m.newSpecial(w, d, e); err != nil {
		return p, made, d.refused("create", err)
	}
	s, err := m.setMetadata(w, tree.Noded(p.fd, p.dir, p.temp), e, set, tree.Setting{Plain: d.plain})
	if err != nil {
		err = errors.Join(err, p.end())
	}
	return p, s.Stat, err
}

// newFile makes a regular file without a name, or with a temporary one if the file system does not support that. In a
// folder with a note that it is unfinished, the file gets its final name at once, and its final mode if no other
// metadata have to be set before: each saves a call. An unfinished file is then recognised by its content: see
// comparePart.
func (m *maker) newFile(w *worker, d *dir, e *index.Entry) (p pending, err error) {
	dir := d.dst()
	p = pending{dir: dir}
	if d.own && m.atOnce {
		mode := uint32(unfinishedMode)
		const special, readable = 0o7000, 0o400
		if d.plain && e.UID == m.setter.UID && e.GID == m.setter.GID && e.Xattrs == 0 && e.Mode&special == 0 &&
			e.Mode&readable != 0 && e.Mode&m.masked.Load() == 0 {
			mode, p.mode = e.Mode, e.Mode
		}
		p.fd, err = fsat.Create(dir, e.Name, mode)
		if err == nil {
			p.temp, p.placed = e.Name, true
		}
		return p, err
	}
	if !m.named.Load() {
		if err = m.target.step("unnamed"); err == nil {
			p.fd, err = fsat.CreateUnnamed(dir, 0o600)
		}
		if err == nil {
			return p, nil
		}
		p.fd = fsat.NoDir
		if !fsat.IsUnnamedRefused(err) {
			return p, err
		}
		m.named.Store(true)
	}
	p.temp = w.temp(d)
	p.fd, err = fsat.Create(dir, p.temp, 0o600)
	return p, err
}

// unfinishedMode is the mode of a file that has its name already but not yet its content: see newFile and isUnread.
// Its owner may write: without that right he may set no extended attributes.
const unfinishedMode = 0o200

// newSpecial makes a symbolic link, FIFO, socket or device under a temporary name or, as newFile does, the final one.
func (m *maker) newSpecial(w *worker, d *dir, e *index.Entry) (p pending, err error) {
	dir := d.dst()
	p = pending{dir: dir, fd: fsat.NoDir, temp: w.temp(d)}
	if d.own && m.atOnce {
		p.temp, p.placed = e.Name, true
	}
	if e.Type == index.Symlink {
		err = fsat.MakeSymlink(e.Target, dir, p.temp)
	} else {
		err = fsat.MakeNode(dir, p.temp, tree.KindOf(e.Type), 0o600, e.Major, e.Minor)
		if e.Type == index.CharDevice || e.Type == index.BlockDevice {
			err = whyNoDevice(err)
		}
	}
	if err == nil {
		if err = m.target.step("open made"); err == nil {
			p.fd, err = openMade(dir, p.temp, e)
		}
	}
	if fsat.IsExist(err) || errors.Is(err, errReplaced) {
		p.temp = "" // not ours
	}
	if err != nil { // some file systems report this although they have made the inode
		err = errors.Join(err, p.end())
	}
	return p, err
}

// whyNoDevice adds to an error the reason why even root may not make a device.
func whyNoDevice(err error) error {
	switch fsat.MissingFor(err, fsat.CapMknod) {
	case fsat.CapMknod:
		return fmt.Errorf("%w: root lacks CAP_MKNOD here", err)
	case fsat.InitialUser:
		return fmt.Errorf("%w: root of a user namespace cannot make devices", err)
	}
	return err
}

// startNew prepares a new folder: only the snapshot determines the target.
func (m *maker) startNew(d *dir, st *fsat.Stat) error {
	if !d.parent.plain {
		if err := m.dropInherited(d.dst(), st); err != nil {
			return err
		}
	}
	d.plain = st.UID == m.setter.UID && st.GID == m.setter.GID && st.Mode == 0o700
	return nil
}

// dropInherited removes inherited metadata from a new folder, and reads its stat data anew.
func (m *maker) dropInherited(dst int, st *fsat.Stat) error {
	if err := checkNew(dst); err != nil {
		return err
	}
	uid, gid := m.setter.UID, m.setter.GID
	if st.UID != uid || st.GID != gid { // before the rest: whose it is could give it another ACL after that
		if err := fsat.Chown(dst, uid, gid); err != nil && !fsat.IsRefused(err) {
			return fmt.Errorf("chown: %w", err)
		}
	}
	if err := tree.Opened(dst).DropACLs(true); err != nil {
		return err
	}
	if err := fsat.Chmod(dst, 0o700); err != nil && !fsat.IsRefused(err) {
		return fmt.Errorf("chmod: %w", err)
	}
	if err := fsat.StatHandle(dst, st); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	return nil
}

// checkNew checks that a folder just made is the one that was opened, as far as it matters: where others may change
// names, they could have put a folder of ours in its place, and that must not get new contents and metadata.
func checkNew(fd int) error {
	list, err := fsat.ReadDir(fd, make([]byte, 4096))
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if len(list) > 0 {
		return tree.ErrMoved
	}
	return nil
}

// openMade opens an entry that was just made, and checks that nobody has replaced it.
func openMade(dir int, name string, e *index.Entry) (int, error) {
	fd, err := fsat.OpenNode(dir, name)
	if err != nil {
		return fsat.NoDir, fmt.Errorf("open in target: %w", err)
	}
	var st fsat.Stat
	if err = fsat.StatHandle(fd, &st); err == nil && (st.Type != tree.KindOf(e.Type) || st.Nlink != 1) {
		err = errReplaced
	}
	if err != nil {
		return fsat.NoDir, errors.Join(err, fsat.Close(fd))
	}
	return fd, nil
}

var errReplaced = errors.New("it was replaced while it was restored")

// earlyAttrs are the file attributes (chattr) about how content is stored and how names are compared. They must be set
// while the inode is empty: compressed, not compressed, no copy on write, case folding.
const earlyAttrs index.Attrs = 0x4 | 0x400 | 0x800000 | 0x40000000

// startAttrs sets those attributes that only an empty file or folder accepts. Refusals are counted at the end.
func (m *maker) startAttrs(fd int, e *index.Entry) error {
	if early := e.Attrs & earlyAttrs; m.setter.Attrs && early != 0 {
		if err := fsat.SetAttrs(fd, uint32(early), uint32(early)); err != nil && !fsat.IsRefused(err) {
			return fmt.Errorf("set attributes: %w", err)
		}
	}
	return nil
}

// fill writes the content into the new file dst, as a reflink if possible, and compares it with the catalog's hash: as
// read on the way, or by reading the reflink.
func (m *maker) fill(w *worker, e *index.Entry, dst, src int, stored *fsat.Stat) error {
	cloned := m.clone(dst, src, e)
	to := dst
	if cloned { // the blocks are the same; those of the stored file may be in memory already
		to = filecopy.NoFile
	}
	if err := m.target.step("write"); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	n, hash, err := w.copier.Copy(m.ctx, to, src, int64(e.Size), hasHoles(src, stored))
	var writeErr *filecopy.WriteError
	switch {
	case m.ctx.Err() != nil:
		return context.Cause(m.ctx)
	case errors.As(err, &writeErr):
		return fmt.Errorf("write: %w", writeErr.Err)
	case err != nil:
		return tree.StoredError(fmt.Errorf("read: %w", err))
	case uint64(n) != e.Size:
		return fmt.Errorf("%w: it has %d bytes instead of %d", tree.ErrDamaged, n, e.Size)
	case hash != e.Hash:
		return tree.ErrContent
	}
	if _, kept := filecopy.KeepPreallocated(dst, src, stored, w.copier.Data, cloned); !kept {
		w.counts.CatalogOnly.Space++
	}
	if cloned {
		w.counts.BytesCloned += e.Size
	} else {
		w.counts.BytesWritten += uint64(w.copier.Data)
	}
	return nil
}

// clone makes dst share the content of src, if the file systems can. It does not try again after a refusal at the
// start.
func (m *maker) clone(dst, src int, e *index.Entry) bool {
	if e.Size == 0 || m.clones.Load() == cloneRefused {
		return false
	}
	if fsat.Clone(dst, src) == nil {
		m.clones.Store(cloneWorks)
		return true
	}
	m.clones.CompareAndSwap(cloneUntried, cloneRefused)
	return false
}

// hasHoles makes no system call for a small file that has all of its blocks.
func hasHoles(fd int, st *fsat.Stat) bool {
	const small = 1 << 20
	return (st.Blocks*512 < st.Size || st.Size > small) && fsat.HasHoles(fd, st.Size)
}

// readBack compares the file on the disk with the catalog.
func (m *maker) readBack(w *worker, e *index.Entry, fd int) error {
	if err := fsat.DropCache(fd); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	tick := w.copier.Tick
	w.copier.Tick = nil // it has been counted
	n, hash, err := w.copier.Copy(m.ctx, filecopy.NoFile, fd, int64(e.Size), fsat.HasHoles(fd, int64(e.Size)))
	w.copier.Tick = tick
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if uint64(n) != e.Size || hash != e.Hash {
		return errReadBack
	}
	w.counts.BytesVerified += e.Size
	return nil
}

var errReadBack = errors.New("the written content reads back differently: the target's disk or memory is at fault")
