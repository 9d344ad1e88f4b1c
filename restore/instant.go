package restore

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/tree"
)

// A snapshot can be made usable before it is copied. [MakeInstant] mounts it at a folder, writable, in a time that does
// not depend on its bytes: an overlay shows the snapshot's folder and keeps every change in a state folder beside the
// mountpoint. [Settle] makes an ordinary tree of the two, while it is in use, and puts that in the mountpoint's place.
//
// The archive is only read. The snapshot has to stay until the tree is settled: whoever prunes the archive has to know.
//
// State folder, .NAME.snapcopy-instant beside the mountpoint NAME, for its owner alone:
//
//	lock         locked by whoever works on it
//	state.json   what was mounted where, and how far it has come; replaced durably before each step
//	upper, work  the changes, as the kernel keeps them (see internal/overlay)
//	damaged      the damaged stored files that were found, one quoted path a line
//	sparse       the files with holes, each with the holes it has to have
//
// The phases in state.json:
//
//	making → mounted → cleaning → clean → (exchanged, told by the tree's inode number) → state folder removed
//
// Until making ends nobody sees anything: what the archive could not hold, and hard links if they are few, are made in an
// overlay that has no place yet. While mounted, upper folder and snapshot together are the tree, and either function
// mounts them again. Settling touches the access time of each entry in the mounted tree, whereupon the kernel copies it,
// atomically and as it is; a stored file is hashed in the archive just before. Then it unmounts, lets the kernel confirm
// that nobody uses the upper folder (by a mount that has an index, which is refused if so), and compares the names of the
// two folders: whatever shows through must be in the upper one, else it starts over. With cleaning the archive is not
// needed and nothing is ever mounted again: holes that the kernel filled are dug, whiteouts and the kernel's attributes
// removed, each step such that doing it twice is right. One exchange ends it.
//
// Nothing is remembered elsewhere. After a reboot the mount is gone and the state folder is not, so that either
// function goes on where things were.

// Errors of MakeInstant and Settle that callers tell apart.
var (
	// ErrNotInstant is returned by Settle for a folder without a state folder.
	ErrNotInstant = errors.New("there is no instant restore, or it is settled")
	// ErrMounted is returned for a mountpoint on which a snapshot is mounted, or that is being settled.
	ErrMounted = errors.New("already mounted")
	// ErrSettling is returned for a mountpoint whose tree is complete and only has to be put into its place.
	ErrSettling = errors.New("is being settled")
	// ErrOtherSnapshot is returned for a mountpoint with the changes to another snapshot.
	ErrOtherSnapshot = errors.New("has the changes to another snapshot")
	// ErrNotEmpty is returned for a mountpoint that holds something.
	ErrNotEmpty = errors.New("the folder is not empty")
	// ErrUnsuitable is returned for a mountpoint or a snapshot with which this cannot be done.
	ErrUnsuitable = errors.New("not possible as an instant restore")
	// ErrBusy is returned by Settle when everything is copied and the mount is in use.
	ErrBusy = errors.New("in use")
	// ErrLockedInstant is returned while another process works on the mountpoint.
	ErrLockedInstant = errors.New("another process is working on it")
)

// InstantState is what is known of a mountpoint.
type InstantState struct {
	Mountpoint string    // absolute
	Folder     string    // the state folder
	Archive    string    // path of the archive
	ArchiveID  string    // as the caller of MakeInstant gave it
	Snapshot   string    // name
	Since      time.Time // when it was mounted for the first time
	// NeedsArchive is false when everything is copied.
	NeedsArchive bool
	// Unfinished says that making it was cut short; nothing was ever to be seen at the mountpoint.
	Unfinished bool
}

// InstantOptions are the choices for MakeInstant. The zero value is good.
type InstantOptions struct {
	ArchiveID string           // recorded, for the caller to know the archive by
	Now       func() time.Time // nil: time.Now
	Fault     func(step string) error
}

