package tree

import (
	"errors"
	"fmt"
	"slices"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// A Setter sets the metadata of entries on inodes. Its fields are the abilities and the wishes of the process.
type Setter struct {
	UID, GID uint32 // of the process, and so of an inode that it makes
	// Readable makes an inode readable that belongs to the process although its entry has another owner: see SafeMode.
	Readable bool
	// Attrs sets file attributes (chattr), too, except those that lock an inode. They are read and set only on open
	// inodes.
	Attrs bool
	// Fault, if set, is asked before the first call and before the mode is set; an error it returns takes their place. Tests
	// use it.
	Fault func(step string) error
}

// Setting describes an inode before its metadata are set. The zero value assumes nothing.
type Setting struct {
	// Plain: the process has made the inode, it belongs to the process, and has inherited no ACL.
	Plain bool
	// Made is the mode that the inode was made with. If that is the entry's mode, it is set only if the inode turns
	// out to have another. 0: another mode than the entry's.
	Made uint32
	// Keep are mode bits that the inode needs for the time being.
	Keep uint32
	// KeepOwner: the inode stays the process's own, as if it could not be given to the entry's owner; its group is set.
	KeepOwner bool
	// Leave: nothing may be set, because it would reach another inode: see fsat.LinksTakeMetadata.
	Leave bool
}

// Done is the outcome for one inode.
type Done struct {
	Stat        fsat.Stat
	Mode        uint32          // final mode, without the bits of Keep
	Masked      uint32          // mode bits that an inode made with them does not get
	CatalogOnly Fields          // in which it differs from its entry
	Lacks       fsat.Privileges // needed privileges that root lacks
	// NoRoom is the first extended attribute refused by a "full" file system that is not full: the attributes exceed
	// the limit of an inode, or another attempt may succeed. Everything else was set.
	NoRoom struct {
		Xattr string
		Err   error
	}
}

// Unplaced returns an error for an extended attribute that was not set although the file system has space, if another
// attempt may set it. It returns nil if there is none, or if the set may exceed the limit of an inode; the smallest
// such limit is some hundred bytes (ext4 with blocks of 1 KiB). Free space does not tell of quotas: the error of an
// exhausted quota is wrapped.
func (d *Done) Unplaced(set []index.Xattr) error {
	const anywhere = 512
	err, size := d.NoRoom.Err, 0
	for _, x := range set {
		size += len(x.Name) + len(x.Value)
	}
	switch {
	case err == nil:
		return nil
	case fsat.IsOverQuota(err):
		return fmt.Errorf("set %s: %w", d.NoRoom.Xattr, err)
	case size > anywhere:
		return nil
	}
	return fmt.Errorf("set %s, though the target has room: %v", d.NoRoom.Xattr, err) // not wrapped: the disk is not full
}

// setting is the work on one inode.
type setting struct {
	*Setter
	Setting
	Done
	n     Inode
	e     *index.Entry
	set   []index.Xattr
	owned bool // it belongs to whom it should
}

// steps are in the order in which none undoes another.
var steps = [...]func(*setting) error{
	(*setting).begin,
	(*setting).setOwner,  // clears capabilities and set-ID bits
	(*setting).dropACLs,  // which change the mode
	(*setting).setXattrs, // ACLs among them
	(*setting).setAttrs,
	(*setting).setTime,
	(*setting).setMode, // after the time: an inode whose mode closes it to the process is recognised by its time
	(*setting).look,
	(*setting).unmask,
	(*setting).disarm,
}

// Set gives an inode the metadata of an entry, with a set of extended attributes sorted by name, and looks at the
// result: many file systems accept values that they cannot store without an error, and clamp them, round them, or
// forget them. Done.CatalogOnly has the metadata that the file system or the privileges do not permit; they are no error.
//
// Extended attributes that only the inode has stay, except for ACLs: see DropXattrs. Attributes are not read back.
//
// An inode that does not get the right owner gets neither set-ID bits nor capabilities: a program of root's must not
// become one of the user who makes it anew.
func (s *Setter) Set(n Inode, e *index.Entry, xattrs []index.Xattr, how Setting) (Done, error) {
	job := setting{Setter: s, Setting: how, n: n, e: e, set: xattrs}
	for _, step := range steps {
		if err := step(&job); err != nil {
			return job.Done, err
		}
	}
	job.judge()
	return job.Done, nil
}

func (s *Setter) step(name string) error {
	if s.Fault == nil {
		return nil
	}
	return s.Fault(name)
}

// refused records the needed privileges that root lacks, and reports whether err is a refusal.
func (j *setting) refused(err error, needed fsat.Privileges) bool {
	if !fsat.IsRefused(err) {
		return false
	}
	j.Lacks |= fsat.MissingFor(err, needed)
	return true
}

func (j *setting) begin() error {
	j.Mode = j.e.Mode
	return j.step("metadata")
}

// sameID stands for an owner or a group to leave alone.
const sameID = ^uint32(0)

// setOwner sets user and group, or at least the group. Some file systems ignore a change of owner without an error;
// setOwner checks that if it matters.
func (j *setting) setOwner() error {
	if j.Leave || j.Plain && j.e.UID == j.UID && j.e.GID == j.GID {
		j.owned = true
		return nil
	}
	both, err := j.chown()
	switch {
	case err != nil:
		return fmt.Errorf("chown: %w", err)
	case !both:
	case j.e.Mode&setID == 0 && len(j.set) == 0:
		j.owned = true
	default:
		var st fsat.Stat
		if err := j.n.stat(&st); err != nil {
			return fmt.Errorf("stat: %w", err)
		}
		j.owned = st.UID == j.e.UID && st.GID == j.e.GID
	}
	if !j.owned {
		j.Mode &^= setID
		if j.Readable {
			j.Mode = SafeMode(j.e)
		}
	}
	return nil
}

// chown changes user and group, or the group alone if the user is to stay or cannot be changed. both is false if the user
// was not changed. A refusal to change the group is no error.
func (j *setting) chown() (both bool, err error) {
	if !j.KeepOwner || j.e.UID == j.UID {
		err := j.n.chown(j.e.UID, j.e.GID)
		if !j.refused(err, fsat.CapChown) {
			return err == nil, err
		}
	}
	if err := j.n.chown(sameID, j.e.GID); !fsat.IsRefused(err) {
		return false, err
	}
	return false, nil
}

// setID are the mode bits that let a program run with the rights of its owner or group.
const setID = 0o6000

// SafeMode returns the mode for an inode that belongs to the process although its entry has another owner. It has no
// set-ID bits: a set-user-ID program of root's must not become one of the user who makes the snapshot. And it lets the
// owner read an inode that the process could read as its group or as others.
func SafeMode(e *index.Entry) uint32 {
	mode := e.Mode&^setID | 0o400
	if e.Type == index.Dir {
		mode |= 0o100
	}
	return mode
}

func (j *setting) dropACLs() error {
	if j.Plain || j.Leave || j.n.named() || j.e.Type == index.Symlink {
		return nil
	}
	return j.n.DropACLs(j.e.Type == index.Dir)
}

// setXattrs goes from the last name to the first: an ACL, whose name begins with "system.", may remove the right to
// set other attributes.
func (j *setting) setXattrs() error {
	if j.Leave {
		if len(j.set) > 0 {
			j.CatalogOnly |= Xattrs
		}
		return nil
	}
	for i := range slices.Backward(j.set) {
		if err := j.setXattr(&j.set[i]); err != nil {
			return fmt.Errorf("set %s: %w", j.set[i].Name, err)
		}
	}
	return nil
}

func (j *setting) setXattr(x *index.Xattr) error {
	if x.Name == Capability && !j.owned {
		j.CatalogOnly |= Xattrs
		return nil
	}
	err := j.n.setXattr(*x)
	if fsat.IsNoSpace(err) && j.n.hasRoom() { // space may just have been freed
		err = j.n.setXattr(*x)
	}
	switch {
	case err == nil:
	case j.refused(err, fsat.PrivilegeFor(x.Name)):
		j.CatalogOnly |= Xattrs
	case fsat.IsNoSpace(err) && j.n.hasRoom():
		j.CatalogOnly |= Xattrs
		if j.NoRoom.Err == nil {
			j.NoRoom.Xattr, j.NoRoom.Err = x.Name, err
		}
	default:
		return err
	}
	return nil
}

// LockingAttrs, immutable and append-only, prevent work on an inode: they are set last.
const LockingAttrs index.Attrs = 0x10 | 0x20

// setAttrs sets the file attributes of an open inode.
func (j *setting) setAttrs() error {
	if !j.Attrs || j.n.node || j.n.named() {
		return nil
	}
	want, mask := j.e.Attrs&^LockingAttrs, index.RecordedAttrs&^LockingAttrs
	err := fsat.SetAttrs(j.n.fd, uint32(want), uint32(mask))
	if err == nil {
		return nil
	}
	// An attribute unknown to the file system must not prevent the others.
	for bit := index.Attrs(1); bit != 0 && fsat.IsRefused(err); bit <<= 1 {
		if mask&bit == 0 {
			continue
		}
		if one := fsat.SetAttrs(j.n.fd, uint32(want), uint32(bit)); one != nil && !fsat.IsRefused(one) {
			err = one
		}
	}
	if !fsat.IsRefused(err) {
		return fmt.Errorf("set attributes: %w", err)
	}
	has, err := fsat.Attrs(j.n.fd)
	if err != nil {
		return fmt.Errorf("read attributes: %w", err)
	}
	j.CatalogOnly.mark(KnownAttrs(has)&mask != want, Attrs)
	return nil
}

func (j *setting) setTime() error {
	if j.Leave {
		return nil
	}
	err := j.n.setMtime(j.e.Mtime)
	if j.e.Type == index.Symlink && fsat.IsGone(err) { // the call reached the link's target
		return nil
	}
	if err != nil && !j.refused(err, fsat.CapFowner) {
		return fmt.Errorf("set time: %w", err)
	}
	return nil
}

func (j *setting) setMode() error {
	if j.e.Type == index.Symlink || j.isMade() {
		return nil
	}
	if err := j.step("mode"); err != nil {
		return err
	}
	return j.chmod(j.Mode | j.Keep)
}

// isMade reports whether the inode may have its mode already: an ACL would have changed it.
func (j *setting) isMade() bool { return j.Made != 0 && j.Made == j.Mode|j.Keep && len(j.set) == 0 }

func (j *setting) chmod(mode uint32) error {
	if err := j.n.chmod(mode); err != nil && !j.refused(err, fsat.CapFowner) {
		return fmt.Errorf("chmod: %w", err)
	}
	return nil
}

func (j *setting) look() error {
	if err := j.n.stat(&j.Stat); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	return nil
}

// unmask sets the mode of an inode that was made with this mode and has another, because the process or the file
// system masks some bits.
func (j *setting) unmask() error {
	if j.e.Type == index.Symlink || !j.isMade() || j.Stat.Mode == j.Mode|j.Keep {
		return nil
	}
	j.Masked = (j.Mode | j.Keep) &^ j.Stat.Mode
	if err := j.chmod(j.Mode | j.Keep); err != nil {
		return err
	}
	return j.look()
}

// disarm removes set-ID bits from an inode that, as only the last look has shown, has another owner.
func (j *setting) disarm() error {
	if j.Stat.Mode&setID == 0 || j.Leave || j.Stat.UID == j.e.UID && j.Stat.GID == j.e.GID {
		return nil
	}
	j.Mode &^= setID
	if err := j.chmod(j.Stat.Mode &^ setID); err != nil {
		return err
	}
	return j.look()
}

// judge records the metadata that the inode lacks.
func (j *setting) judge() {
	as := *j.e
	as.Mode |= j.Keep
	j.CatalogOnly |= DiffStat(&as, &j.Stat) & Settable(as.Type)
	if as.Type != index.Symlink {
		j.CatalogOnly.mark(j.Mode != j.e.Mode, Mode)
	}
	if j.Attrs && (j.n.node || j.n.named()) { // nobody can set them; some are inherited from the folder
		j.CatalogOnly.mark(j.e.Attrs != KnownAttrs(j.Stat.Attrs), Attrs)
	}
}

// Extended attributes with a meaning for the system.
const (
	AccessACL  = "system.posix_acl_access"
	DefaultACL = "system.posix_acl_default"
	Capability = "security.capability"
)

// DropACLs removes the ACLs of an inode; a folder may have two.
func (n Inode) DropACLs(folder bool) error {
	err := n.dropACL(AccessACL)
	if folder {
		err = errors.Join(err, n.dropACL(DefaultACL))
	}
	return err
}

func (n Inode) dropACL(name string) error {
	if err := n.removeXattr(name); err != nil && !fsat.IsRefused(err) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// DropXattrs takes off an open file or folder the extended attributes that are not in want, but for ACLs: Set removes those.
// It returns how many the file system does not let go.
func DropXattrs(fd int, want []index.Xattr) (kept uint64, err error) {
	has, err := fsat.Xattrs(fd)
	if err != nil {
		return 0, fmt.Errorf("read extended attributes: %w", err)
	}
	for _, x := range has {
		wanted := slices.ContainsFunc(want, func(y index.Xattr) bool { return x.Name == y.Name })
		if wanted || x.Name == AccessACL || x.Name == DefaultACL {
			continue
		}
		if err := fsat.RemoveXattr(fd, x.Name); fsat.IsRefused(err) {
			kept++
		} else if err != nil {
			return kept, fmt.Errorf("remove %s: %w", x.Name, err)
		}
	}
	return kept, nil
}
