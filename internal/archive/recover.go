package archive

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
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
	"snapcopy/internal/rmtree"
	"snapcopy/internal/tree"
)

// Recover finishes interrupted runs and removals: it removes unpublished work and completes everything else. Files in
// the trash only cost space, and stay unless space is needed. did has a sentence for each thing done.
func (a *Locked) Recover(ctx context.Context) (did []string, err error) {
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

// A postponedError reports a lack of space for a link or a report, which only describe snapshots. Other work need not
// wait for them.
type postponedError struct{ err error }

func (p *postponedError) Error() string { return p.err.Error() }

func (p *postponedError) Unwrap() error { return p.err }

// tidy is the part of Recover that removes, which works without free space.
func (a *Locked) tidy(ctx context.Context) (did []string, err error) {
	did, waits, err := a.finishPublishing()
	if err != nil {
		return nil, fmt.Errorf("clean up %s: %w", WorkDir, err)
	}
	emptied, err := a.emptyWork(waits)
	did = append(did, emptied...)
	if err != nil {
		return did, err
	}
	removed, err := a.recoverTrash(ctx)
	did = append(did, removed...)
	if err != nil {
		return did, err
	}
	orphans, err := a.RemoveOrphans()
	return append(did, orphans...), err
}

// complete is the part of Recover that writes.
func (a *Locked) complete(ctx context.Context) (did []string, err error) {
	note, err := a.finishForgetting(ctx, nil)
	if err != nil {
		return nil, err
	}
	if note != nil {
		did = append(did, fmt.Sprintf("finished forgetting %q", note.Path))
	}
	exchanged, err := a.finishExchange(ctx, nil)
	if err == nil {
		err = a.EndRepair()
	}
	if err != nil {
		return did, err
	}
	if len(exchanged) > 0 {
		did = append(did, finishedText(exchanged))
	}
	err = errors.Join(a.finishNewest(), a.mendLatest())
	if fsat.IsNoSpace(err) {
		err = &postponedError{err}
	}
	return did, err
}

// finishPublishing completes the snapshot that the report in the work folder names, if its run has published it, and
// takes it back otherwise. reportWaits says that the report has to stay there until there is space.
func (a *Locked) finishPublishing() (did []string, reportWaits bool, err error) {
	name, err := a.Reports.beingPublished()
	if err != nil || name == "" {
		return nil, false, err
	}
	switch _, err := os.Lstat(filepath.Join(a.Path, name)); {
	case errors.Is(err, fs.ErrNotExist):
		did, err = a.removeUnpublished(name)
		return did, false, errors.Join(err, atomicfile.SyncDir(a.Meta.Path(CatalogsDir)))
	case err != nil:
		return nil, false, err
	}
	if err := a.mendMode(name); err != nil {
		return nil, false, err
	}
	err = a.Reports.adopt(name)
	if fsat.IsNoSpace(err) {
		return nil, true, nil
	}
	return nil, false, err
}

// emptyWork removes the leftovers of an interrupted run, except a report that waits for space, and what the next run of
// its source goes on from.
func (a *Locked) emptyWork(reportWaits bool) (did []string, err error) {
	fd, err := a.Meta.Open(WorkDir)
	if err != nil {
		return nil, err
	}
	list, err := fsat.ReadDir(fd, make([]byte, listingBuffer))
	list = slices.DeleteFunc(list, func(e fsat.DirEntry) bool { return reportWaits && e.Name == WorkReport })
	removed, goesOn := false, false
	for _, e := range list {
		switch {
		case err != nil:
		case !strings.HasPrefix(e.Name, unfinishedPrefix):
			err, removed = rmtree.Remove(fd, e.Name), true
		case a.Meta.isPublished(e.Name):
			err, removed = a.TrashWork(fd, e.Name), true
		default:
			goesOn = true
		}
	}
	if err = errors.Join(err, fsat.Close(fd)); err != nil {
		return nil, fmt.Errorf("clean up %s: %w", a.WorkPath(), err)
	}
	switch {
	case removed && goesOn:
		did = append(did, "removed the unfinished catalog of an interrupted run")
	case removed:
		did = append(did, "removed the leftovers of an unfinished run")
	}
	return did, nil
}

// RemoveOrphans removes catalogs newer than every snapshot, except those from the future, if their runs have no
// report: those runs ended just before publishing. A report proves that the snapshot was published, and that somebody
// has removed its folder; verify reports that.
func (a *Locked) RemoveOrphans() (did []string, err error) {
	snapshots, err := a.Snapshots()
	if err != nil {
		return nil, err
	}
	newest := ""
	if past := NewestPast(snapshots, a.Now()); past >= 0 {
		newest = snapshots[past].Name
	}
	files, err := a.Meta.list(CatalogsDir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		name, isCatalog := strings.CutSuffix(file, CatalogExt)
		if _, ok := ParseName(name); !ok || !isCatalog || name <= newest {
			continue
		}
		removed, err := a.removeUnpublished(name)
		if err != nil {
			return did, fmt.Errorf("clean up: %w", err)
		}
		did = append(did, removed...)
	}
	return did, nil
}

// removeUnpublished removes a catalog without snapshot and report.
func (a *Locked) removeUnpublished(name string) (did []string, err error) {
	_, folderErr := os.Lstat(filepath.Join(a.Path, name))
	_, reportErr := os.Lstat(a.Reports.path(name))
	if !errors.Is(folderErr, fs.ErrNotExist) || !errors.Is(reportErr, fs.ErrNotExist) || a.Trash.isLeaving(name) {
		return nil, nil
	}
	err = os.Remove(a.CatalogPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []string{"removed the catalog of " + name + ", which was not published"}, nil
}

// finishNewest does the steps after publishing that the run of the newest snapshot has missed: the mode of the
// snapshot's folder and the run report.
func (a *Locked) finishNewest() (err error) {
	snapshots, err := a.Snapshots()
	if err != nil || len(snapshots) == 0 {
		return err
	}
	last := len(snapshots) - 1
	if past := NewestPast(snapshots, a.Now()); past >= 0 && past != last {
		if err := a.finishRun(snapshots[past]); err != nil {
			return err
		}
	}
	return a.finishRun(snapshots[last])
}

func (a *Locked) finishRun(s Snapshot) (err error) {
	c, err := s.OpenCatalog()
	if err != nil {
		return nil // the run reports it when it needs the catalog
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return errors.Join(a.resetMode(s.Name, c.Root()), a.missingReport(s.Name, c.Summary()))
}

// mendMode is resetMode with the catalog of the snapshot; without a usable one it does nothing.
func (a *Locked) mendMode(name string) error {
	c, err := a.Meta.openCatalog(name)
	if err != nil {
		return nil // the run reports it when it needs the catalog
	}
	return errors.Join(a.resetMode(name, c.Root()), c.Close())
}

// resetMode sets the mode in root, its entry, on a snapshot's own folder that was given write permission in order to
// be moved.
func (a *Locked) resetMode(name string, root index.Entry) error {
	mode := TopMode(&root)
	var st fsat.Stat
	if err := fsat.StatAt(a.Root, name, &st); err != nil {
		return callFailed("stat", filepath.Join(a.Path, name), err)
	}
	if mode&0o700 != 0o700 && st.Mode == mode|0o700 {
		return a.SetTopMode(name, mode)
	}
	return nil
}

// missingReport writes the report of a run that ended just after publishing, from the data in the catalog, unless the
// report of the run waits in the work folder.
func (a *Locked) missingReport(name string, s index.Summary) error {
	if _, err := os.Lstat(a.Reports.path(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch waiting, err := a.Reports.beingPublished(); {
	case err != nil:
		return err
	case waiting == name:
		return a.Reports.adopt(name)
	}
	var cover *Coverage
	if !s.Incomplete { // an incomplete snapshot replaces no other anyway
		var err error
		if cover, err = coverageFromCatalogs(a.Meta, &s); err != nil {
			return err
		}
	}
	trial := Trial{Coverage: cover, Files: s.Counts.Files, Limits: a.Reports.limitsOf(new(verdict), s.Previous)}
	wires := trial.Tripwires()
	return a.WriteReport(&Report{
		ArchiveID:  a.Info.ID,
		State:      StateOf(s.Incomplete, wires),
		Baseline:   cover,
		Tripwires:  wires,
		Limits:     &trial.Limits,
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

// TopMode returns the mode for a snapshot's own folder. It differs from the source's if the owner could not be set.
func TopMode(root *index.Entry) uint32 {
	if root.Flags&index.OwnerCatalogOnly != 0 {
		return tree.SafeMode(root)
	}
	return root.Mode
}

// SetTopMode sets the mode of a snapshot's own folder, which has to wait until the folder has been moved into place.
func (a *Locked) SetTopMode(name string, mode uint32) error {
	if err := fsat.ChmodAt(a.Root, name, mode); err != nil && !fsat.IsRefused(err) {
		return callFailed("chmod", filepath.Join(a.Path, name), err)
	}
	return nil
}
