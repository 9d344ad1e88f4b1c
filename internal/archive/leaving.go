package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"snapcopy/internal/fault"
	"snapcopy/internal/fsat"
	"snapcopy/internal/rmtree"
)

// finishLeaving finishes the removal of the snapshots whose folders are in the trash: it moves their records there,
// too, and takes them out of the content-hash index. Until both are durable a folder keeps its name, so that all steps
// can be repeated, and no part of it is removed. indexErr is a failure to change the index; the next run makes up for
// it.
func (a *Locked) finishLeaving(ctx context.Context, trash *openTrash, step stepper) (done []string, indexErr, err error) {
	list, err := a.Trash.leaving()
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
	if fault.IsCrash(indexErr) {
		return nil, nil, indexErr
	}
	for _, name := range list {
		err := trash.setAside(name, step)
		if fsat.IsNoSpace(err) { // not even for another name
			err = rmtree.Remove(trash.fd, name)
		}
		if err != nil {
			return done, indexErr, err
		}
		done = append(done, name)
	}
	return done, indexErr, nil
}

// moveAllRecords moves the records of snapshots into the trash, when it is durable that their folders are there, and
// makes that durable, too.
func (a *Locked) moveAllRecords(trash *openTrash, list []string, step stepper) error {
	if err := step.at("sync of the folders"); err != nil {
		return err
	}
	if err := errors.Join(a.SyncRoot(), trash.sync()); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	for _, name := range list {
		if err := trash.takeRecords(name, step); err != nil {
			return err
		}
	}
	if err := step.at("sync of the records"); err != nil {
		return err
	}
	return trash.syncRecords()
}

// closeOpened resets the mode of snapshots' folders that were about to be moved and were not.
func (a *Locked) closeOpened() error {
	list, err := a.Trash.list()
	if err != nil {
		return err
	}
	for _, file := range list {
		name, isNote := strings.CutSuffix(file, openedExt)
		if !isNote {
			continue
		}
		if err := errors.Join(a.closeFolder(name), os.Remove(a.Trash.path(file))); err != nil {
			return fmt.Errorf("clean up: %w", err)
		}
	}
	return nil
}

func (a *Locked) closeFolder(name string) (err error) {
	c, err := a.Meta.openCatalog(name)
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
	trash, err := a.Trash.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, trash.close()) }()
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
