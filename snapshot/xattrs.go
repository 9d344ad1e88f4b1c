package snapshot

import (
	"errors"

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
