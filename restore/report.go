package restore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/folders"
	"snapcopy/internal/fsat"
	"snapcopy/internal/outcome"
	"snapcopy/internal/tree"
)

// Report is the result of a restore.
type Report struct {
	Snapshot string
	Target   string // absolute
	DryRun   bool
	OldTree  string // of Swap: where the former tree of the target is
	Resumed  bool   // it went on with an interrupted restore
	// Unfinished says that folders of this restore's own still lack their metadata: the same restore, run again, sets
	// them.
	Unfinished bool

	Files         uint64 // entries made that are not folders
	Dirs          uint64 // folders made
	Existing      uint64 // folders that existed: entered, with their metadata left alone
	Linked        uint64 // of Files: made as a further name of an earlier one
	Replaced      uint64 // of Files: replaced an existing entry
	Unchanged     uint64 // entries equal to the snapshot's: left alone
	Metadata      uint64 // entries of which only the metadata were set
	Deleted       uint64 // names removed because the snapshot does not contain them; a folder counts once
	KeptAside     uint64 // names renamed because another entry took their place, or in place of deleting them
	Excluded      uint64 // names left out
	BytesWritten  uint64
	BytesCloned   uint64 // not written, but shared with the archive
	BytesVerified uint64 // read back from the target

	// Spared has the folders in which nothing was deleted: another file system is mounted there, of which the snapshot
	// knows nothing, or it is the archive.
	Spared []string

	// TargetDiffers has the differences of the target itself, which existed and was left alone, from the snapshot's
	// root.
	TargetDiffers []string
	// TargetSet has the fields in which the target, which existed but looked as if this restore had made it, gets the
	// metadata of the snapshot's root.
	TargetSet []string
	// OtherTimesCount is the number of existing folders, left alone, that differ in their time only. OtherTimes has
	// the first 1000, sorted.
	OtherTimesCount uint64
	OtherTimes      []string

	// UnsavedCount is the number of entries that were not deleted because they have no copy in the archive: the
	// snapshot left them out or could not read them. Unsaved has the first 1000, sorted by path.
	UnsavedCount uint64
	Unsaved      []UnsavedItem

	// KeptCount is the number of entries, other than folders, that the run of the snapshot could not read, so that they
	// are older than it. Kept has the first 1000, sorted by path.
	KeptCount uint64
	Kept      []KeptItem

	// CatalogOnly counts restored entries that lack metadata which the target's file system or the privileges do not
	// permit.
	CatalogOnly outcome.CatalogOnlyCounts
	// Lacking names the capabilities that root lacks and would need for these; UserNamespace says that the user is
	// root of a user namespace only.
	Lacking       []string
	UserNamespace bool

	// FailedCount is the number of entries that were not restored: each item of Failed counts with all entries below
	// it.
	FailedCount uint64
	// Damaged is the number of those that are damaged in the archive: their error wraps ErrDamaged.
	Damaged uint64
	// Failed has the first 1000, sorted by path.
	Failed []outcome.Failure
}

// KeptItem is an entry that is older than its snapshot.
type KeptItem struct {
	Path string
	AsOf string // the snapshot whose run was the last to read it
}

// worker is the state of one worker of the walk.
type worker struct {
	copier  filecopy.Copier
	entries [chunk]index.Entry
	pos     [chunk]int
	folders folders.Cache[*dir] // to which links were made last
	xattrs  tree.XattrCache
	scratch scratch
	random  uint64 // for the names of its entries under construction
	counts  Report // its figures
	_       [64]byte
}

// chunk is the number of entries of a folder decoded at a time.
const chunk = 32

// maxWorkers exceeds the number of workers of any run.
const maxWorkers = 1 << 16

func newWorkers(n int, progress *outcome.RestoreProgress) []worker {
	list := make([]worker, n)
	run := rand.Uint64() / maxWorkers * maxWorkers
	for i := range list {
		list[i].random = run + uint64(i)
		list[i].copier.Buf = make([]byte, filecopy.BufferSize)
		list[i].copier.Exact = true // sizes are compared before
		list[i].copier.Tick = func(n int) { progress.Bytes.Add(uint64(n)) }
	}
	return list
}

// sumUp adds up the counts of the workers.
func (r *run) sumUp() {
	rep := r.report
	for i := range r.groups.late { // of a run that ended early
		n := &r.groups.late[i]
		r.list(n.dir, &n.entry, n.err)
	}
	for i := range r.workers {
		c := &r.workers[i].counts
		rep.Files += c.Files
		rep.Dirs += c.Dirs
		rep.Existing += c.Existing
		rep.Linked += c.Linked
		rep.Replaced += c.Replaced
		rep.Unchanged += c.Unchanged
		rep.Metadata += c.Metadata
		rep.Deleted += c.Deleted
		rep.KeptAside += c.KeptAside
		rep.Excluded += c.Excluded
		rep.BytesVerified += c.BytesVerified
		rep.BytesWritten += c.BytesWritten
		rep.BytesCloned += c.BytesCloned
		rep.CatalogOnly.Add(&c.CatalogOnly)
	}
	lacking := fsat.Privileges(r.maker.lacks.Load())
	rep.Lacking, rep.UserNamespace = lacking.Names(), lacking&fsat.InitialUser != 0
	rep.Failed, rep.FailedCount, rep.Damaged = r.failures.Sorted()
	slices.Sort(rep.Spared)
	slices.Sort(rep.OtherTimes)
	slices.SortFunc(rep.Kept, func(a, b KeptItem) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(rep.Unsaved, func(a, b UnsavedItem) int { return strings.Compare(a.Path, b.Path) })
}

// whyRefused adds to an error the attribute or privilege that keeps even root from changing a name in the target.
func whyRefused(dir int, name string, err error) error {
	var at, above fsat.Stat
	if !errors.Is(err, syscall.EPERM) || fsat.StatHandle(dir, &above) != nil {
		return err
	}
	const locked = uint32(tree.LockingAttrs)
	switch {
	case fsat.StatAt(dir, name, &at) == nil && at.Attrs&locked != 0:
		return fmt.Errorf("%w: the existing entry is immutable or append-only (chattr)", err)
	case above.Attrs&locked != 0:
		return fmt.Errorf("%w: its folder is immutable or append-only (chattr)", err)
	}
	return err
}
