// Package mirror is the place where a snapshot grows. A [Mirror] comes in several kinds: [Plain] makes plain folders, and
// shares files with the previous snapshot by hard links; [Dry] is the mirror of a dry run, which makes nothing.
//
// A run walks its source folder by folder, and the mirror has a [Folder] for each of them. For each entry of the source
// the run either keeps the entry that the previous snapshot has under that name, or links another stored file, or puts
// something new. A folder is finished when all its entries are decided. When the top is finished, the mirror is made
// durable and published: it gets its name in the archive, and is a snapshot from then on.
//
// Guarantee: no stored file of a published snapshot is changed. A mirror sets metadata only on inodes that it has made.
//
// Many file systems accept metadata that they cannot store without an error. A mirror looks at what it has made, and
// flags in the entry the metadata that the inode lacks: only the catalog has those.
//
// A mirror of btrfs subvolumes, to come, begins as a writable snapshot of the previous snapshot's subvolume. The comments
// of the methods tell what such a mirror does, where that differs from hard links. Where hard links cannot cross
// subvolumes, a reflink follows the refusal.
//
// This seam alone does not carry it. Outside of this package, the following takes a snapshot to be a plain folder:
//
//   - Package snapshot makes a Plain for each run that is not dry; the archive's trial of its file system
//     (archive.Capabilities) does not look for subvolumes.
//   - rmtree removes the remains of a run and the content of the trash. It stops where the device number changes, and each
//     subvolume has a number of its own.
//   - An inode number names a stored file in the whole archive: in the run's book of the stored files that it uses, in
//     the content-hash index, in verify, and in prune's account of space. Two subvolumes give one number to two files.
//   - The mode of the top is set, and a path is forgotten, in a published snapshot; a published subvolume is read-only.
//   - restore recognizes a name of a stored file, to which it must not write, by the device number of the archive's folder.
//     A reflink of the source's file is tried only if its device number is that of the archive's folder.
//
// Names and contents come from the run, and a mirror is on the machine of the archive: so handles cross this seam. An
// error of a mirror is an [Error], if not said otherwise: it names the failed step, and the run adds the path. It ends
// the run. Make and Create can also return a [NameError], which concerns that entry alone.
//
// A mirror grows in parallel. Its methods, and those of its folders, may be called from several goroutines at once,
// except for [Folder.Finish], [Folder.Reopen] and [Folder.Close], which are called while no other goroutine uses the
// folder. A [File] belongs to one goroutine.
package mirror

