package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
	"snapcopy/internal/rmtree"
)

// The trash folder has snapshots on their way out. The meaning of its names:
//
//	NAME          the folder of a snapshot that is gone for every command, but its catalog and report may still be in
//	              their places, and the content-hash index may know it
//	NAME.cat      its catalog, and NAME.json its report; needed as long as there is NAME
//	NAME.opened   a note: the folder of the snapshot NAME was given write permission, to be moved; it has not been
//	all others    to be removed
//
// Only a process with the archive's lock moves names here. Emptying needs no more than the lock on the trash folder
// itself, so that a nightly run never waits for it.
const (
	openedExt = ".opened"
	reportExt = ".json"
	goneExt   = ".gone" // of a folder that nothing knows of any more
)

func (a *Archive) trashPath(name string) string { return a.Meta.Path(TrashDir, name) }

func (a *Archive) openTrash() (int, error) {
	fd, err := fsat.OpenDir(a.Meta.fd, TrashDir)
	if err != nil {
		return fsat.NoDir, &fs.PathError{Op: "open", Path: a.Meta.Path(TrashDir), Err: err}
	}
	return fd, nil
}

// isLeaving reports whether a snapshot's folder is in the trash and its records are to follow.
func (a *Archive) isLeaving(name string) bool {
	_, err := os.Lstat(a.trashPath(name))
	return err == nil
}

// A stepper is called before each change of the archive, and makes the step fail in tests.
type stepper func(name string) error

func (s stepper) at(name string) error {
	if s == nil {
		return nil
	}
	return s(name)
}

// moveAway moves the folder of a snapshot into the trash: from then on it is gone for every command. Without privileges
// a folder can only be moved by who may write to it; a note makes sure that its mode comes back if it stays after all.
func (a *Locked) moveAway(trash int, name string, step stepper) error {
	err := step.at("take away")
	if err == nil {
		err = fsat.RenameNew(a.Root, name, trash, name)
	}
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	var st fsat.Stat
	if statErr := fsat.StatAt(a.Root, name, &st); statErr != nil || st.Type != fsat.Directory || st.Mode&0o200 != 0 {
		return err
	}
	if err := step.at("note of the mode"); err != nil {
		return err
	}
	note := a.trashPath(name + openedExt)
	if err := errors.Join(os.WriteFile(note, nil, 0o600), a.syncTrash(trash)); err != nil {
		return err
	}
	if err := step.at("open the folder"); err != nil {
		return err
	}
	if err := fsat.ChmodAt(a.Root, name, st.Mode|0o700); err != nil {
		return errors.Join(err, os.Remove(note))
	}
	if err := step.at("take away the folder"); err != nil {
		return err
	}
	if err := fsat.RenameNew(a.Root, name, trash, name); err != nil {
		return errors.Join(err, fsat.ChmodAt(a.Root, name, st.Mode), os.Remove(note))
	}
	return os.Remove(note)
}

// leaving returns the snapshots whose removal is unfinished.
func (a *Archive) leaving() (list []string, err error) {
	all, err := a.Meta.listDerived(TrashDir)
	for _, name := range all {
		if _, ok := ParseName(name); ok {
			list = append(list, name)
		}
	}
	return list, err
}

// finishLeaving finishes the removal of the snapshots whose folders are in the trash: it moves their records there,
// too, and takes them out of the content-hash index. Until both are durable a folder keeps its name, so that all steps
// can be repeated, and no part of it is removed. indexErr is a failure to change the index; the next run makes up for
// it.
func (a *Locked) finishLeaving(ctx context.Context, trash int, step stepper) (done []string, indexErr, err error) {
	list, err := a.leaving()
	if err != nil || len(list) == 0 {
		return nil, nil, err
	}
	if err := a.moveAllRecords(trash, list, step); err != nil {
		return nil, nil, err
	}
	if indexErr = step.at("content-hash index"); indexErr == nil {
		indexErr = a.forget(ctx)
	}
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if IsCrash(indexErr) {
		return nil, nil, indexErr
	}
	for _, name := range list {
		err := setAside(trash, name, step)
		if fsat.IsNoSpace(err) { // not even for another name
			err = rmtree.Remove(trash, name)
		}
		if err != nil {
			return done, indexErr, err
		}
		done = append(done, name)
	}
	return done, indexErr, nil
}

