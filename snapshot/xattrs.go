package snapshot

import (
	"errors"
	"fmt"
	"slices"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// File systems use one error, "no space left on device", both for an extended attribute above their size limit and for
// a lack of space. The first comes back in each run, and such an attribute is only in the catalog. The second passes:
// if the disk is full, the run ends; if not, the file is listed, its entry is marked so that the next run stores it
// anew (lacksForNow), and the snapshot is incomplete.

// lacksForNow are the flags of a stored file whose extended attributes could not be set, although the file system can
// store them.
const lacksForNow = index.XattrsNotHeld | index.Racy

// setXattrs gives a new inode its extended attributes by calls of setOne, from the end of the set: it is in the order
// of names, and an ACL may remove the right to set other attributes. flags mark a failure; lost is its error if
// another attempt may succeed.
func (r *run) setXattrs(set []fsat.Xattr, setOne func(fsat.Xattr) error) (flags index.Flags, lost, err error) {
	for _, x := range slices.Backward(set) {
		err := setOne(x)
		if fsat.IsNoSpace(err) && r.hasSpace() {
			err = setOne(x) // space may just have been freed
		}
		switch {
		case err == nil:
		case fsat.IsRefused(err):
			r.refused(err, fsat.PrivilegeFor(x.Name))
			flags |= index.XattrsNotHeld
		case !fsat.IsNoSpace(err) || !r.hasSpace():
			return flags, lost, err
		case r.areTooLarge(set):
			flags |= index.XattrsNotHeld
		default:
			flags |= lacksForNow
			if lost == nil {
				lost = fmt.Errorf("set %s in the archive, which has room: %w; the next run tries again", x.Name, err)
			}
		}
	}
	return flags, lost, nil
}

// hasSpace reports whether the archive's file system has free space. It does not know of quotas.
func (r *run) hasSpace() bool {
	const enough = 1 << 20
	space, err := fsat.FileSystem(r.work)
	return err == nil && space.Free >= enough && (space.Inodes == 0 || space.FreeInodes > 0)
}

// areTooLarge reports whether extended attributes exceed the size that the archive's file system permits for one
// inode. The smallest such limit is some hundred bytes (ext4 with blocks of 1 KiB); above that, it is tried on an
// empty file.
func (r *run) areTooLarge(set []fsat.Xattr) bool {
	const anywhere = 512
	size := 0
	for _, x := range set {
		size += len(x.Name) + len(x.Value)
	}
	if size <= anywhere {
		return false
	}
	r.xattrLock.Lock()
	defer r.xattrLock.Unlock()
	fd, err := fsat.Create(r.work, workXattrs, 0o600)
	if err != nil {
		return false
	}
	refused := false
	for _, x := range set {
		refused = refused || fsat.IsNoSpace(fsat.SetXattr(fd, x))
	}
	return errors.Join(fsat.Close(fd), fsat.Unlink(r.work, workXattrs)) == nil && refused
}
