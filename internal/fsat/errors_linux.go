package fsat

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// Class is what an error of the system says about the thing it was met at. There are few, and an error that is not known
// to say more is Passing: nothing may be concluded from that about a name, a file system or what is stored.
type Class int

const (
	Fine      Class = iota // no error
	Gone                   // there is no such name. Whether there was one is for a second look to tell
	OtherType              // opening it failed because it is not a directory, or is a link. A second look tells what it is
	Full                   // no space, no inode, or no quota
	Refused                // the file system cannot do that, or these privileges do not allow it: so it will be next time
	BadDisk                // the disk cannot read or write it, or the file system on it is damaged
	Passing                // anything else: a dead mount, no memory, no descriptors. It may be different next time
)

// ClassOf looks through wrapping. It is the one place that gives an error number a general meaning; the functions below
// that name a call know what it means there.
//
// ESTALE is Passing: a server that came back with other handles says so of files that are all there. So is EIO of a
// network file system, but that cannot be told from a disk's; a reader who is told of damage looks at both.
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

// IsGone reports that there is no such name.
func IsGone(err error) bool { return ClassOf(err) == Gone }

// IsNoDir reports, of an attempt to open a directory, that there is none of that name: the name is gone, or that of
// something else by now.
func IsNoDir(err error) bool { return IsGone(err) || IsOtherType(err) }

// IsOtherType reports, of an attempt to open something, that it is of another type.
func IsOtherType(err error) bool { return ClassOf(err) == OtherType }

// IsNoSpace reports a full file system or an exhausted quota.
func IsNoSpace(err error) bool { return ClassOf(err) == Full }

// IsRefused reports what this file system cannot do or these privileges do not allow.
func IsRefused(err error) bool { return ClassOf(err) == Refused }

// IsBadDisk reports that a disk, or the file system on it, is damaged.
func IsBadDisk(err error) bool { return ClassOf(err) == BadDisk }

// IsOverQuota reports an exhausted quota, of bytes or of files.
func IsOverQuota(err error) bool { return is(err, unix.EDQUOT) }

// IsPassing reports an error of the system that says nothing of what is stored: it may be different next time.
func IsPassing(err error) bool {
	var e unix.Errno
	return errors.As(err, &e) && ClassOf(e) == Passing
}

// IsLinkLimit reports an inode that can have no further name.
func IsLinkLimit(err error) bool { return is(err, unix.EMLINK) }

// IsBusy reports, of an attempt to make a reflink, that it may work later: ZFS says so while a file is not on the disk.
func IsBusy(err error) bool { return is(err, unix.EAGAIN, unix.EBUSY) }

// IsNoLink reports, of an attempt to read a symbolic link, that the name is that of something else.
func IsNoLink(err error) bool { return is(err, unix.EINVAL) }

// IsNameRefused reports, of an attempt to make something in an open directory, a name that this file system cannot have.
// ENOENT is what exfat-fuse says.
func IsNameRefused(err error) bool {
	return is(err, unix.EINVAL, unix.EILSEQ, unix.ENAMETOOLONG, unix.ENOENT)
}

// IsTooLarge reports a size that a file cannot have on this file system.
func IsTooLarge(err error) bool { return is(err, unix.EFBIG) }

// IsExist reports a name that is taken.
func IsExist(err error) bool { return is(err, unix.EEXIST, unix.ENOTEMPTY) }

func is(err error, any ...unix.Errno) bool {
	var e unix.Errno
	return errors.As(err, &e) && slices.Contains(any, e)
}
