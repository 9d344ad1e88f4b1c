// Package instant makes a snapshot usable before it is copied. [Make] mounts it at a folder, writable, in a time that does
// not depend on its bytes: an overlay shows the snapshot's folder and keeps every change in a state folder beside the
// mountpoint. [Settle] turns the two into an ordinary folder, while the mounted tree is in use, and puts that in the
// mountpoint's place. [Read] returns how far an instant restore has come.
//
// The archive is only read. The snapshot has to stay until the tree is settled: a reader's note in the archive protects
// it. Contents are compared with their hashes when they are copied, not before: until then the tree shows a damaged stored
// file as it is. Each step can be interrupted at any point, also by a power cut, and the same call goes on.
//
// The package needs overlay mounts, which only Linux has: root's, or those of a user namespace. A snapshot that an overlay
// cannot show correctly is refused with [ErrUnsuitable].
//
// # State folder
//
// The state folder, .NAME.snapcopy-instant beside the mountpoint NAME, is for its owner alone:
//
//	lock         locked by the process that works on it
//	state.json   snapshot, mountpoint and phase; replaced durably before each step
//	upper, work  the changes, as the kernel keeps them (see internal/overlay)
//	damaged      the damaged stored files that were found, one quoted path a line
//	sparse       the files with holes, and the holes of each
//
// The phases in state.json:
//
//	making → mounted → cleaning → clean → (exchanged, known by the tree's inode number) → state folder removed
//
// Until making ends nobody sees the tree: entries that the archive could not store, and hard links if they are few,
// are made in an overlay that is not mounted yet. While mounted, upper folder and snapshot together are the tree, and
// either function mounts them again. Settling touches the access time of each entry in the mounted tree, whereupon the
// kernel copies the entry, atomically and unchanged; a stored file is hashed in the archive just before. Then Settle
// unmounts, lets the kernel confirm that nobody uses the upper folder (by a mount that has an index, which is refused
// otherwise), and compares the names of the two folders: every name that shows through must be in the upper folder,
// else it starts over. From cleaning on the archive is not needed and nothing is ever mounted again: Settle digs the
// holes that the kernel filled, and removes whiteouts and the kernel's attributes, each step such that doing it twice
// is right. One exchange ends it.
//
// All state is in the state folder. After a reboot the mount is gone and the state folder is not, so that either
// function goes on from there.
package instant

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/outcome"
)

// Errors of Make and Settle that callers tell apart.
var (
	// ErrNotInstant reports a folder without a state folder.
	ErrNotInstant = errors.New("no instant restore at this path, or it is settled already")
	// ErrMounted reports a mountpoint on which a snapshot is mounted, or that is being settled.
	ErrMounted = errors.New("already mounted")
	// ErrSettling reports a mountpoint whose tree is complete and only has to be put into place.
	ErrSettling = errors.New("is being settled")
	// ErrOtherSnapshot reports a mountpoint with the changes to another snapshot.
	ErrOtherSnapshot = errors.New("contains the changes to another snapshot")
	// ErrNotEmpty reports a mountpoint with entries in it.
	ErrNotEmpty = errors.New("the folder is not empty")
	// ErrUnsuitable reports a mountpoint or a snapshot for which an instant restore is impossible.
	ErrUnsuitable = errors.New("not possible as an instant restore")
	// ErrBusy reports that everything is copied, but the mount is in use.
	ErrBusy = errors.New("in use")
	// ErrLocked reports that another process works on the mountpoint.
	ErrLocked = errors.New("another process is working on it")
)

// State is the state of a mountpoint.
type State struct {
	Mountpoint string    // absolute
	Folder     string    // the state folder
	Archive    string    // path of the archive
	ArchiveID  string    // as the caller of Make gave it
	Snapshot   string    // name
	Since      time.Time // when it was mounted for the first time
	// NeedsArchive is false when everything is copied.
	NeedsArchive bool
	// Unfinished says that Make was interrupted; the mountpoint never showed anything.
	Unfinished bool
}

// Options are the options of Make. The zero value is a good default.
type Options struct {
	ArchiveID string           // recorded for the caller, to recognise the archive
	Now       func() time.Time // nil: time.Now
	Fault     func(step string) error
}

