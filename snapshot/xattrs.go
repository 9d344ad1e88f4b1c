package snapshot

import (
	"errors"
	"fmt"
	"slices"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// File systems use one error for an extended attribute that is larger than they let one be and for having no room: "no
// space left on device". The first will be so in each run, and the catalog is where such an attribute is kept. The second
// passes: the run ends if the disk is full. If it is not, the file is listed, its entry is marked so that the next run
// stores it anew (lacksForNow), and the snapshot is incomplete.

// lacksForNow are the flags of a stored file whose extended attributes could not be set, although the file system can
// hold them.
const lacksForNow = index.XattrsNotHeld | index.Racy

// setXattrs gives a new inode its extended attributes by calls of setOne, from the end of the set: it is in the order of
// names, and an ACL may take the right to set other attributes. What it does not hold now is returned as
// flags, and in lost if another attempt may give it.
func (r *run) setXattrs(set []fsat.Xattr, setOne func(fsat.Xattr) error) (flags index.Flags, lost, err error) {
	for _, x := range slices.Backward(set) {
		err := setOne(x)
		if fsat.IsNoSpace(err) && r.hasSpace() {
			err = setOne(x) // somebody may have given it back at this moment
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

// hasSpace reports whether the archive's file system has room. A quota is none of what it knows.
func (r *run) hasSpace() bool {
	const enough = 1 << 20
	space, err := fsat.FileSystem(r.work)
	return err == nil && space.Free >= enough && (space.Inodes == 0 || space.FreeInodes > 0)
}

// areTooLarge reports whether extended attributes are more than the archive's file system lets one inode have. The least
// that one allows are some hundred bytes (ext4 with blocks of 1 KiB); above that an empty file is asked.
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
