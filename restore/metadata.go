package restore

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
)

// This file changes inodes in the target. This run has made each of them, and reaches it by its handle: its name may
// belong to another inode by now.

// inode is a handle of an inode: of an open file or folder, or a node handle.
type inode struct {
	fd   int
	node bool
	dir  int // of a node handle: folder and name it was opened by
	name string
}

func (n inode) asNode() fsat.Node { return fsat.Node{FD: n.fd, Dir: n.dir, Name: n.name} }

func (n inode) chown(uid, gid uint32) error {
	if n.node {
		return fsat.ChownNode(n.fd, uid, gid)
	}
	return fsat.Chown(n.fd, uid, gid)
}

func (n inode) chmod(mode uint32) error {
	if n.node {
		return fsat.ChmodNode(n.fd, mode)
	}
	return fsat.Chmod(n.fd, mode)
}

func (n inode) setMtime(t index.Time) error {
	if n.node {
		return fsat.SetMtimeNode(n.fd, t)
	}
	return fsat.SetMtime(n.fd, t)
}

func (n inode) setXattr(x index.Xattr) error {
	if n.node {
		return n.asNode().SetXattr(x)
	}
	return fsat.SetXattr(n.fd, x)
}

// hasRoom reports whether a failure to set an attribute has the error of a full file system although this one is not
// full: then the attribute is too large for one inode, or space has just been freed.
func (n inode) hasRoom(err error) bool {
	const room = 1 << 20
	if !errors.Is(err, syscall.ENOSPC) {
		return false
	}
	space, err := fsat.FileSystem(n.fd)
	return err == nil && space.Free >= room
}

// canBeTooLarge reports whether some file system does not let one inode have such a set. The smallest limit is some
// hundred bytes (ext4 with blocks of 1 KiB).
func canBeTooLarge(set []index.Xattr) bool {
	const anywhere = 512
	size := 0
	for _, x := range set {
		size += len(x.Name) + len(x.Value)
	}
	return size > anywhere
}

func (n inode) dropACL(name string) error {
	remove := func(name string) error { return fsat.RemoveXattr(n.fd, name) }
	if n.node {
		remove = n.asNode().RemoveXattr
	}
	if err := remove(name); err != nil && !fsat.IsRefused(err) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
	capability = "security.capability"
)

func (n inode) dropACLs(directory bool) error {
	err := n.dropACL(accessACL)
	if directory {
		err = errors.Join(err, n.dropACL(defaultACL))
	}
	return err
}

// setting says how to set the metadata of an inode.
type setting struct {
	plain bool   // the inode belongs to us and has inherited nothing
	mode  uint32 // made with and to have in the end, unless some bits are masked; 0: another
	keep  uint32 // mode bits it has to have for the time being
}

// settled is the outcome of setting the metadata of an inode.
type settled struct {
	stat fsat.Stat
	mode uint32 // it is to have in the end
}