// moveAllRecords moves the records of snapshots into the trash, when it is durable that their folders are there, and makes
// that durable, too.
func (a *Locked) moveAllRecords(trash int, list []string, step stepper) error {
	if err := step.at("sync of the folders"); err != nil {
		return err
	}
	if err := errors.Join(a.SyncRoot(), a.syncTrash(trash)); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	for _, name := range list {
		if err := a.moveRecords(name, step); err != nil {
			return err
		}
	}
	if err := step.at("sync of the records"); err != nil {
		return err
	}
	return a.syncRecords(trash)
}

// moveRecords moves a snapshot's catalog and report into the trash, unless a snapshot of that name exists again.
func (a *Locked) moveRecords(name string, step stepper) error {
	if _, err := os.Lstat(a.Path + "/" + name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, file := range []struct{ what, from, to string }{
		{"catalog", a.CatalogPath(name), name + CatalogExt},
		{"report", a.reportPath(name), name + reportExt},
	} {
		if err := step.at("take away the " + file.what); err != nil {
			return err
		}
		err := os.Rename(file.from, a.trashPath(file.to))
		if fsat.IsNoSpace(err) { // the content-hash index is then made anew from the other catalogs
			err = os.Remove(file.from)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// moveLost moves the records of a snapshot whose folder is lost into the trash, the catalog last: after an
// interruption, the snapshot still counts as one without a folder.
func (a *Locked) moveLost(name string, step stepper) error {
	for _, file := range [][2]string{{a.reportPath(name), name + reportExt}, {a.CatalogPath(name), name + CatalogExt}} {
		if err := step.at("take away what is left"); err != nil {
			return err
		}
		if err := os.Rename(file[0], a.trashPath(file[1])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// syncRecords makes the move of records into the trash durable.
func (a *Locked) syncRecords(trash int) error {
	err := errors.Join(atomicfile.SyncDir(a.Meta.Path(CatalogsDir)), atomicfile.SyncDir(a.Meta.Path(RunsDir)),
		a.syncTrash(trash))
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// setAside renames a folder in the trash to a name that marks it as no longer needed.
func setAside(trash int, name string, step stepper) error {
	if err := step.at("set aside"); err != nil {
		return err
	}
	to := name + goneExt
	for i := 2; ; i++ {
		err := fsat.RenameNew(trash, name, trash, to)
		if !fsat.IsExist(err) {
			return err
		}
		to = fmt.Sprintf("%s%s%d", name, goneExt, i) // a snapshot of that name was removed before
	}
}

// closeOpened resets the mode of snapshots' folders that were about to be moved and were not.
func (a *Locked) closeOpened() error {
	list, err := a.Meta.listDerived(TrashDir)
	if err != nil {
		return err
	}
	for _, file := range list {
		name, isNote := strings.CutSuffix(file, openedExt)
		if !isNote {
			continue
		}
		if err := errors.Join(a.closeFolder(name), os.Remove(a.trashPath(file))); err != nil {
			return fmt.Errorf("clean up: %w", err)
		}
	}
	return nil
}

func (a *Locked) closeFolder(name string) (err error) {
	c, err := index.Open(a.CatalogPath(name))
	if err != nil {
		return nil // verify tells of it
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	err = a.resetMode(name, c.Root())
	if errors.Is(err, fs.ErrNotExist) { // it was moved after all
		return nil
	}
	return err
}

// recoverTrash finishes interrupted removals, so that each snapshot exists as a whole or not at all. It leaves the
// trash to be emptied later.
func (a *Locked) recoverTrash(ctx context.Context) (did []string, err error) {
	trash, err := a.openTrash()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, fsat.Close(trash)) }()
	if err := a.closeOpened(); err != nil {
		return nil, err
	}
	if did, err = a.finishInPlace(ctx, trash); err != nil {
		return did, err
	}
	done, _, err := a.finishLeaving(ctx, trash, nil) // a run that needs the index reports the error
	for _, name := range done {
		did = append(did, "finished the removal of "+name)
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("finish removal: %w", err)
	}
	return did, err
}

// trashed returns the number of names in the trash, as far as the catalogs there tell.
func (a *Archive) trashed() (n uint64) {
	list, err := a.Meta.listDerived(TrashDir)
	if err != nil {
		return 0 // emptying will say so
	}
	for _, name := range list {
		if !strings.HasSuffix(name, CatalogExt) {
			continue
		}
		c, err := index.Open(a.trashPath(name))
		if err != nil {
			continue // it only tells how much there is to do
		}
		counts := c.Summary().Counts
		n += counts.Files + counts.Dirs
		_ = c.Close() // only read
	}
	return n
}
