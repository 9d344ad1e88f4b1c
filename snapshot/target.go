package snapshot

import (
	"cmp"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// This file has all functions that change inodes in the work tree. No function here reaches a stored file of a
// published snapshot: each gets an inode that this run has made.

// setMetadata sets the metadata of an entry on a new inode of the mirror, which was made with a mode, and flags in the
// entry the metadata that the inode lacks. lost is the error for metadata that another attempt may be able to set.
func (r *run) setMetadata(n tree.Inode, e *index.Entry, set []fsat.Xattr, made uint32) (stored fsat.Stat, lost, err error) {
	done, err := r.setter.Set(n, e, set, tree.Setting{
		Plain: true,
		Made:  made &^ r.umask,
		Leave: e.Type == index.Symlink && !r.caps.LinkMetadata, // the calls would reach the link's target
	})
	if err != nil {
		return done.Stat, nil, err
	}
	r.lacks.Or(uint64(done.Lacks))
	e.Flags |= done.NotHeld.Flags()
	if done.NoRoom.Err != nil && !r.areTooLarge(set) {
		e.Flags |= lacksForNow
		lost = fmt.Errorf("set %s in the archive, which has room: %w; the next run tries again", done.NoRoom.Xattr, done.NoRoom.Err)
	}
	return done.Stat, lost, r.readBack(n, e, set)
}

// makeSpecial makes a symbolic link, FIFO, socket or device in the mirror.
func (r *run) makeSpecial(w *worker, d *dir, e *index.Entry, set []fsat.Xattr) error {
	if r.opt.DryRun {
		return nil
	}
	// Not even tried if the probe has failed: the error would depend on the file system.
	if e.Type == index.Symlink && !r.caps.Symlinks || e.Type != index.Symlink && !r.caps.Specials {
		e.Flags |= index.NotStored
		return nil
	}
	if err := r.step("create"); err != nil {
		return fatal("make", d.child(e.Name), err)
	}
	dst := d.handles.dst
	var err error
	if e.Type == index.Symlink {
		err = fsat.MakeSymlink(e.Target, dst, e.Name)
	} else {
		err = fsat.MakeNode(dst, e.Name, tree.KindOf(e.Type), e.Mode, e.Major, e.Minor)
	}
	if fsat.IsRefused(err) || fsat.IsExist(err) || fsat.IsNameRefused(err) {
		if tree.IsDevice(e.Type) {
			r.refused(err, fsat.CapMknod)
		}
		e.Flags |= index.NotStored
		return nil
	}
	if err != nil {
		return fatal("make", d.child(e.Name), err)
	}
	flags := e.Flags
	stored, lost, err := r.setMetadata(tree.Named(dst, e.Name), e, set, 0)
	if err != nil {
		return fatal("set metadata of", d.child(e.Name), err)
	}
	if lost != nil {
		w.fail(d.child(e.Name), lost)
	}
	if !isAsMade(dst, e, &stored) {
		if err := fsat.Unlink(dst, e.Name); err != nil {
			return fatal("remove", d.child(e.Name), err)
		}
		e.Flags = flags | index.NotStored
		return nil
	}
	e.Stored, e.Blocks = stored.Ino, uint64(stored.Blocks)
	w.counts.BytesAllocated += e.Blocks * 512
	return nil
}

// finishDir sets the metadata of a folder of the mirror, when all its children are there. The snapshot's own top
// folder must stay writable for us until it has its final place, because without privileges a folder cannot be moved
// otherwise.
func (r *run) finishDir(w *worker, d *dir) error {
	fd := d.handles.dst
	e := d.self
	if d.parent == nil {
		e.Mode |= 0o700
	}
	stored, lost, err := r.setMetadata(tree.Opened(fd), &e, d.xattrs, 0o700)
	if err != nil {
		return fatal("set metadata of", d.path(), err)
	}
	if lost != nil {
		w.fail(cmp.Or(d.path(), "."), lost)
	}
	d.self.Flags, d.self.Stored, d.self.Blocks = e.Flags, stored.Ino, uint64(stored.Blocks)
	if d.parent == nil && archive.TopMode(&d.self) != d.self.Mode {
		d.self.Flags |= index.ModeNotHeld
	}
	w.structure += uint64(stored.Blocks) * 512
	w.counts.BytesAllocated += uint64(stored.Blocks) * 512
	w.notHeld.Add(d.self.Flags)
	if err := r.countNames(w, d); err != nil {
		return fatal("list", d.path(), err)
	}
	if r.caps.NeedsFsync {
		if err := fsat.Sync(fd); err != nil {
			return fatal("sync", d.path(), err)
		}
	}
	return nil
}