import (
	"fmt"
	"syscall"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// A Mirror is a snapshot that is growing.
type Mirror interface {
	// Top makes the folder that will become the snapshot, and opens it. Its errors are those of package fsat.
	// btrfs: makes the subvolume.
	Top() (Folder, error)
	// In calls do with an open folder of the mirror, given by its path below the top. The handle is valid until do
	// returns. A dry run has no such folder, and calls do with fsat.NoDir. Errors of opening are those of package fsat.
	In(dir string, do func(fd int) error) error
	// Lacks returns the privileges that root lacks and that some metadata would have needed.
	Lacks() fsat.Privileges
	// Sync makes the mirror durable. btrfs: ends the transaction.
	Sync() error
	// Publish makes the finished mirror the snapshot of that name. Its errors have a path.
	// btrfs: makes the subvolume read-only, and renames it.
	Publish(name string) error
	// Discard removes a mirror that was not published. Its errors have a path. btrfs: deletes the subvolume.
	Discard() error
	// Close releases all resources but the folders.
	Close() error
}

// A Folder is an open folder of a mirror. Its methods take names of its entries. Each name is made once: the caller
// removes it before another attempt.
type Folder interface {
	// Make makes a folder below and opens it. Until it is finished only this user has access.
	// btrfs: opens the folder, if the previous snapshot has it; any other entry that it has under the name goes first.
	Make(name string) (Folder, error)
	// OpenPrevious opens the counterpart of the folder in the previous snapshot, if the counterpart of the folder above is
	// open. Its errors are those of package fsat.
	OpenPrevious() error
	// Previous returns the handle of the counterpart, for looking at stored files; fsat.NoDir if it is not open.
	Previous() int
	// Keep gives the folder the entry that its counterpart has under that name; an entry other than a folder.
	// btrfs: the name is there already.
	Keep(name string) error
	// Link makes name a name of a stored file, which has the name stored in the open folder from: a folder of a published
	// snapshot, or of this mirror (see Mirror.In). If the error is a refusal (fsat.IsRefused), a copy has to do.
	// btrfs: the name that the previous snapshot has goes first. A file of another subvolume is refused.
	Link(from int, stored, name string) error
	// Locate records in an entry, whose name was kept or linked, the number of its inode and its blocks, as they are now.
	// A dry run leaves the entry alone.
	Locate(e *index.Entry) error
	// Create makes an empty regular file for an entry that has a set of extended attributes. A dry run returns nil: there
	// is nothing to be written. btrfs: the name that the previous snapshot has goes first.
	Create(e *index.Entry, set []fsat.Xattr) (File, error)
	// TakeOver gives the folder, under the name of an entry, a file that has the name stored in the open folder from, and
	// opens it for writing: the beginning of a copy, made by an earlier run and never part of a published snapshot. ok is
	// false if the file has further names or cannot be opened. It is not called in a dry run.
	TakeOver(from int, stored string, e *index.Entry) (f File, ok bool, err error)
	// MakeSpecial makes a symbolic link, FIFO, socket or device with its metadata, and records its inode in the entry. If
	// the file system cannot store it, the entry is flagged as index.NotStored. lost is the error for metadata that
	// another attempt may be able to set. btrfs: the name that the previous snapshot has goes first.
	MakeSpecial(e *index.Entry, set []fsat.Xattr) (lost, err error)
	// Remove removes a name just made.
	Remove(name string) error
	// Finish sets the metadata of a folder that has all its entries, and records its inode in its own entry e. buf is
	// working space. btrfs: removes first the names of the previous snapshot that are not among the entries.
	Finish(e *index.Entry, set []fsat.Xattr, entries []index.Entry, buf []byte) (Finished, error)
	// Close closes the folder and its counterpart. Reopen can open them again.
	Close() error
	// Reopen opens the folder again: from below, an open folder directly below it, or, if below is nil, by its path from
	// the top. A counterpart that cannot be opened again stays closed.
	Reopen(below Folder) error
}

// A File is a new regular file of a mirror. Its owner writes the content, finishes it, and closes it.
type File interface {
	// FD returns the handle, for a reflink.
	FD() int
	// Writable returns the handle, for writing content.
	Writable() (int, error)
	// Finish sets the metadata of a file that has its content, and records its inode in the entry. lost is the error for
	// metadata that another attempt may be able to set.
	Finish(e *index.Entry, set []fsat.Xattr) (lost, err error)
	// Close closes the handle.
	Close() error
}

// Finished is the outcome of Folder.Finish.
type Finished struct {
	Lost    error  // of metadata that another attempt may be able to set
	Renamed uint64 // entries that the file system lists under other names than the given ones
}

// FileSystem has the abilities of the archive's file system that matter to a mirror.
type FileSystem struct {
	Symlinks     bool
	LinkMetadata bool // owner and time of a symbolic link do not reach its target
	Specials     bool
	Modes        bool
	OwnFolders   bool // folders stay with who makes them: given to another owner, they could not be moved or emptied any more
	NamesKept    bool // a name is listed as it was given
	NeedsFsync   bool // one call for all cannot be relied on: each inode is synced when it is made
}

// Error is the failure of one step for an entry of the mirror.
type Error struct {
	Op  string // "link"
	Err error
}

func (e *Error) Error() string { return e.Op + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// failed makes an Error, unless err is nil.
func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{op, err}
}

// NameError is the error for a name that the archive's file system does not take, though it takes others. It wraps no
// error that could be taken for a statement about the source's entry.
type NameError struct{ Err error }

func (e *NameError) Error() string { return "store: the archive's file system " + e.Err.Error() }
func (e *NameError) Unwrap() error { return e.Err }

// nameFailed makes the error of an attempt to make a name: a NameError if the file system refused the name, or else an
// Error.
func nameFailed(op string, err error) error {
	switch {
	case fsat.IsExist(err):
		return &NameError{fmt.Errorf("treats this name as equal to another name in the same folder: %w", err)}
	case fsat.IsNameRefused(err):
		return &NameError{fmt.Errorf("does not permit this name: %v", err)}
	}
	return failed(op, err)
}

// LacksForNow are the flags of an entry whose extended attributes could not be set, although the file system can store
// them: the next run is to store it anew.
const LacksForNow = index.XattrsCatalogOnly | index.Racy

// errNoCounterpart is the error for an entry of a folder that the previous snapshot does not have, as of a file system.
var errNoCounterpart error = syscall.ENOENT
