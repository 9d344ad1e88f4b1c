package fsat

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
