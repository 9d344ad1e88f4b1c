package snapshot

import (
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/exclude"
	"snapcopy/internal/filter"
	"snapcopy/internal/workers"
)

// Options are the options of Run. The zero value is a plain snapshot of everything.
type Options struct {
	// Threads is the number of workers. 0: one for each processor, at least 2 (so that one can wait for the disk) and
	// at most 16.
	Threads int

	Exclude          *exclude.Matcher // nil: nothing
	ExcludeCaches    bool             // folders with a CACHEDIR.TAG
	ExcludeIfPresent []string         // folders that contain one of these names
	ExcludeLarger    int64            // regular files of more bytes than this; 0: no limit
	OneFileSystem    bool             // do not go into other file systems mounted below the source
	RespectNoDump    bool             // leave out entries with the attribute "d" (chattr +d); folders with all below

	// IgnoreInode and IgnoreCtime ignore the inode number and the change time in the test for unchanged files, for
	// sources where they are not stable (network mounts, FUSE).
	IgnoreInode, IgnoreCtime bool

	// Recheck is the share, from 0 to 1, of the unchanged files whose stored file is looked at before a link to it is
	// made. Runs take turns: with 0.05, each stored file is looked at in one run of 20. In an archive that was copied,
	// all are.
	Recheck float64

	// Limits are the shares of the last good snapshot's files that may be gone or changed before the run looks wrong;
	// nil: archive.DefaultLimits.
	Limits *archive.Limits
	// SourceIsMount makes Run fail with ErrNotMountPoint if nothing is mounted at the source.
	SourceIsMount bool

	// Rehash is the share, from 0 to 1, of the unchanged files whose content is read and compared with the recorded hash.
	// Runs take turns, as with Recheck. In a dry run none is read.
	Rehash float64

	// Retries is how often an entry of the source is tried again that could not be read for an error that may pass (see
	// fsat.MayPass); 0: not at all. That is done when everything else is done, for all such entries together, RetryWait
	// after the try before.
	Retries   int
	RetryWait time.Duration

	DryRun         bool // look and tell; change nothing
	RequireArchive bool // fail instead of making an archive
	AllowCopies    bool // accept an archive without hard links: each snapshot is a full copy
	AllowClockBack bool // go on when the clock is behind all snapshots; the new one is named by its own time
	// NoResume begins anew, instead of going on from what an interrupted run of the source has stored.
	NoResume bool
	// CheckpointBytes is the number of new bytes between two checkpoints; 0: 256 MiB. For tests.
	CheckpointBytes uint64
	// Wait makes a run wait for the next free second if a snapshot has its own. Otherwise the run takes the next free
	// name at once, a little ahead of the clock.
	Wait bool

	Taker    archive.Taker     // who locks the archive, and what to do while another process has it
	Now      func() time.Time  // nil: the system's clock
	Progress *archive.Progress // nil: nobody is watching
	// Item, if set, is called with the outcome for each entry. Several workers call it, one at a time.
	Item func(Item)
	// Unrecorded, if set, is called if the run has published nothing, and the record of that could not be written.
	Unrecorded func(error)
	// Fault, if set, is called with the name of each step that changes the archive, before the step; its error
	// replaces the step. For tests.
	Fault func(step string) error
	// Counted, if set, is called when the count of the source beside the run has ended. For tests.
	Counted func()
	// SourceFault is called likewise before the calls that read the live source: see source.Local.
	SourceFault func(op, name string) error
}

func (o *Options) threads() int { return workers.Number(o.Threads) }

func (o *Options) filter() *filter.Filter {
	return &filter.Filter{Patterns: o.Exclude, Caches: o.ExcludeCaches, IfPresent: o.ExcludeIfPresent,
		Larger: o.ExcludeLarger, OneFileSystem: o.OneFileSystem, NoDump: o.RespectNoDump}
}

func (o *Options) now() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now()
}

// Action is the outcome for one entry.
type Action string

// The actions. MetadataChanged is counted with the changed ones.
const (
	New             Action = "new"
	Changed         Action = "changed"
	MetadataChanged Action = "metadata"
	Moved           Action = "moved" // found stored under another name, by its content hash
	Unchanged       Action = "unchanged"
	Deleted         Action = "deleted" // in the previous snapshot but no longer in the source
	Excluded        Action = "excluded"
	Vanished        Action = "vanished" // gone between listing and reading
	Failed          Action = "failed"
	Kept            Action = "kept" // could not be read, and carried along from the previous snapshot
)

// Item is the outcome for one entry of the source.
type Item struct {
	Path   string // below the source, any bytes
	Action Action
	Type   index.Type
	Size   uint64
	Was    string // Moved: path of the stored file that was found
	Rule   string // Excluded: the rule
	AsOf   string // Kept: the snapshot whose run was the last to read it
	Err    error  // Failed; Kept: why it could not be read, unless that is told for a folder above it
}
