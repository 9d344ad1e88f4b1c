package fsat

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// Class is the meaning of an error number for the name, inode or file system of the failed call. There are few
// classes. An error not known to mean more is Passing: nothing may be concluded from it about a name, a file system or
// a stored file.
type Class int

const (
	Fine      Class = iota // no error
	Gone                   // an open met no directory, or a link; a second look tells the type
	OtherType              // an open failed because the name is not a directory, or is a link; a second look tells its type
	Full                   // no space, no inode, or no quota
	Refused                // the file system or these privileges do not permit the call, and will not next time either
	BadDisk                // the disk failed, or the file system on it is damaged
	Passing                // any other error: a dead mount, no memory, no descriptors; the call may succeed next time
)

// ClassOf looks through wrapping. It is the one place that gives an error number a general meaning; the functions
// below that mention a call know its meaning for that call.
//
// ESTALE is Passing: a server that came back with other handles returns it for files that are all intact. EIO of a
// network file system may be passing, too, but cannot be told from that of a disk, so it is BadDisk.
func ClassOf(err error) Class {
	if err == nil {
		return Fine
	}
	var e unix.Errno
	if !errors.As(err, &e) {
		return Passing
	}
	switch e {
	case unix.ENOENT:
		return Gone
	case unix.ENOTDIR, unix.ELOOP:
		return OtherType
	case unix.ENOSPC, unix.EDQUOT:
		return Full
	case unix.EPERM, unix.EACCES, unix.ENOTSUP, unix.ENOSYS, unix.EINVAL, unix.EOVERFLOW, unix.EXDEV, unix.ENOTTY,
		unix.E2BIG, unix.ERANGE:
		return Refused
	case unix.EIO, unix.EUCLEAN, unix.EBADMSG: // the last two are EFSCORRUPTED and EFSBADCRC
		return BadDisk
	}
	return Passing
}

// IsGone reports that the name does not exist.
func IsGone(err error) bool { return ClassOf(err) == Gone }

// IsNoDir reports that an attempt to open a directory found no directory: the name does not exist, or belongs to
// another type of file by now.
func IsNoDir(err error) bool { return IsGone(err) || IsOtherType(err) }

// IsOtherType reports that an attempt to open a name met another type of file.
func IsOtherType(err error) bool { return ClassOf(err) == OtherType }

// IsNoSpace reports a full file system or an exhausted quota.
func IsNoSpace(err error) bool { return ClassOf(err) == Full }

// IsRefused reports a call that this file system or these privileges do not permit.
func IsRefused(err error) bool { return ClassOf(err) == Refused }

// IsBadDisk reports that a disk, or the file system on it, is damaged.
func IsBadDisk(err error) bool { return ClassOf(err) == BadDisk }

// IsOverQuota reports an exhausted quota, of bytes or of files.
func IsOverQuota(err error) bool { return is(err, unix.EDQUOT) }

// IsPassing reports an error of the system that proves nothing about stored data: the call may succeed next time.
func IsPassing(err error) bool {
	var e unix.Errno
	return errors.As(err, &e) && ClassOf(e) == Passing
}

// IsLinkLimit reports an inode that can take no further name.
func IsLinkLimit(err error) bool { return is(err, unix.EMLINK) }

// IsBusy reports that a reflink failed but may work later: ZFS refuses one while the file is not on the disk.
func IsBusy(err error) bool { return is(err, unix.EAGAIN, unix.EBUSY) }

// IsNoLink reports that an attempt to read a symbolic link met another type of file.
func IsNoLink(err error) bool { return is(err, unix.EINVAL) }

// IsNameRefused reports that an attempt to make a name in an open directory failed because this file system does not
// permit such names. exfat-fuse returns ENOENT for this.
func IsNameRefused(err error) bool {
	return is(err, unix.EINVAL, unix.EILSEQ, unix.ENAMETOOLONG, unix.ENOENT)
}

// IsTooLarge reports a size beyond the limit of this file system.
func IsTooLarge(err error) bool { return is(err, unix.EFBIG) }

// IsExist reports a name that exists already.
func IsExist(err error) bool { return is(err, unix.EEXIST, unix.ENOTEMPTY) }

func is(err error, any ...unix.Errno) bool {
	var e unix.Errno
	return errors.As(err, &e) && slices.Contains(any, e)
}
