package fsat

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
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
