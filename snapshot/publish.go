package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/rmtree"
)

// publish makes the finished mirror a snapshot. Everything is durable before the rename that makes it visible; the
// catalog takes its place first, so that there is no snapshot without one. What comes after the rename can be made up
// for by the next run, and its failure is told in the report.
func (r *run) publish(ctx context.Context) error {
	r.phase(Syncing)
	if err := r.makeDurable(); err != nil {
		return fmt.Errorf("publish: sync: %w", err)
	}
	if err := r.finishCatalog(); err != nil {
		return fmt.Errorf("publish: finish catalog in %s: %w", r.archive.WorkPath(), err)
	}
	if err := r.noteOutcome(); err != nil {
		return fmt.Errorf("publish: note the outcome: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	r.phase(Publishing)
	if err := r.placeCatalog(); err != nil {
		return fmt.Errorf("publish: catalog: %w", err)
	}
	if err := r.placeSnapshot(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	r.published = true
	r.afterwards("sync of the folders", r.settleSnapshot)
	r.afterwards("content-hash index", r.updateIndex)
	r.afterwards("run report", r.placeReport)
	r.afterwards(latestLink, r.updateLatest)
	r.phase(Finished)
	return nil
}

// finishCatalog ends the catalog, with what is only known of the mirror when it is on the disk, and makes it durable.
func (r *run) finishCatalog() error {
	if err := r.settleBlocks(); err != nil {
		return err
	}
	rep := r.report
	rep.End = r.opt.now().UTC()
	root := r.top.self
	root.Name = ""
	err := r.catalog.Finish(root, r.devices.list, index.Summary{
		Snapshot:    rep.Snapshot,
		Start:       timeOf(rep.Start),
		End:         timeOf(rep.End),
		Source:      rep.Source,
		Host:        r.host,
		Previous:    rep.Previous,
		Anchor:      r.archive.anchor,
		Granularity: 1,
		Incomplete:  rep.Incomplete,
		Counts:      rep.Counts,
	})
	if err != nil {
		return err
	}
	return r.catalogFile.Sync()
}

// makeDurable brings the whole mirror to the disk. Where that cannot be had in one call, each file was
// synced when it was made.
func (r *run) makeDurable() error {
	if err := r.step("sync"); err != nil {
		return err
	}
	return callFailed("sync", r.archive.Path, fsat.SyncFS(r.archive.root))
}

// placeCatalog gives the catalog its name, which no other catalog has: that may be all that is left to prove another
// snapshot.
func (r *run) placeCatalog() (err error) {
	if err := r.step("catalog"); err != nil {
		return err
	}
	path := r.archive.catalogPath(r.report.Snapshot)
	catalogs, err := fsat.OpenDir(r.archive.meta, catalogsDir)
	if err != nil {
		return &fs.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	defer func() { err = errors.Join(err, fsat.Close(catalogs)) }()
	if err := fsat.RenameNew(r.work, workCatalog, catalogs, filepath.Base(path)); err != nil {
		return &fs.PathError{Op: "rename to", Path: path, Err: err}
	}
	r.catalogPlaced = true
	if err := fsat.Sync(catalogs); err != nil {
		return &fs.PathError{Op: "sync", Path: filepath.Dir(path), Err: err}
	}
	return nil
}

// placeSnapshot is the moment at which the snapshot comes to exist.
func (r *run) placeSnapshot() error {
	if err := r.step("publish"); err != nil {
		return err
	}
	path := filepath.Join(r.archive.Path, r.report.Snapshot)
	var tree, placed fsat.Stat
	if err := fsat.StatAt(r.work, workTree, &tree); err != nil {
		return &fs.PathError{Op: "stat", Path: r.archive.metaPath(workDir, workTree), Err: err}
	}
	err := fsat.RenameNew(r.work, workTree, r.archive.root, r.report.Snapshot)
	// A network file system may have renamed and say that it has not, because it was asked twice.
	if err != nil && (fsat.StatAt(r.archive.root, r.report.Snapshot, &placed) != nil || !placed.SameFile(&tree)) {
		return &fs.PathError{Op: "rename to", Path: path, Err: err}
	}
	return nil
}

// settleSnapshot makes the snapshot's name durable: until then a power cut may still take the whole snapshot away.
func (r *run) settleSnapshot() error {
	var err error
	if mode := topMode(&r.top.self); mode&0o700 != 0o700 {
		err = r.archive.setTopMode(r.report.Snapshot, mode)
	}
	return errors.Join(err, r.archive.syncRoot(), callFailed("sync", r.archive.WorkPath(), fsat.Sync(r.work)))
}

// topMode is the mode that a snapshot's own folder gets, with what could not be held taken into account.
func topMode(root *index.Entry) uint32 {
	if root.Flags&index.OwnerNotHeld != 0 {
		mode, _ := safeMode(root)
		return mode
	}
	return root.Mode
}

// setTopMode gives a snapshot's own folder the source's mode, which could not be set before it was moved into place.
func (a *Archive) setTopMode(name string, mode uint32) error {
	if err := fsat.ChmodAt(a.root, name, mode); err != nil && !fsat.IsRefused(err) {
		return callFailed("chmod", filepath.Join(a.Path, name), err)
	}
	return nil
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

// updateIndex adds what this run stored. An index that turns out to be damaged is made anew.
func (r *run) updateIndex() error {
	var err error
	if r.additions.Len() > 0 && !r.indexDamaged.Load() {
		err = r.additions.Merge(r.index, r.report.Snapshot, r.archive.IndexPath())
	}
	if !r.indexDamaged.Load() && !errors.Is(err, index.ErrDamaged) {
		return err
	}
	snapshots, err := r.archive.Snapshots()
	if err != nil {
		return err
	}
	r.report.IndexRebuilt = "it was damaged; files moved in this run may have been stored again"
	return r.archive.rebuildIndex(r.ctx, snapshots)
}

// updateLatest points the link at the new snapshot, in one step. A file system without symbolic links has none;
// one that has refused to make another must not leave it where it was without a word.
func (r *run) updateLatest() error {
	if !r.caps.Symlinks && r.archive.latest() == "" {
		return nil
	}
	return r.archive.pointLatest(r.report.Snapshot, r.archive.outOfInodes())
}

// abandon removes what an unsuccessful run has made, which gives the space back. If that fails too, the next run does
// it.
func (r *run) abandon(cause error) error {
	if cause == nil || r.published || r.opt.DryRun || r.work < 0 || isCrash(cause) {
		return nil
	}
	r.phase(Abandoning)
	var catalogErr error
	if r.catalogPlaced { // the name is this run's own
		catalogErr = os.Remove(r.archive.catalogPath(r.report.Snapshot))
	}
	_, err := r.archive.removeOrphans()
	err = errors.Join(catalogErr, err)
	for _, name := range []string{workTree, workCatalog, workReport} {
		if workErr := rmtree.Remove(r.work, name); workErr != nil {
			err = errors.Join(err, &fs.PathError{Op: "remove", Path: r.archive.metaPath(workDir, name), Err: workErr})
		}
	}
	return err
}

// errCrash, from a test's fault, stands for the end of the process: nothing is cleaned up.
var errCrash = errors.New("crash")

func isCrash(err error) bool { return errors.Is(err, errCrash) }

// recover makes up for a run or a removal that was cut short: it removes what was not published and finishes the rest.
// What is in the trash only costs space, and stays unless there is no room without it. The caller holds the lock. It
// tells what it did.
func (a *Archive) recover(ctx context.Context) (did []string, err error) {
	did, err = a.tidy(ctx)
	if err != nil {
		return did, err
	}
	err = a.withRoom(ctx, func() error {
		more, err := a.complete(ctx)
		did = append(did, more...)
		return err
	})
	if errors.As(err, new(*postponedError)) {
		err = nil
	}
	return did, err
}

// A postponedError is the lack of room for what only tells of snapshots, a link or a report. Nothing else has to wait for it.
type postponedError struct{ err error }

func (p *postponedError) Error() string { return p.err.Error() }
func (p *postponedError) Unwrap() error { return p.err }

// tidy is the part of recover that takes away, which is possible where there is no room.
func (a *Archive) tidy(ctx context.Context) (did []string, err error) {
	waits, err := a.adoptReport()
	if err != nil {
		return nil, fmt.Errorf("clean up %s: %w", workDir, err)
	}
	did, err = a.emptyWork(waits)
	if err != nil {
		return did, err
	}
	removed, err := a.recoverTrash(ctx)
	did = append(did, removed...)
	if err != nil {
		return did, err
	}
	orphans, err := a.removeOrphans()
	return append(did, orphans...), err
}

// complete is the part of recover that writes.
func (a *Archive) complete(ctx context.Context) (did []string, err error) {
	note, err := a.finishForgetting(ctx, nil)
	if err != nil {
		return nil, err
	}
	if note != nil {
		did = append(did, fmt.Sprintf("finished forgetting %q", note.Path))
	}
	err = errors.Join(a.finishNewest(), a.mendLatest())
	if fsat.IsNoSpace(err) {
		err = &postponedError{err}
	}
	return did, err
}

// emptyWork removes what a run that was cut short has left, but for a report that waits for room.
func (a *Archive) emptyWork(reportWaits bool) (did []string, err error) {
	fd, err := fsat.OpenDir(a.meta, workDir)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: a.WorkPath(), Err: err}
	}
	list, err := fsat.ReadDir(fd, make([]byte, listBuffer))
	list = slices.DeleteFunc(list, func(e fsat.DirEntry) bool { return reportWaits && e.Name == workReport })
	for _, e := range list {
		if err == nil {
			err = rmtree.Remove(fd, e.Name)
		}
	}
	if err = errors.Join(err, fsat.Close(fd)); err != nil {
		return nil, fmt.Errorf("clean up %s: %w", a.WorkPath(), err)
	}
	if len(list) > 0 {
		did = append(did, "removed what an unfinished run had left")
	}
	return did, nil
}

// removeOrphans removes catalogs newer than every snapshot but those from the future, if there is no report of their runs:
// those ended just before the snapshot took its place. With a report there was a snapshot, and somebody has removed it;
// verify tells of that.
func (a *Archive) removeOrphans() (did []string, err error) {
	snapshots, err := a.Snapshots()
	if err != nil {
		return nil, err
	}
	newest := ""
	if past := newestPast(snapshots, a.now()); past >= 0 {
		newest = snapshots[past].Name
	}
	files, err := a.list(catalogsDir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		name, isCatalog := strings.CutSuffix(file, catalogExt)
		if _, ok := parseName(name); !ok || !isCatalog || name <= newest {
			continue
		}
		_, folderErr := os.Lstat(filepath.Join(a.Path, name))
		_, reportErr := os.Lstat(a.reportPath(name))
		if !errors.Is(folderErr, fs.ErrNotExist) || !errors.Is(reportErr, fs.ErrNotExist) || a.isLeaving(name) {
			continue
		}
		if err := os.Remove(a.catalogPath(name)); err != nil {
			return did, fmt.Errorf("clean up: %w", err)
		}
		did = append(did, "removed the catalog of "+name+", which was not published")
	}
	return did, nil
}

// finishNewest makes up for what the newest snapshot's run did not get to after publishing it: the mode of its own folder
// and the run report.
func (a *Archive) finishNewest() (err error) {
	snapshots, err := a.Snapshots()
	if err != nil || len(snapshots) == 0 {
		return err
	}
	last := len(snapshots) - 1
	if past := newestPast(snapshots, a.now()); past >= 0 && past != last {
		if err := a.finishRun(snapshots[past]); err != nil {
			return err
		}
	}
	return a.finishRun(snapshots[last])
}

func (a *Archive) finishRun(s Snapshot) (err error) {
	c, err := s.OpenCatalog()
	if err != nil {
		return nil // the run tells of it when it wants to compare
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return errors.Join(a.settleMode(s.Name, c.Root()), a.missingReport(s.Name, c.Summary()))
}

// settleMode gives a snapshot's own folder the mode that root, its entry, has, if it was given write permission to be
// moved.
func (a *Archive) settleMode(name string, root index.Entry) error {
	mode := topMode(&root)
	var st fsat.Stat
	if err := fsat.StatAt(a.root, name, &st); err != nil {
		return callFailed("stat", filepath.Join(a.Path, name), err)
	}
	if mode&0o700 != 0o700 && st.Mode == mode|0o700 {
		return a.setTopMode(name, mode)
	}
	return nil
}

// missingReport writes the report of a run that ended between publishing and that, as far as the catalog knows it.
func (a *Archive) missingReport(name string, s index.Summary) error {
	if _, err := os.Lstat(a.reportPath(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var cover *Coverage
	if !s.Incomplete { // an incomplete one takes no other's place in any case
		var err error
		if cover, err = a.coverageFromCatalogs(&s); err != nil {
			return err
		}
	}
	return a.writeReport(&Report{
		ArchiveID:  a.Info.ID,
		Baseline:   cover,
		Tripwires:  Tripwires(cover, s.Counts.Files),
		Snapshot:   name,
		Source:     s.Source,
		Archive:    a.Path,
		Previous:   s.Previous,
		Start:      time.Unix(s.Start.Sec, int64(s.Start.Nsec)).UTC(),
		End:        time.Unix(s.End.Sec, int64(s.End.Nsec)).UTC(),
		Incomplete: s.Incomplete,
		Counts:     s.Counts,
		Unfinished: []string{"the run ended before it had written its report; this one was made from the catalog"},
	})
}
