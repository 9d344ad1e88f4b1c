// Package restore copies a published snapshot, or some paths in it, back into a folder.
//
// [Run] fills a target, which may exist; [Swap] restores beside a folder and exchanges the two in one step; [Cat] writes
// the content of one file to a stream. Type, owner, mode, times, extended attributes, link groups and devices come from
// the catalog, which has the truth even if the archive's file system could not store it; content comes from the stored
// files and is compared with the catalog's hash on the way. A damaged stored file is never restored: it is listed in the
// [Report], and everything else goes on.
//
// The archive is only read. [Options] decide about the entries that the target has: without them a folder is entered, an
// entry that differs is left alone and listed, and nothing is deleted. With Overwrite a differing entry is replaced; with
// Delete an entry that the snapshot does not contain is removed, unless the filters of the snapshot's run may have left it
// out. An entry that lacks only metadata which the target's file system and these privileges cannot store does not differ.
//
// A file gets its name when it is complete. A restore that was cut short leaves a note in a target that it has made, and
// the same call continues it. When Run returns without an error, everything is on the disk.
//
// All work is done by folder handles and leaf names, so no symbolic link that is put into the target leads it astray, and
// no depth is too deep. Memory grows with the largest single folder, and with the number of inodes of which several names
// are wanted and only some were made so far.
//
// A snapshot as a tar archive is in restore/tarball, one that is mounted at once and copied later in restore/instant.
package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"snapcopy/internal/archive"
	"snapcopy/internal/exclude"
	"snapcopy/internal/fsat"
	"snapcopy/internal/lack"
	"snapcopy/internal/lookup"
	"snapcopy/internal/outcome"
	"snapcopy/internal/tree"
	"snapcopy/internal/walk"
	"snapcopy/internal/workers"
)

// Errors that callers tell apart with errors.Is. The error for a path that is not in the snapshot is a
// *[lookup.NotFoundError].
var (
	// ErrExists reports an existing entry of that name in the target, which was not touched.
	ErrExists = errors.New("exists already")
	// ErrHoldsArchive reports a folder that would have to be moved, with the archive in it.
	ErrHoldsArchive = errors.New("the archive is in it")
	// ErrNoRoom reports that nothing was written, because the target seems to have too little space.
	ErrNoRoom = errors.New("too little room in the target")
)

// A SpaceError reports that the target has too little space for the restore. errors.Is finds ENOSPC and ErrNoRoom in
// it.
type SpaceError struct {
	Target     string
	Need, Free uint64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s has %d bytes free, and the files to be restored take %d", e.Target, e.Free, e.Need)
}

func (e *SpaceError) Unwrap() []error { return []error{syscall.ENOSPC, ErrNoRoom} }

// Options are the options of one restore. The zero value is a good default.
type Options struct {
	// Threads is the number of workers. 0: one for each processor, at least 2 (so that one can wait for the disk) and
	// at most 16.
	Threads int
	// Overwrite says what to do with existing entries of the target that differ from the snapshot.
	Overwrite Overwrite
	// Delete removes the entries of the target that the snapshot lacks, in folders that the snapshot has. It spares
	// entries that Exclude matches, the archive, other file systems mounted in the target unless the snapshot has
	// entries of them, and entries that the snapshot cannot contain: those that Guard knows, and those in a folder
	// that could not be read.
	Delete bool
	// DeleteUnsaved makes Delete remove entries that the snapshot cannot contain, too.
	DeleteUnsaved bool
	// Guard knows the entries that the snapshot left out. nil: none.
	Guard *Guard
	// BackupSuffix, if set, keeps replaced and deleted entries under their names with the suffix, and a number if need
	// be.
	BackupSuffix string
	// Exclude leaves out the entries that it matches. nil: none.
	Exclude *exclude.Matcher
	// InPlace restores each path to its place below the target and not under its last element. Missing folders on the
	// way are made as in the snapshot.
	InPlace bool
	// IgnoreSpace begins even if the target seems to have too little space: data that compress well may fit.
	IgnoreSpace bool
	// Verify reads every file back from the disk after writing it.
	Verify bool
	// DryRun changes nothing, and reports what a restore would do. On a file system without unnamed files it cannot
	// find out which metadata can be stored there, and reports some differences that are none.
	DryRun bool
	// Attrs sets the file attributes of the source (chattr): exactly those, if the target's file system can. Otherwise
	// new files and folders keep inherited ones.
	Attrs    bool
	Progress *outcome.RestoreProgress // nil: nobody is watching
	// Item, if set, is called with the outcome for each entry. Several workers call it, one at a time.
	Item func(outcome.Item)
	// Fault, if set, is called with the name of each step that changes the target, before the step; its error replaces
	// the step. For tests.
	Fault func(step string) error
}

