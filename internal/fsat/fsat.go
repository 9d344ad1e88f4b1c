// Package fsat does file-system work relative to directory handles: a handle and a leaf name, never a long path.
//
// That makes a walk safe and quick: no path is resolved twice, paths have no length limit, and a directory that is
// swapped for a symbolic link while it is being walked leads nowhere, because no call here follows one in its last
// element. Handles are plain descriptors; whoever opens one closes it with Close.
//
// Errors are bare errno values: the caller knows the path and adds it. Calls interrupted by a signal are repeated.
// On systems other than Linux every function returns errors.ErrUnsupported.
package fsat

import "errors"

// Time is a time stamp: seconds since 1970, negative before, and 0 to 999,999,999 nanoseconds to add.
type Time struct {
	Sec  int64
	Nsec uint32
}

// The kinds of file, as in the type bits of a mode and (shifted right by 12) in a directory entry.
const (
	TypeMask    = 0xf000
	Socket      = 0xc000
	Symlink     = 0xa000
	Regular     = 0x8000
	BlockDevice = 0x6000
	Directory   = 0x4000
	CharDevice  = 0x2000
	Fifo        = 0x1000
)

// ErrNoProc says that /proc is not there, and is needed for what is to be done. See CheckProc.
var ErrNoProc = errors.New("/proc is not mounted")

// NoDir is what a handle is while no directory is open.
const NoDir = -1

// Stat is what the file system says of one inode.
type Stat struct {
	Type     uint32 // one of the kinds above
	Mode     uint32 // permission, setuid, setgid and sticky bits (07777)
	UID, GID uint32
	Nlink    uint32
	Dev      uint64 // of the file system that holds it
	Ino      uint64
	Mount    uint64 // of the mount it was reached by
	Size     int64
	Blocks   int64  // allocated, in units of 512 bytes
	BlockLen int64  // the file system's preferred block size, never 0
	Major    uint32 // device number of a device file
	Minor    uint32
	Mtime    Time
	Ctime    Time
	Btime    Time // when it was made; zero where the file system does not keep that
	// Attrs are the file attributes of ioctl_iflags(2) that this call tells; those in AttrsTold are known, set or not.
	Attrs, AttrsTold uint32
	Mounted          bool // something is mounted here; false where the kernel does not tell
}

// NoDump is the attribute of files that a backup may leave out (chattr +d).
const NoDump = 0x40

// SameFile reports whether a and b describe one inode.
func (a *Stat) SameFile(b *Stat) bool { return a.Dev == b.Dev && a.Ino == b.Ino }

// SameVersion reports whether a and b describe one inode with no change to its content or metadata in between, as far
// as the file system's clock can tell.
func (a *Stat) SameVersion(b *Stat) bool {
	return a.SameFile(b) && a.Size == b.Size && a.Mtime == b.Mtime && a.Ctime == b.Ctime && a.Type == b.Type
}

// Range is a part of a file: from offset Start to before End.
type Range struct{ Start, End int64 }

// DirEntry is one name of a directory listing. Type is 0 where the file system does not tell it.
type DirEntry struct {
	Name string
	Type uint32
}

// Xattr is one extended attribute; Name includes the namespace.
type Xattr struct {
	Name  string
	Value []byte
}

// Space says how much of a file system is free for this process, and how much there is.
type Space struct {
	Free, Total uint64 // bytes
	Inodes      uint64 // 0: the file system does not limit them
	FreeInodes  uint64
	Kind        string // name of the kind of file system, or its number
	LinkLimit   uint32 // names one inode can have; 0: not known
	NeedsFsync  bool   // SyncFS cannot be relied on: each file has to be synced
	ReadOnly    bool
}