// setMetadata sets all metadata in the catalog on an inode, in the order in which none undoes another: a change of
// owner clears capabilities and set-ID bits, an ACL changes the mode and may remove the right to set other attributes,
// so they are set from the last name to the first. It looks at the inode afterwards, and counts metadata that the
// target or the privileges do not permit.
func (r *run) setMetadata(w *worker, n inode, e *index.Entry, xattrs []index.Xattr, how setting) (s settled, err error) {
	if err := r.step("metadata"); err != nil {
		return s, err
	}
	if e.Type == index.Symlink {
		if holds, err := r.linksHoldMetadata(w); err != nil || !holds {
			return r.leaveMetadata(w, n, e, err)
		}
	}
	var lacks NotHeld
	s.mode = e.Mode
	owned, err := r.setOwner(n, e, xattrs, how)
	if err != nil {
		return s, err
	}
	if !owned { // a set-user-ID program of root's must not become one of the user who restores it
		s.mode &^= 0o6000
	}
	if !how.plain && e.Type != index.Symlink {
		if err := n.dropACLs(e.Type == index.Dir); err != nil {
			return s, err
		}
	}
	for _, x := range slices.Backward(xattrs) {
		if x.Name == capability && !owned {
			lacks.Xattrs = 1
			continue
		}
		err := n.setXattr(x)
		room := n.hasRoom(err)
		if room {
			err = n.setXattr(x)
		}
		switch {
		case err == nil:
		case fsat.IsRefused(err), room && canBeTooLarge(xattrs):
			r.refused(err, fsat.PrivilegeFor(x.Name))
			lacks.Xattrs = 1
		case room && fsat.IsNoSpace(err): // not wrapped: the restore need not end
			return s, fmt.Errorf("set %s, though the target has room: %v", x.Name, err)
		default:
			return s, fmt.Errorf("set %s: %w", x.Name, err)
		}
	}
	if r.opt.Attrs && !n.node {
		held, err := r.setAttrs(n, e)
		if err != nil {
			return s, err
		}
		if !held {
			lacks.Attrs = 1
		}
	}
	if err := n.setMtime(e.Mtime); fsat.IsRefused(err) {
		r.refused(err, fsat.CapFowner)
	} else if err != nil {
		return s, fmt.Errorf("set time: %w", err)
	}
	if e.Type != index.Symlink && how.mode == 0 { // last: isUnread recognises an inode closed to us by its time
		if err := r.step("mode"); err != nil {
			return s, err
		}
		if err := n.chmod(s.mode | how.keep); fsat.IsRefused(err) {
			r.refused(err, fsat.CapFowner)
		} else if err != nil {
			return s, fmt.Errorf("chmod: %w", err)
		}
	}
	st := &s.stat
	if err := fsat.StatHandle(n.fd, st); err != nil {
		return s, fmt.Errorf("stat: %w", err)
	}
	if how.mode != 0 && st.Mode != s.mode {
		r.masked.Or(s.mode &^ st.Mode)
		if err := n.chmod(s.mode); err != nil && !fsat.IsRefused(err) {
			return s, fmt.Errorf("chmod: %w", err)
		}
		if err := fsat.StatHandle(n.fd, st); err != nil {
			return s, fmt.Errorf("stat: %w", err)
		}
	}
	if r.opt.Attrs && n.node && !inheritedAttrs(e, st) {
		lacks.Attrs = 1
	}
	if st.UID != e.UID || st.GID != e.GID {
		lacks.Owners = 1
	}
	if e.Type != index.Symlink && (st.Mode != s.mode|how.keep || s.mode != e.Mode) {
		lacks.Modes = 1
	}
	if st.Mtime != e.Mtime {
		lacks.Times = 1
	}
	w.counts.NotHeld.add(&lacks)
	return s, nil
}

// linksHoldMetadata reports whether the target's file system can set owner and time of a symbolic link: over some
// protocols they would reach the link's target, which may be any file.
func (r *run) linksHoldMetadata(w *worker) (bool, error) {
	if !r.fsync { // a file system of this machine
		return true, nil
	}
	r.linkTry.Do(func() {
		random := leftover.Temporary(w.random, r.top.ID(inTarget).Ino) + "-link"
		r.linkErr = r.briefly(r.target, func() (err error) {
			r.linkHolds, err = fsat.LinksHoldMetadata(r.target, random)
			return err
		})
	})
	if r.linkErr != nil {
		return false, fmt.Errorf("try to set the time of a symbolic link: %w", r.linkErr)
	}
	return r.linkHolds, nil
}

// leaveMetadata is setMetadata for a link whose metadata are not set.
func (r *run) leaveMetadata(w *worker, n inode, e *index.Entry, err error) (settled, error) {
	s := settled{mode: e.Mode}
	if err = errors.Join(err, fsat.StatHandle(n.fd, &s.stat)); err != nil {
		return s, err
	}
	var lacks NotHeld
	if s.stat.UID != e.UID || s.stat.GID != e.GID {
		lacks.Owners = 1
	}
	if s.stat.Mtime != e.Mtime {
		lacks.Times = 1
	}
	if e.Xattrs != 0 {
		lacks.Xattrs = 1
	}
	w.counts.NotHeld.add(&lacks)
	return s, nil
}

// sameID stands for an owner or a group to leave alone.
const sameID = ^uint32(0)

// setOwner sets owner and group, or at least the group. owned is false if the inode has another owner than it should,
// which some file systems let happen without an error.
func (r *run) setOwner(n inode, e *index.Entry, xattrs []index.Xattr, how setting) (owned bool, err error) {
	if how.plain && e.UID == r.euid && e.GID == r.egid {
		return true, nil
	}
	err = n.chown(e.UID, e.GID)
	if err == nil && (e.Mode&0o6000 != 0 || len(xattrs) > 0) {
		var st fsat.Stat
		err := fsat.StatHandle(n.fd, &st)
		return st.UID == e.UID && st.GID == e.GID, err
	}
	if !fsat.IsRefused(err) {
		return err == nil, err
	}
	r.refused(err, fsat.CapChown)
	if err = n.chown(sameID, e.GID); fsat.IsRefused(err) {
		err = nil
	}
	return false, err
}
