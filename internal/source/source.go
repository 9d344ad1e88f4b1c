// Package source is the place a run reads from. A [Source] comes in several kinds: [Local] is a live folder of this
// machine, [Snapshot] a snapshot of another archive.
//
// A run works on the machine of the archive, and asks its source about one folder at a time: the names in it, the stat
// data of a batch of them, their metadata and contents. So a source on another machine can answer a batch in one
// message. All answers are values. No descriptor of the source leaves this package: a [File] copies itself into a new
// file of the archive, or compares its holes with those of a stored file.
//
// Errors are those of package fsat, wrapped or not: [fsat.IsGone] and the like tell them apart. An entry that cannot
// be read is an error with its name and never passed over.
//
// A source is read in parallel. Its methods, and those of its folders, may be called from several goroutines at once,
// except for [Folder.Reopen] and [Folder.Close], which are called while no other goroutine uses the folder. A File
// belongs to one goroutine.
package source

import (
	"context"
	"errors"
	"time"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrElsewhere reports a name that cannot be looked at and that lies on another file system, which the run is not
	// to enter: a FUSE mount of another user, or a file system whose server is away.
	ErrElsewhere = errors.New("on another file system")
	// ErrMoved reports a folder that is no longer at its path.
	ErrMoved = errors.New("folder was moved while it was read")
)

// A Source is a tree that a run reads.
type Source interface {
	// Top opens the source's own folder.
	Top() (Folder, error)
	// Find describes an entry anywhere in the source; dir is the path of its folder.
	Find(dir, name string, st *Stat) error
	// Freshness is how long the description of an entry may be used before it has to be asked for again; 0: for ever.
	Freshness() time.Duration
	// Failures returns the failures that concern no single entry.
	Failures() []error
	Close() error
}

// A Folder is an open folder of a source. Its methods take names of its entries.
type Folder interface {
	// Stat describes the folder itself, in its present state.
	Stat(st *Stat) error
	// List returns the present names in the folder, sorted. buf is working space. If an error ends the listing early,
	// List returns the names read so far with the error.
	List(buf []byte) ([]fsat.DirEntry, error)
	// Look describes the entries of the given names in the elements of list, which is as long; the error of an entry
	// goes there, too. It skips names listed as folders.
	Look(names []fsat.DirEntry, list []Stat)
	// Open opens a folder directly below.
	Open(name string) (Folder, error)
	// OpenFile opens an entry for reading, and describes it. The entry need not be a regular file.
	OpenFile(name string, st *Stat) (File, error)
	// Metadata returns the metadata of an entry that Stat lacks; st is its description. "" is the folder itself.
	Metadata(name string, st *Stat) Metadata
	// LeaveOut returns the reason to leave an entry out because of its content or metadata, or a Reason without a
	// rule: a filter of the run, or an interrupted restore, which left the entry. "" is the folder itself.
	LeaveOut(name string, st *Stat) (Reason, error)
	// Close releases the resources of the open folder. Reopen can open it again.
	Close() error
	// Reopen opens the folder again: from below, an open folder directly below it, or, if below is nil, by its path
	// from the top.
	Reopen(path string, below Folder) error
}

// A File is an open regular file of a source.
type File interface {
	// Stat describes the file in its present state.
	Stat(st *Stat) error
	// Metadata returns the metadata that Stat lacks.
	Metadata() Metadata
	// HasHoles reports whether the file, of the given size, has holes.
	HasHoles(size int64) bool
	// Read reads the whole file, of about the given size, into buf, or as much as fits.
	Read(buf []byte, size int64) (int, error)
	// CopyTo copies the content into dst, an empty file of the archive, or only hashes it: see filecopy.Copier.
	CopyTo(ctx context.Context, c *filecopy.Copier, dst int, size int64, sparse bool) (int64, [32]byte, error)
	// CloneTo makes dst, an empty file on the file system dev, share the file's blocks (a reflink), and reports
	// whether it could.
	CloneTo(dst int, dev uint64) bool
	// SameHoles reports whether stored, a file of the archive with the same content, described by st, has its holes in
	// the same places.
	SameHoles(stored int, st *fsat.Stat) (bool, error)
	// KeepPreallocated gives dst, a copy of the file, the space that the file has beyond its content: see
	// filecopy.KeepPreallocated.
	KeepPreallocated(dst int, data int64, reflink bool) (space int64, kept bool)
	Close() error
}

// Stat describes one entry.
type Stat struct {
	fsat.Stat
	// Flags are the flags of the entry that concern the source: index.Racy from a live folder, and from a snapshot
	// those that its run has set.
	Flags index.Flags
	// AsOf is the name of the snapshot whose run was the last to read the entry, if it is flagged as index.Kept.
	AsOf string
	// Known is the entry in a catalog, with the hash of its content; nil: the content was never read. If a read
	// content has another hash, the stored file is damaged.
	Known *index.Entry
	// Part distinguishes the stored files of a link group that is spread over several. It is the inode number of the stored
	// file, or 0 in a live folder.
	Part uint64
	Err  error // of Folder.Look: why the entry cannot be looked at
}

// Metadata is the metadata of an entry beyond its Stat. Errors are values: one failure does not suppress the other
// metadata.
type Metadata struct {
	Xattrs []fsat.Xattr
	Attrs  uint32 // file attributes, of regular files and folders
	Err    error  // of the two

	Target    string // of a symbolic link
	TargetErr error
}

// Reason is the reason to leave an entry out.
type Reason struct {
	Rule string // "": it is not
	// OfState says that a filter decided by the entry's content or metadata, which can change, rather than by its
	// path.
	OfState bool
}

// Rules for entries left out without a filter.
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