// excludes reports whether Exclude matches a path.
func (o *Options) excludes(path string, dir bool) bool {
	_, out := o.Exclude.Match(path, dir)
	return out
}

func (o *Options) threads() int { return workers.Number(o.Threads) }

// run is one restore. It has the order of the steps; its parts know their own state and not the run.
type run struct {
	scope  scope  // from where
	target target // to where
	opt    Options
	teller
	note note

	// The walk through both.
	top     *dir
	dirs    tree.Walk
	workers []worker

	// For each entry: compare it with the target's, clear its way, make it, or link it to another name.
	comparer comparer
	clearer  clearer
	maker    maker
	groups   linkGroups

	// For the end: undo, or do late.
	opener   opener
	passages passages
	late     lateWork
	writeOut writeOut
}

// Run restores from a published snapshot into the folder to, which it makes if it is missing, with its parents.
// Without paths the whole snapshot goes into it, and if Run made the folder, or overwrites entries, the folder gets
// the metadata of the snapshot's root. Otherwise each path, elements joined by '/', is restored under its last
// element's name, with everything below it.
//
// An entry that cannot be restored is listed in the report and stops nothing. Run itself fails if it makes no sense to
// go on: if a path is not in the snapshot or the target cannot be used, both before anything is written; if the file
// system is full; or if ctx ends. Entries restored until then are left, and the report returned with the error counts
// them. When Run returns without an error, everything is on the disk.
func Run(ctx context.Context, from archive.OpenSnapshot, paths []string, to string,
	opt Options) (report *Report, err error) {
	return start(ctx, from, paths, to, opt, nil)
}

// start is Run. swap, if not nil, opens the target, which exists and is to be moved.
func start(ctx context.Context, from archive.OpenSnapshot, paths []string, to string, opt Options,
	swap *swap) (report *Report, err error) {
	r := newRun(ctx, from, opt, swap)
	defer func() {
		if !errors.Is(err, ErrNoRoom) {
			err = lack.Explain(err, to)
		}
		err = errors.Join(err, r.close())
	}()

	if err := fsat.CheckProc(); err != nil {
		return nil, err
	}
	if strings.Contains(opt.BackupSuffix, "/") {
		return nil, fmt.Errorf("backup suffix %q: a name cannot have a slash", opt.BackupSuffix)
	}
	if r.scope.selected, err = lookup.Select(from.Catalog, paths, opt.InPlace); err != nil {
		return nil, err
	}
	r.opt.Progress.Expect(lookup.TotalsOf(from.Catalog, r.scope.selected))
	if r.scope.fd, err = fsat.OpenRoot(from.Dir); err != nil {
		return nil, &fs.PathError{Op: "open snapshot", Path: from.Dir, Err: err}
	}
	if err := r.target.open(to, from.Dir, r.scope.whole()); err != nil {
		return nil, err
	}
	r.report.Target = r.target.path
	r.groups.Partial = !r.scope.whole()
	r.workers = newWorkers(opt.threads(), r.opt.Progress)
	for i := range r.workers {
		r.workers[i].folders.Open, r.workers[i].folders.Most = openAgain, 4
	}
	if err := r.openTop(); err != nil {
		return nil, err
	}
	r.writeOut.start(&r.target)
	err = walk.Run(ctx, len(r.workers), r.top, r.top.items(), walk.Tree[*dir]{
		Items: r.items,
		Enter: r.enter,
		Leave: r.leave,
	})
	err = errors.Join(err, r.writeOut.end())
	if err == nil {
		err = r.finish()
	}
	err = errors.Join(err, r.opener.closeUp())
	r.sumUp()
	return r.report, err
}