// Report is the result of Make.
type Report struct {
	Snapshot   string
	Mountpoint string // absolute
	Folder     string
	// Resumed says that earlier changes are present again.
	Resumed bool
	// Mended counts entries that an overlay alone would not show correctly, and that were made so: entries of which
	// only the catalog has everything, and hard links.
	Mended      uint64
	CatalogOnly outcome.CatalogOnlyCounts
	// Lacking and UserNamespace are the reasons why some metadata could not be set, as in Report.
	Lacking       []string
	UserNamespace bool
	// After is what failed once the tree was mounted, such as closing a file. The tree is as it should be.
	After error
	// NoRename says that rename(2) of a folder of the snapshot is refused until the tree is settled, as is the case in
	// a user namespace.
	NoRename bool
}

// Make mounts a snapshot at a folder, which it makes if it is missing; an existing folder has to be empty. If
// changes to the same snapshot were made there before, and the mount is gone, the tree has them again.
//
// Entries that the archive's file system could not store are made from the catalog before anybody sees the tree; if
// there are more than a few, Make fails with ErrUnsuitable. Contents are not checked: Settle does that.
func Make(ctx context.Context, from archive.OpenSnapshot, mountpoint string, opt Options) (*Report, error) {
	return makeInstant(ctx, from, mountpoint, opt)
}

// Read returns the state of a mountpoint. It fails with ErrNotInstant if there is none.
func Read(mountpoint string) (State, error) { return readInstant(mountpoint) }

// Path returns the path that identifies a mountpoint: absolute, with no symbolic link above its name.
func Path(mountpoint string) (string, error) {
	abs, err := filepath.Abs(mountpoint)
	if err != nil {
		return "", err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(abs)), nil
}

// SettleOptions are the options of Settle. The zero value is a good default.
type SettleOptions struct {
	// Threads is the number of workers. 0: 16, because the kernel writes each file that it copies to the disk, and
	// most of the time is spent waiting for that.
	Threads  int
	Progress *outcome.RestoreProgress // nil: nobody is watching
	// Released, if set, is called when the snapshot is no longer needed. If it fails Settle fails, and calls it again
	// the next time.
	Released func() error
	Fault    func(step string) error
}

// SettleReport is the result of Settle.
type SettleReport struct {
	Snapshot   string
	Mountpoint string // absolute
	Copied     uint64 // entries copied out of the archive by this call, folders included
	// BytesChecked counts content compared with its hash.
	BytesChecked uint64
	// Changed counts files that had been changed before, and whose stored content was not checked. It is 0 if an
	// earlier call has already checked all files.
	Changed uint64
	// Unavailable is how long the mountpoint had no tree.
	Unavailable time.Duration
	// Damaged names damaged stored files, also those found by earlier calls. The tree has them as they are in the
	// archive, except those that are gone from the archive.
	Damaged []string
	// Failed has the first 1000 entries that could not be copied. If there are any, the tree stays mounted.
	FailedCount uint64
	Failed      []outcome.Failure
	// Settled says that the mountpoint is an ordinary tree now.
	Settled bool
	// After is what failed once everything was done, such as closing a file.
	After error
}

// BusyError is the ErrBusy that Settle returns.
type BusyError struct {
	Mountpoint string
	Users      []string // who keeps it busy, as far as is known
}

func (e *BusyError) Error() string { return "unmount " + e.Mountpoint + ": " + ErrBusy.Error() }
func (e *BusyError) Unwrap() error { return ErrBusy }

// Settle copies all entries that are only in the archive, while the tree is in use; unmounts it; and puts an ordinary
// tree, with all changes made meanwhile, into the mountpoint's place in one step. Each content is compared with its
// hash, whichever process had it copied first, unless it has been changed. from may be the zero Source if the state
// says that the archive is not needed.
//
// Settle can be interrupted at any point, also by a power cut, and called again. If the mount is in use when
// everything is copied, it fails with a *BusyError, and the next call goes on there. If an entry cannot be copied, the
// report lists it and the tree stays mounted.
func Settle(ctx context.Context, from archive.OpenSnapshot, mountpoint string, opt SettleOptions) (*SettleReport, error) {
	if opt.Progress == nil {
		opt.Progress = new(outcome.RestoreProgress)
	}
	return settle(ctx, from, mountpoint, opt)
}
