// Package fsat does file-system work relative to directory handles: a handle and a leaf name, never a long path.
//
// That makes a walk safe and quick: no path is resolved twice, paths have no length limit, and a directory swapped for
// a symbolic link during the walk leads nowhere, because no call here follows a link in its last element. Handles are
// plain descriptors; whoever opens one closes it with Close.
//
// Functions whose names end in At take a handle and a name, those that end in Node a handle that gives no access to
// content; the others take an open file or directory. Errors are bare errno values: the caller knows the path and adds
// it. [ClassOf] and the functions beside it say what an error means. Calls interrupted by a signal are repeated.
//
// Only Linux is implemented. On other systems a call that returns an error fails with errors.ErrUnsupported, but for
// CheckProc and OtherPaths, which find nothing there; a function without an error has a fixed answer, such as no hole and
// no missing privilege. ClassOf and IsExist know the errors of package io/fs there; ErrUnsupported is a refusal.
package fsat

import (
	"errors"
	"slices"
	"strings"
)

// Time is a time stamp: seconds since 1970, negative before, and 0 to 999,999,999 nanoseconds to add.
type Time struct {
	Sec  int64
	Nsec uint32
}

// The types of file, as in the type bits of a mode and (shifted right by 12) in a directory entry.
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

// ErrNoProc reports that a call needs /proc and /proc is not mounted. See CheckProc.
var ErrNoProc = errors.New("/proc is not mounted")

// NoDir is the value of a handle while no directory is open.
const NoDir = -1

// Stat has the stat data of one inode.
type Stat struct {
	Type     uint32 // one of the kinds above
	Mode     uint32 // permission, setuid, setgid and sticky bits (07777)
	UID, GID uint32
	Nlink    uint32
	Dev      uint64 // of the file system that it is on
	Ino      uint64
	Mount    uint64 // of the mount it was reached by
	Size     int64
	Blocks   int64  // allocated, in units of 512 bytes
	BlockLen int64  // the file system's preferred block size, never 0
	Major    uint32 // device number of a device file
	Minor    uint32
	Mtime    Time
	Ctime    Time
	Btime    Time // time of creation; zero if the file system has none
	// Attrs are the file attributes of ioctl_iflags(2) that stat calls report; AttrsTold has the bits that are known,
	// set or not.
	Attrs, AttrsTold uint32
	Mounted          bool // a file system is mounted here; false if the kernel does not tell
}

// NoDump is the attribute of files that a backup may leave out (chattr +d).
const NoDump = 0x40

// SameFile reports whether a and b describe one inode.
func (a *Stat) SameFile(b *Stat) bool { return a.Dev == b.Dev && a.Ino == b.Ino }

// SameVersion reports whether a and b describe one inode without a change of content or metadata in between, as far as
// the file system's clock can tell.
func (a *Stat) SameVersion(b *Stat) bool {
	return a.SameFile(b) && a.Size == b.Size && a.Mtime == b.Mtime && a.Ctime == b.Ctime && a.Type == b.Type
}

// Range is a part of a file: from offset Start to before End.
type Range struct{ Start, End int64 }

// DirEntry is one name of a directory listing. Type is 0 if the file system does not tell it.
type DirEntry struct {
	Name string
	Type uint32
}

// Lists reports whether a sorted listing has a name.
func Lists(list []DirEntry, name string) bool {
	_, found := slices.BinarySearchFunc(list, name, func(d DirEntry, n string) int { return strings.Compare(d.Name, n) })
	return found
}

// Xattr is one extended attribute; Name includes the namespace.
type Xattr struct {
	Name  string
	Value []byte
}

// Space describes the size of a file system and the free part of it that this process may use.
type Space struct {
	Free, Total uint64 // bytes
	Reserved    uint64 // further free bytes, which only root can use
	Block       uint64 // bytes that a small file takes at least, unless it fits its inode
	Inodes      uint64 // 0: the file system does not limit them
	FreeInodes  uint64
	Kind        string // name of the type of file system, or its number
	LinkLimit   uint32 // names one inode can have; 0: not known
	NeedsFsync  bool   // SyncFS is unreliable: each file has to be synced
	ReadOnly    bool
}