func newRun(ctx context.Context, from archive.OpenSnapshot, opt Options, swap *swap) *run {
	if opt.Progress == nil {
		opt.Progress = new(outcome.RestoreProgress)
	}
	if opt.Exclude == nil {
		opt.Exclude = exclude.New()
	}
	r := &run{
		scope:  scope{OpenSnapshot: from, fd: fsat.NoDir, inPlace: opt.InPlace},
		opt:    opt,
		target: target{fd: fsat.NoDir, swap: swap, dry: opt.DryRun, fault: opt.Fault},
	}
	r.ctx, r.item = ctx, opt.Item
	r.report = &Report{Snapshot: from.Catalog.Summary().Snapshot, DryRun: opt.DryRun}
	r.note.scope, r.note.target = &r.scope, &r.target
	r.maker = maker{ctx: ctx, catalog: from.Catalog, target: &r.target, verify: opt.Verify,
		setter: tree.Setter{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Attrs: opt.Attrs, Fault: opt.Fault}}
	r.comparer = comparer{ctx: ctx, catalog: from.Catalog, target: &r.target,
		trials: trials{target: &r.target, maker: &r.maker}, uid: r.maker.setter.UID, attrs: opt.Attrs,
		overwrite: opt.Overwrite, note: &r.note, devices: from.Catalog.Devices()}
	r.opener = opener{target: &r.target, uid: r.maker.setter.UID}
	r.passages = passages{target: &r.target, maker: &r.maker, opener: &r.opener, note: &r.note}
	r.clearer = clearer{opt: &r.opt, catalog: from.Catalog, target: &r.target, note: &r.note, opener: &r.opener,
		teller: &r.teller}
	r.groups.target = &r.target
	r.late.locks, r.late.moves = opt.Attrs, swap != nil
	return r
}

// finish does the steps that have to wait until all entries are there, and makes everything durable.
func (r *run) finish() error {
	if r.opt.DryRun {
		return nil
	}
	for _, step := range []func() error{
		r.linkLate, r.joinOutside, r.passages.finish, r.syncContents, r.closeModes, r.endNote, r.opener.closeUp,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := r.late.lockAll(&r.workers[0]); err != nil {
		return err
	}
	if err := r.target.step("sync"); err != nil {
		return err
	}
	if err := r.target.sync(); err != nil || r.target.swap == nil || r.failures.Any() {
		return err
	}
	return r.exchange()
}

// syncContents makes everything durable before the note goes: without the note, an entry that did not reach the disk
// would not be recognised.
func (r *run) syncContents() error {
	if !r.note.unfinished() || r.target.fsync {
		return nil
	}
	if err := r.target.step("sync contents"); err != nil {
		return err
	}
	if err := r.target.sync(); err != nil {
		return err
	}
	if r.ctx.Err() != nil { // that may have taken long
		return context.Cause(r.ctx)
	}
	return nil
}

// endNote removes the note, unless folders of this restore's own still lack their metadata.
func (r *run) endNote() error {
	if err := r.note.end(&r.workers[0], r.top.entry.Mtime); err != nil {
		return err
	}
	r.report.Unfinished = r.note.unfinished()
	return nil
}

func (r *run) close() error {
	errs := []error{r.dirs.CloseAll()}
	for i := range r.workers {
		w := &r.workers[i]
		errs = append(errs, w.folders.Close(), w.scratch.close())
	}
	return errors.Join(append(errs, fsat.Close(r.target.fd), fsat.Close(r.scope.fd))...)
}
