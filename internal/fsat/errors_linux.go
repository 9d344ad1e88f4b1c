package fsat

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// What an error means to a caller who goes on with other work. They look through wrapping.

// IsGone reports that the name is not there, or not a directory any more.
func IsGone(err error) bool { return is(err, unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.ESTALE) }

// IsNoSpace reports a full file system or an exhausted quota.
func IsNoSpace(err error) bool { return is(err, unix.ENOSPC, unix.EDQUOT) }

// IsLinkLimit reports an inode that can have no further name.
func IsLinkLimit(err error) bool { return is(err, unix.EMLINK) }

// IsRefused reports what this file system cannot do or these privileges do not allow.
func IsRefused(err error) bool {
	return is(err, unix.EPERM, unix.EACCES, unix.ENOTSUP, unix.ENOSYS, unix.EINVAL, unix.EOVERFLOW, unix.EXDEV,
		unix.ENOTTY, unix.E2BIG, unix.ERANGE)
}

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
