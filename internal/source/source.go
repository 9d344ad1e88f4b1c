// Package source is where a run reads from. A [Source] comes in several kinds: [Local] is a live folder of this
// machine, [Snapshot] a snapshot of another archive.
//
// A run works where the archive is, and asks its source about one folder at a time: what names it has, what the file
// system says of a batch of them, what they hold. So a source on another machine can answer a batch in one message.
// Whatever a source says is a value. No descriptor of the source leaves this package: a [File] is told to copy itself
// into a new file of the archive, or to compare its holes with those of a stored file.
//
// Errors are those of package fsat, wrapped or not: [fsat.IsGone] and the like tell them apart. What cannot be read is
// told by name and never passed over.
//
// A source is read in parallel. Its methods, and those of its folders, may be called from several goroutines at once,
// but for [Folder.Reopen] and [Folder.Close], which are called while nobody else uses the folder. A File belongs to one
// goroutine.
package source

import (
	"context"
	"errors"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrElsewhere says of a name that cannot be looked at that it is on another file system, into which the run is not to
	// go: one that another user has mounted by FUSE, or whose server is away.
	ErrElsewhere = errors.New("on another file system")
	// ErrMoved says that a folder is no longer where it was.
	ErrMoved = errors.New("directory was moved while it was read")
)

// A Source is what a run reads.
type Source interface {
	// Top opens the source's own folder.
	Top() (Folder, error)
	// Find describes an entry anywhere in the source, by the path of its folder and its name.
	Find(dir, name string, st *Stat) error
	// Failures are those that concern no single entry.
	Failures() []error
	Close() error
}

// A Folder is an open folder of a source. Its methods take names of its entries.
type Folder interface {
	// Stat describes the folder itself, as it is at the moment.
	Stat(st *Stat) error
	// List gives the names in the folder, sorted, as it is at the moment. buf is working space. When an error ends the
	// listing early, the names that were read come with it.
	List(buf []byte) ([]fsat.DirEntry, error)
	// Look describes the entries of the given names in the elements of list, which is as long; what cannot be looked at
	// has its error there. Names that are listed as folders are left out.
	Look(names []fsat.DirEntry, list []Stat)
	// Open opens a folder below.
	Open(name string) (Folder, error)
	// OpenFile opens a file for reading, and describes it. What it opens need not be a regular file.
	OpenFile(name string, st *Stat) (File, error)
	// Metadata is what st, a description of an entry, does not tell; "" is the folder itself.
	Metadata(name string, st *Stat) Metadata
	// LeaveOut says why an entry is to be left out for what it is or holds, or "": by a filter of the run, or because a
	// restore has left it there. "" is the folder itself.
	LeaveOut(name string, st *Stat) (Reason, error)
	// Close gives back what the open folder takes up. It can be opened again.
	Close() error
	// Reopen opens the folder again: from a folder directly below it, which is open, or, if that is nil, by its path from
	// the top.
	Reopen(path string, below Folder) error
}

// A File is an open regular file of a source.
type File interface {
	// Stat describes the file as it is at the moment.
	Stat(st *Stat) error
	// Metadata is what a Stat does not tell.
	Metadata() Metadata
	// HasHoles reports whether the file, of the given size, has holes.
	HasHoles(size int64) bool
	// Read reads the whole file, of about the given size, into buf, or as much as fits.
	Read(buf []byte, size int64) (int, error)
	// CopyTo copies the content into dst, an empty file of the archive, or only hashes it: see filecopy.Copier.
	CopyTo(ctx context.Context, c *filecopy.Copier, dst int, size int64, sparse bool) (int64, [32]byte, error)
	// CloneTo makes dst, an empty file on the file system dev, share the file's blocks (a reflink), if that can be.
	CloneTo(dst int, dev uint64) bool
	// SameHoles reports whether stored, a file of the archive with the same content that st describes, has its holes in the
	// same places.
	SameHoles(stored int, st *fsat.Stat) (bool, error)
	// KeepPreallocated gives dst, a copy of the file, what space the file has beyond its content: see
	// filecopy.KeepPreallocated.
	KeepPreallocated(dst int, data int64, reflink bool) (space int64, held bool)
	Close() error
}

// Stat is what a source says of one entry.
type Stat struct {
	fsat.Stat
	// Flags are those of the entry that say something of the source: index.Racy from a live folder, from a snapshot what
	// its run found out.
	Flags index.Flags
	// Known is the entry as a catalog has it, with the hash of its content; nil: nobody has read it yet. A content that is
	// read has to have that hash, or the stored file has suffered.
	Known *index.Entry
	// Part tells the stored files of a link group apart that is spread over several; 0: it is not.
	Part uint64
	Err  error // of Folder.Look: why the entry cannot be looked at
}

// Metadata is what a source says of one entry beyond a Stat. Both the folder's and an entry's errors are values: one
// failure does not keep the rest from being told.
type Metadata struct {
	Xattrs []fsat.Xattr
	Attrs  uint32 // file attributes, of regular files and folders
	Err    error  // of the two

	Target    string // of a symbolic link
	TargetErr error
}

// Reason is why an entry is to be left out.
type Reason struct {
	Rule string // "": it is not
	// OfState tells that a filter has decided by what the entry is at the moment, which can be another one later.
	OfState bool
}

// Rules for what is left out without a filter.
const (
	RuleArchive   = "the archive itself"
	RuleNote      = "the note of a restore that is not finished"
	ruleTemporary = "left by a restore that was cut short"
	ruleSwap      = "the new tree of a restore that is not finished"
	ruleInstant   = "the changes in an instant restore, which are in the snapshot where it is mounted"
)

// LookAt describes one entry of a folder.
func LookAt(f Folder, name string, st *Stat) error {
	var list [1]Stat
	f.Look([]fsat.DirEntry{{Name: name}}, list[:])
	*st = list[0]
	return st.Err
}
