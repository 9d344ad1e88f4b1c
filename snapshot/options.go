package snapshot

import (
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/exclude"
	"snapcopy/internal/filter"
	"snapcopy/internal/workers"
)

// Options are the choices for one run. The zero value is a plain snapshot of everything.
type Options struct {
	// Threads is the number of workers. 0: one for each processor, at least 2 (so that one can wait for the disk) and
	// at most 16.
	Threads int

	Exclude          *exclude.Matcher // nil: nothing
	ExcludeCaches    bool             // folders with a CACHEDIR.TAG
	ExcludeIfPresent []string         // folders that hold one of these names
	ExcludeLarger    int64            // regular files of more bytes than this; 0: no limit
	OneFileSystem    bool             // do not go into other file systems mounted below the source
	RespectNoDump    bool             // leave out what has the attribute "d" (chattr +d), folders with all below them

	// IgnoreInode and IgnoreCtime leave the inode number and the change time out of the test for unchanged files, for
	// sources where they are not stable (network mounts, FUSE).
	IgnoreInode, IgnoreCtime bool

	// Recheck is the share of the unchanged files, 0 to 1, of which a run looks at the stored file before it makes a link to
	// it. Runs take turns, so that with 0.05 each is looked at in one run of 20. In an archive that was copied, all are.
	Recheck float64

	DryRun         bool // look and tell; change nothing
	RequireArchive bool // fail where there is no archive instead of making one
	AllowCopies    bool // go on where the archive's file system cannot make hard links: each snapshot is a full copy
	AllowClockBack bool // go on when the clock is behind all snapshots; the new one is filed under its own time
	// Wait makes a run in whose second there is a snapshot already wait for the next free one. Otherwise it is filed in
	// that one at once, and its name is a little ahead of the clock.
	Wait bool

	Now      func() time.Time  // nil: the system's clock
	Progress *archive.Progress // nil: nobody is watching
	// Item, if set, is told what became of each entry. It is called from several workers, one call at a time.
	Item func(Item)
	// Fault, if set, is asked before each step that changes the archive, by the step's name; an error it returns takes
	// the place of the step. For tests.
	Fault func(step string) error
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

// Action says what became of one entry.
type Action string

// The actions. MetadataChanged is counted with the changed ones.
const (
	New             Action = "new"
	Changed         Action = "changed"
	MetadataChanged Action = "metadata"
	Moved           Action = "moved" // found stored under another name, by its content hash
	Unchanged       Action = "unchanged"
	Deleted         Action = "deleted" // in the previous snapshot and not in the source
	Excluded        Action = "excluded"
	Vanished        Action = "vanished" // gone between listing and reading
	Failed          Action = "failed"
)

// Item is what became of one entry of the source.
type Item struct {
	Path   string // below the source, any bytes
	Action Action
	Type   index.Type
	Size   uint64
	Was    string // Moved: the path under which it was found
	Rule   string // Excluded: what excluded it
	Err    error  // Failed
}
