package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
	"snapcopy/internal/journal"
	"snapcopy/internal/workers"
)

// A run that ends before it has published its snapshot leaves what it has stored to the next run of the same source.
//
// Meanwhile it writes a journal (package journal): a record for each regular file that it stores anew, and marks for
// files that take long to copy. Files that the run links to the previous snapshot need no record, because the next run
// finds them in the same way, and neither do symbolic links, devices and folders, which hold no content. At checkpoints,
// in the background, the archive's file system is synced, and the journal says so.
//
// The next run moves each recorded file out of the old mirror into a flat folder, kept, under the number of its inode
// (gather.go), and looks at each entry of the source again. If an entry is to be stored, and its stat data are those of
// the record by the rule for unchanged files, the kept file becomes its stored file (takekept.go). So a snapshot is that
// of the last run's source, whatever was recorded before.
//
// Kept files keep their names in that folder until the snapshot is published, so that a run may be interrupted any number
// of times. From then on they are published stored files: nobody opens them for writing. Only a partial copy is written
// to, and only as long as its inode has no further name.
//
// Records before the last checkpoint need no more than a look at the stat data of the kept file. Later ones are hashed
// first: after a power cut their files may be empty. Where syncing a file system means nothing (NeedsFsync), all are.
//
// A copy of a snapshot of another archive has no journal, and neither has a run without hard links.

// unfinished is the part of a run that records what it stores, and knows what earlier runs have left.
type unfinished struct {
	ctx   context.Context
	name  archive.SourceID
	path  string // of the folder with everything below
	dir   int    // its handle; fsat.NoDir: this run records nothing
	every uint64 // bytes between checkpoints

	journal *journal.Writer
	file    *os.File // the same journal, for reading
	fsyncs  bool     // a sync of the file system means nothing

	table *journal.Table // of the records that this run began with; nil: there are none
	kept  int            // handle of the folder with their files

	syncing atomic.Bool  // a checkpoint is under way
	early   atomic.Int64 // from this time on, in ns, an early checkpoint is worth it
	wait    sync.WaitGroup
	mu      sync.Mutex
	err     error              // the first one of a checkpoint
	left    archive.Unfinished // for the next run, if this one does not publish
}

// Distances of checkpoints. An early one follows if the last one has taken at most a fifth of the time since it began.
const (
	checkpointBytes = 256 << 20
	earlyBytes      = 32 << 20
	checkpointAfter = 30 * time.Second
)

// isDue reports whether it is time for a checkpoint.
func (u *unfinished) isDue() bool {
	bytes := u.every
	if time.Now().UnixNano() >= u.early.Load() {
		bytes = min(bytes, earlyBytes)
	}
	return u.journal.Due(bytes, checkpointAfter)
}

// markFrom is the size from which a partial copy is worth going on with.
const markFrom = 8 << 20

// keptName is the name of a kept file.
func keptName(ino uint64) string { return strconv.FormatUint(ino, 10) }

// goOn takes over what interrupted runs of the source have left, and begins the journal of this one. A dry run only tells
// of them.
func (r *run) goOn() (err error) {
	u := &r.unfinished
	if r.origin != nil || r.archive == nil {
		return nil
	}
	u.ctx, u.name, u.every = r.ctx, archive.SourceID{Host: r.host, Path: r.report.Source}, checkpointBytes
	if r.opt.CheckpointBytes != 0 {
		u.every = r.opt.CheckpointBytes
	}
	u.path, u.fsyncs = r.archive.UnfinishedPath(u.name), r.caps.NeedsFsync
	u.left = archive.Unfinished{Path: u.path, Host: u.name.Host, Source: u.name.Path, Began: r.report.Start}
	if r.opt.DryRun {
		r.report.Left, err = r.archive.UnfinishedRun(u.name)
		return err
	}
	if r.opt.NoResume || !r.caps.HardLinks {
		if err := r.startAfresh(); err != nil || !r.caps.HardLinks {
			return err
		}
	}
	if err := r.step("journal"); err != nil {
		return err
	}
	moved := false
	if u.dir, moved, err = r.locked.OpenUnfinished(u.name); err != nil {
		return err
	}
	if moved {
		r.report.Recovered = append(r.report.Recovered, noFolder(u.path))
	}
	if err = u.begin(r); err != nil {
		return fmt.Errorf("go on with the unfinished run in %s: %w", u.path, err)
	}
	return nil
}