// InstantReport is what MakeInstant did.
type InstantReport struct {
	Snapshot   string
	Mountpoint string // absolute
	Folder     string
	// Resumed says that earlier changes are there again.
	Resumed bool
	// Mended counts entries that an overlay does not show as they should be, and that were made so: what the archive
	// could not hold, from the catalog, and hard links.
	Mended  uint64
	NotHeld NotHeld
	// Lacking and UserNamespace say what kept that from being set, as in Report.
	Lacking       []string
	UserNamespace bool
	// NoRename says that rename(2) of a folder of the snapshot is refused until the tree is settled, as it is in a user
	// namespace.
	NoRename bool
}

// MakeInstant mounts a snapshot at a folder, which is made if it is missing and has to be empty otherwise. If changes
// to the same snapshot were made there before, and the mount is gone, they are there again.
//
// What the archive's file system could not hold is made from the catalog before anybody sees the tree; that is refused
// with ErrUnsuitable where it is more than a little. Contents are not checked: Settle does that.
func MakeInstant(ctx context.Context, from archive.Source, mountpoint string, opt InstantOptions) (*InstantReport, error) {
	return makeInstant(ctx, from, mountpoint, opt)
}

// ReadInstant tells what is known of a mountpoint. It fails with ErrNotInstant if nothing is.
func ReadInstant(mountpoint string) (InstantState, error) { return readInstant(mountpoint) }

// InstantPath gives the path by which a mountpoint is known: absolute, with no symbolic link above its name.
func InstantPath(mountpoint string) (string, error) {
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

// SettleOptions are the choices for Settle. The zero value is good.
type SettleOptions struct {
	// Threads is the number of workers. 0: 16, because the kernel brings each file that it copies to the disk, and
	// most of the time is spent waiting for that.
	Threads  int
	Progress *tree.Progress // nil: nobody is watching
	// Released, if set, is called when the snapshot is not needed any more. If it fails Settle fails, and calls it
	// again the next time.
	Released func() error
	Fault    func(step string) error
}

// SettleReport is what Settle did.
type SettleReport struct {
	Snapshot   string
	Mountpoint string // absolute
	Copied     uint64 // entries copied out of the archive by this call, folders included
	// BytesChecked is the content that was compared with its hash.
	BytesChecked uint64
	// Changed counts files that had been changed before, and whose stored content was not looked at. It is 0 if an
	// earlier call has got as far as to look at all files.
	Changed uint64
	// Unavailable is how long there was nothing at the mountpoint.
	Unavailable time.Duration
	// Damaged names stored files that are not what was stored, also those found by earlier calls. They are in the tree
	// as they are in the archive; those that are gone from the archive are not.
	Damaged []string
	// Failed names the first 1000 entries that could not be copied. If there are any, the tree stays mounted.
	FailedCount uint64
	Failed      []tree.FailedItem
	// Settled says that the mountpoint is an ordinary tree now.
	Settled bool
}

// BusyError is the ErrBusy that Settle returns.
type BusyError struct {
	Mountpoint string
	Users      []string // who keeps it busy, as far as is known
}

func (e *BusyError) Error() string { return "unmount " + e.Mountpoint + ": " + ErrBusy.Error() }
func (e *BusyError) Unwrap() error { return ErrBusy }

// Settle copies what is still in the archive only, while the tree is in use; unmounts it; and puts an ordinary tree,
// with everything that was changed meanwhile, into the mountpoint's place in one step. Each content is compared with its
// hash, whoever was the first to have it copied, unless it has been changed. from may be the zero Source if the state
// says that the archive is not needed.
//
// It can be interrupted at any point, also by a power cut, and called again. If the mount is in use when everything is
// copied, it fails with a *BusyError, and has only that left to do the next time. Where an entry cannot be copied, the
// report lists it and the tree stays mounted.
func Settle(ctx context.Context, from archive.Source, mountpoint string, opt SettleOptions) (*SettleReport, error) {
	if opt.Progress == nil {
		opt.Progress = new(tree.Progress)
	}
	return settle(ctx, from, mountpoint, opt)
}
