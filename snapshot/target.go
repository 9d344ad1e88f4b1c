package snapshot

import (
	"cmp"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
)

// This file has all functions that change inodes in the work tree. No function here reaches a stored file of a
// published snapshot: each gets an inode that this run has made.

// setMetadata gives a new file its owner, extended attributes, mode and times, in the order in which none undoes
// another: a change of owner clears capabilities and set-ID bits, an ACL changes the mode. made is the mode the file
// was created with. flags mark metadata that the file system or the privileges do not permit; lost is the error for
// metadata that another attempt may be able to set.
func (r *run) setMetadata(fd int, e *index.Entry, set []fsat.Xattr, made uint32) (flags index.Flags, lost, err error) {
	flags = e.Flags
	if err := r.step("metadata"); err != nil {
		return flags, nil, err
	}
	mode := e.Mode
	if e.UID != r.euid || e.GID != r.egid {
		switch err := fsat.Chown(fd, e.UID, e.GID); {
		case fsat.IsRefused(err):
			r.refused(err, fsat.CapChown)
			var lost index.Flags
			mode, lost = archive.SafeMode(e)
			flags |= lost
		case err != nil:
			return flags, nil, err
		}
	}
	lacks, lost, err := r.setXattrs(set, func(x fsat.Xattr) error { return fsat.SetXattr(fd, x) })
	if flags |= lacks; err != nil {
		return flags, lost, err
	}
	if len(set) > 0 || made&^r.umask != mode {
		switch err := fsat.Chmod(fd, mode); {
		case fsat.IsRefused(err):
			r.refused(err, fsat.CapFowner)
			flags |= index.ModeNotHeld
		case err != nil:
			return flags, lost, err
		}
	}
	switch err := fsat.SetMtime(fd, e.Mtime); {
	case fsat.IsRefused(err):
		r.refused(err, fsat.CapFowner)
		flags |= index.TimeNotHeld
	case err != nil:
		return flags, lost, err
	}
	return flags, lost, nil
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
	switch e.Type {
	case index.Symlink:
		err = fsat.MakeSymlink(e.Target, dst, e.Name)
	case index.Fifo:
		err = fsat.MakeNode(dst, e.Name, fsat.Fifo, e.Mode, 0, 0)
	case index.Socket:
		err = fsat.MakeNode(dst, e.Name, fsat.Socket, e.Mode, 0, 0)
	case index.CharDevice:
		err = fsat.MakeNode(dst, e.Name, fsat.CharDevice, e.Mode, e.Major, e.Minor)
	case index.BlockDevice:
		err = fsat.MakeNode(dst, e.Name, fsat.BlockDevice, e.Mode, e.Major, e.Minor)
	}
	if fsat.IsRefused(err) || fsat.IsExist(err) || fsat.IsNameRefused(err) {
		if e.Type == index.CharDevice || e.Type == index.BlockDevice {
			r.refused(err, fsat.CapMknod)
		}
		e.Flags |= index.NotStored
		return nil
	}
	if err != nil {
		return fatal("make", d.child(e.Name), err)
	}
	lost, err := r.setMetadataAt(dst, e, set)
	if err != nil {
		return fatal("set metadata of", d.child(e.Name), err)
	}
	if lost != nil {
		r.fail(w, d.child(e.Name), lost)
	}
	var stored fsat.Stat
	if err := fsat.StatAt(dst, e.Name, &stored); err != nil {
		return fatal("stat", d.child(e.Name), err)
	}
	if !isAsMade(dst, e, &stored) {
		if err := fsat.Unlink(dst, e.Name); err != nil {
			return fatal("remove", d.child(e.Name), err)
		}
		e.Flags |= index.NotStored
		return nil
	}
	e.Stored, e.Blocks = stored.Ino, uint64(stored.Blocks)
	w.counts.BytesAllocated += e.Blocks * 512
	if err := r.readBack(newInode{fsat.NoDir, dst, e.Name}, e, set, &stored); err != nil {
		return fatal("read back metadata of", d.child(e.Name), err)
	}
	return nil
}

// setMetadataAt is setMetadata for an inode that cannot be opened.
func (r *run) setMetadataAt(dir int, e *index.Entry, set []fsat.Xattr) (lost, err error) {
	if e.Type == index.Symlink && !r.caps.LinkMetadata { // the calls would reach the link's target
		if len(set) > 0 {
			e.Flags |= index.XattrsNotHeld
		}
		return nil, nil // readBack flags the missing metadata
	}
	mode := e.Mode
	if e.UID != r.euid || e.GID != r.egid {
		switch err := fsat.ChownAt(dir, e.Name, e.UID, e.GID); {
		case fsat.IsRefused(err):
			r.refused(err, fsat.CapChown)
			var lost index.Flags
			mode, lost = archive.SafeMode(e)
			e.Flags |= lost
		case err != nil:
			return nil, err
		}
	}
	lacks, lost, err := r.setXattrs(set, func(x fsat.Xattr) error { return fsat.SetXattrAt(dir, e.Name, x) })
	if e.Flags |= lacks; err != nil {
		return nil, err
	}
	if e.Type != index.Symlink {
		switch err := fsat.ChmodAt(dir, e.Name, mode); {
		case fsat.IsRefused(err):
			r.refused(err, fsat.CapFowner)
			e.Flags |= index.ModeNotHeld
		case err != nil:
			return lost, err
		}
	}
	switch err := fsat.SetMtimeAt(dir, e.Name, e.Mtime); {
	case fsat.IsRefused(err), e.Type == index.Symlink && fsat.IsGone(err):
		r.refused(err, fsat.CapFowner)
		e.Flags |= index.TimeNotHeld
	case err != nil:
		return lost, err
	}
	return lost, nil
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
	var lost, err error
	if e.Flags, lost, err = r.setMetadata(fd, &e, d.xattrs, 0o700); err != nil {
		return fatal("set metadata of", d.path(), err)
	}
	if lost != nil {
		r.fail(w, cmp.Or(d.path(), "."), lost)
	}
	var stored fsat.Stat
	if err := fsat.StatHandle(fd, &stored); err != nil {
		return fatal("stat", d.path(), err)
	}
	if err := r.readBack(newInode{fd: fd}, &e, d.xattrs, &stored); err != nil {
		return fatal("read back metadata of", d.path(), err)
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