// startAfresh removes what interrupted runs of the source have left, and frees its space.
func (r *run) startAfresh() error {
	u := &r.unfinished
	dropped, err := r.locked.DropUnfinished(u.name)
	if err != nil {
		return fmt.Errorf("remove %s: %w", u.path, err)
	}
	if !dropped {
		return nil
	}
	r.report.Recovered = append(r.report.Recovered, "removed what an unfinished run of this source had stored")
	return r.archive.Trash.Empty(r.ctx, r.opt.Threads)
}

// begin gathers what is there, and opens the journal for this run's records.
func (u *unfinished) begin(r *run) error {
	h := &journal.Header{Archive: r.archive.Info.ID, Anchor: r.archive.Anchor, Host: u.name.Host, Source: u.name.Path,
		Began: u.left.Began}
	g := gatherer{u: u, run: r, header: h}
	did, err := g.gather()
	r.report.Recovered = append(r.report.Recovered, did...)
	if err != nil || u.journal != nil {
		return err
	}
	if u.file, err = u.create(archive.JournalFile); err != nil {
		return err
	}
	u.journal, err = journal.Create(u.file, h)
	return err
}

// create makes a journal's file.
func (u *unfinished) create(name string) (*os.File, error) {
	file, err := os.OpenFile(u.path+"/"+name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := atomicfile.Inherit(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// add records a stored file, of which bytes of content were not recorded before.
func (u *unfinished) add(rec *journal.Record, bytes uint64) error {
	if err := u.count(rec, bytes); err != nil {
		return err
	}
	if _, err := u.journal.Add(rec); err != nil {
		return fatal("write", u.path+"/"+archive.JournalFile, err)
	}
	if !u.isDue() || !u.syncing.CompareAndSwap(false, true) {
		return nil
	}
	// A handle of its own sees each error of the disk, and leaves it to be seen by the sync before publishing, too.
	fd, err := fsat.OpenDir(u.dir, ".")
	if err != nil {
		return fatal("open", u.path, err)
	}
	u.wait.Go(func() { u.checkpoint(fd) })
	return nil
}

// checkpoint makes everything stored so far durable, and records that. The workers go on meanwhile, and an interrupted
// run does not wait for it.
func (u *unfinished) checkpoint(fd int) {
	begin := time.Now()
	defer func() {
		u.early.Store(time.Now().Add(4 * time.Since(begin)).UnixNano())
		u.syncing.Store(false)
	}()
	position, err := u.journal.Position()
	if err == nil {
		err = fsat.SyncFS(fd)
	}
	if err = errors.Join(err, fsat.Close(fd)); err == nil {
		err = u.journal.Checkpoint(position)
	}
	if err == nil || errors.Is(err, journal.ErrClosed) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		u.err = fatal("checkpoint in", u.path, err)
	}
}

// count counts a record, and returns the error of an earlier checkpoint.
func (u *unfinished) count(rec *journal.Record, bytes uint64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !rec.Partial() {
		u.left.Files++
	}
	u.left.Bytes += bytes
	return u.err
}

// leftNow returns what is there for the next run, if this one ends now.
func (u *unfinished) leftNow() archive.Unfinished {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.left
}

// failure returns the error of an earlier checkpoint.
func (u *unfinished) failure() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// beforePublishing ends the journal, and notes the name under which the snapshot will be published: once it exists, the
// kept files are its files.
func (u *unfinished) beforePublishing(snapshot string) error {
	if u.journal == nil {
		return nil
	}
	if err := workers.UntilDone(u.ctx, func() error { u.wait.Wait(); return nil }); err != nil {
		return err
	}
	if err := errors.Join(u.failure(), u.journal.Close()); err != nil {
		return err
	}
	note := u.path + "/" + archive.PublishingNote
	var top fsat.Stat
	err := fsat.StatAt(u.dir, treeDir, &top)
	if err == nil {
		err = atomicfile.Write(note, []byte(archive.PublishingText(snapshot, top.Ino)), 0o600)
	}
	if err != nil {
		return fmt.Errorf("note the name in %s: %w", note, err)
	}
	return nil
}

// leave ends the journal of a run that publishes nothing. It returns what the run leaves to the next one; nil: nothing.
func (u *unfinished) leave() (*archive.Unfinished, error) {
	if u.journal == nil { // the journal that the run has found, if any, is as it was
		return &u.left, nil
	}
	err := u.journal.Close()
	if u.left.Bytes == 0 && u.left.Files == 0 && err == nil {
		return nil, nil
	}
	return &u.left, err
}

func (u *unfinished) close() error {
	var errs []error
	if u.journal != nil {
		errs = append(errs, u.journal.Close())
	}
	return errors.Join(append(errs, u.table.Close(), fsat.Close(u.kept), fsat.Close(u.dir))...)
}
