package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fault"
	"snapcopy/internal/rmtree"
	"snapcopy/internal/workers"
)

// publish makes the finished mirror a snapshot. Everything is durable before the rename that makes it visible; the
// catalog takes its place first, so that no snapshot exists without one. The next run can repeat the steps after the
// rename; the report lists their failures.
func (r *run) publish() error {
	r.phase(archive.Syncing)
	if err := r.unfinished.beforePublishing(r.report.Snapshot); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if err := workers.UntilDone(r.ctx, r.mirror.Sync); err != nil {
		return fmt.Errorf("publish: sync: %w", err)
	}
	if err := r.finishCatalog(); err != nil {
		return fmt.Errorf("publish: finish catalog in %s: %w", r.archive.WorkPath(), err)
	}
	if err := r.pinGood(); err != nil {
		return fmt.Errorf("publish: pin the snapshot with the good version of a damaged file: %w", err)
	}
	if err := r.noteOutcome(); err != nil {
		return fmt.Errorf("publish: note the outcome: %w", err)
	}
	if err := r.ctx.Err(); err != nil {
		return context.Cause(r.ctx)
	}
	r.phase(archive.Publishing)
	err := r.step("catalog")
	if err == nil { // at its path there may be another archive now
		err = r.archive.AtPath()
	}
	if err == nil {
		err = r.rec.place(r.work, r.archive, r.report.Snapshot)
	}
	if err != nil {
		return fmt.Errorf("publish: catalog: %w", err)
	}
	if err := r.mirror.Publish(r.report.Snapshot); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	r.published = true
	r.afterwards("sync of the folders", r.syncSnapshot)
	r.afterwards("content-hash index", r.updateIndex)
	r.afterwards("run report", r.placeReport)
	r.afterwards(archive.LatestLink, r.updateLatest)
	r.afterwards("removal of the journal", r.dropUnfinished)
	if len(r.report.Unfinished) > 0 {
		r.afterwards("the archive", r.archive.Reachable)
	}
	r.phase(archive.Finished)
	return nil
}

// finishCatalog completes the catalog with the final numbers of blocks, known only now that the mirror is on the disk,
// and makes it durable.
func (r *run) finishCatalog() error {
	rep := r.report
	more, err := r.rec.correctBlocks(r.mirror)
	if err != nil {
		return err
	}
	rep.Counts.BytesAllocated += more
	rep.End = r.opt.now().UTC()
	return r.rec.finish(r.top.self, index.Summary{
		Snapshot:    rep.Snapshot,
		Start:       timeOf(rep.Start),
		End:         timeOf(rep.End),
		Source:      rep.Source,
		Host:        r.host,
		Previous:    rep.Previous,
		Anchor:      r.archive.Anchor,
		Granularity: 1,
		Incomplete:  rep.Incomplete,
		Counts:      rep.Counts,
	})
}

// syncSnapshot makes the snapshot's name durable: until then a power cut may still remove the whole snapshot.
func (r *run) syncSnapshot() error {
	var err error
	if mode := archive.TopMode(&r.top.self); mode&0o700 != 0o700 {
		err = r.locked.SetTopMode(r.report.Snapshot, mode)
	}
	return errors.Join(err, r.archive.SyncRoot(), syncFolder(r.mirrorIn(), r.mirrorPath()))
}

// dropUnfinished removes what the next run would have gone on from.
func (r *run) dropUnfinished() error {
	if r.unfinished.dir < 0 {
		return nil
	}
	_, err := r.locked.DropUnfinished(r.unfinished.name)
	return err
}

func (r *run) afterwards(what string, do func() error) {
	err := r.step(what)
	if err == nil {
		err = do()
	}
	if err != nil {
		r.report.Unfinished = append(r.report.Unfinished, what+": "+err.Error())
	}
}

// updateIndex adds the files that this run has stored to the content-hash index.
func (r *run) updateIndex() error {
	rebuilt, err := r.pool.updateIndex(r.ctx, r.locked, r.report.Snapshot, r.rec.additions)
	r.report.IndexRebuilt = cmp.Or(rebuilt, r.report.IndexRebuilt)
	return err
}

// updateLatest points the link at the new snapshot, in one step, unless that is a copy older than the newest one. On a
// file system without symbolic links it does nothing. If the file system refused a new link this time, the report says
// that the old one stays.
func (r *run) updateLatest() error {
	if !r.caps.Symlinks && r.archive.Latest() == "" || r.origin != nil && r.origin.isOlder {
		return nil
	}
	return r.locked.PointLatest(r.report.Snapshot)
}

// abandon ends an unsuccessful run. The files that it has stored stay for the next run of the source; all its other work
// is removed. If that fails too, the next run does it.
func (r *run) abandon(cause error) error {
	if cause == nil || r.published || r.work < 0 || fault.IsCrash(cause) {
		return nil
	}
	r.phase(archive.Abandoning)
	if r.lose(cause); r.loss != nil { // nothing can be removed, and withLoss tells why
		r.report.Left, _ = r.unfinished.leave()
		return nil
	}
	var catalogErr error
	if r.rec.placed { // the name is this run's own
		catalogErr = os.Remove(r.archive.CatalogPath(r.report.Snapshot))
	}
	_, err := r.locked.RemoveOrphans()
	err = errors.Join(catalogErr, err)
	err = errors.Join(err, r.leaveFiles())
	leftovers := []string{workCatalog}
	if r.noted && catalogErr == nil { // otherwise it tells the next run which catalog to remove
		leftovers = append(leftovers, archive.WorkReport)
	}
	for _, name := range leftovers {
		if workErr := rmtree.Remove(r.work, name); workErr != nil {
			err = errors.Join(err, &fs.PathError{Op: "remove", Path: r.archive.Meta.Path(archive.WorkDir, name), Err: workErr})
		}
	}
	return err
}

// leaveFiles leaves the stored files and their journal to the next run. Without a journal, or with nothing in it, the
// mirror is removed.
func (r *run) leaveFiles() (err error) {
	if r.unfinished.dir >= 0 {
		if r.report.Left, err = r.unfinished.leave(); err != nil || r.report.Left != nil {
			return err
		}
		return rmtree.Remove(r.work, filepath.Base(r.unfinished.path))
	}
	if r.mirror != nil {
		return r.mirror.Discard()
	}
	return nil
}

func timeOf(t time.Time) index.Time {
	return index.Time{Sec: t.Unix(), Nsec: uint32(t.Nanosecond())}
}
