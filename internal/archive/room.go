package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
	"snapcopy/internal/rmtree"
)

// Space can be freed on file systems that have none: full to the last byte, without a free inode, over quota. Removing
// names works on all of them; making a name, renaming or replacing a file may not. So a removal writes its files if
// there is space, and otherwise after emptying the trash. If even a rename is refused (btrfs without space for
// metadata), it removes a snapshot in its place.

// withRoom calls do, which must be repeatable. If do lacks space, withRoom first empties the trash, then removes
// derived files, and calls do again.
func (a *Locked) withRoom(ctx context.Context, do func() error) error {
	err := do()
	empty := func() error { return a.Trash.empty(ctx, emptying{wait: true}) }
	for _, give := range []func() error{empty, a.dropDerived} {
		if !fsat.IsNoSpace(err) || ctx.Err() != nil {
			return err
		}
		if giveErr := errors.Join(give(), callFailed("sync", a.Path, fsat.SyncFS(a.Root))); giveErr != nil {
			return errors.Join(err, giveErr)
		}
		err = do()
	}
	return err
}

// dropDerived removes the content-hash index and the ledger of space. The next run makes them anew.
func (a *Locked) dropDerived() error {
	for _, file := range []string{IndexFile, ledgerFile} {
		if err := os.Remove(a.Meta.Path(file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// removeInPlace removes a snapshot whose folder cannot be moved to the trash for lack of space. A note makes the next
// process with the lock finish that; if not even the note can be made, the snapshot is removed without.
func (a *Locked) removeInPlace(ctx context.Context, trash *openTrash, name string, how emptying, step stepper) error {
	if err := step.at("note of the removal"); err != nil {
		return err
	}
	var st fsat.Stat
	if err := fsat.StatAt(a.Root, name, &st); err != nil {
		return callFailed("stat", filepath.Join(a.Path, name), err)
	}
	if err := trash.noteRemoving(name, &st); err != nil {
		return err
	}
	return a.takeApart(ctx, trash, name, how, step)
}

// takeApart removes a snapshot in its place: first its catalog, without which it is no longer a snapshot.
func (a *Locked) takeApart(ctx context.Context, trash *openTrash, name string, how emptying, step stepper) error {
	for _, file := range []string{a.CatalogPath(name), a.Reports.path(name)} {
		if err := step.at("remove a record"); err != nil {
			return err
		}
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := atomicfile.SyncDir(a.Meta.Path(CatalogsDir)); err != nil {
		return err
	}
	if err := step.at("remove the folder"); err != nil {
		return err
	}
	opt := how.options()
	opt.Spare = func(other string) bool { return other != name }
	if err := rmtree.Empty(ctx, a.Root, opt); err != nil {
		return fmt.Errorf("remove %s: %w", filepath.Join(a.Path, name), err)
	}
	if err := a.SyncRoot(); err != nil {
		return err
	}
	if err := step.at("end of the removal"); err != nil {
		return err
	}
	return trash.endRemoving()
}

// finishInPlace finishes the removal of a snapshot in its place.
func (a *Locked) finishInPlace(ctx context.Context, trash *openTrash) (did []string, err error) {
	name, err := a.removingInPlace()
	if err != nil || name == "" {
		return nil, err
	}
	there, err := hasFolder(a.Path, name)
	if err != nil {
		return nil, err
	}
	if err := a.takeApart(ctx, trash, name, emptying{}, nil); err != nil {
		return nil, fmt.Errorf("finish removal of %s: %w", filepath.Join(a.Path, name), err)
	}
	if there {
		did = append(did, "finished the removal of "+name)
	}
	return did, nil
}

// removingInPlace returns the name of the snapshot that is being removed in its place, or "".
func (a *Archive) removingInPlace() (name string, err error) {
	noted, err := a.Trash.removing()
	if err != nil || noted == "" {
		return "", err
	}
	var st fsat.Stat
	name, _, _ = strings.Cut(noted, " ")
	err = fsat.StatAt(a.Root, name, &st)
	if !IsName(name) || err == nil && removingNote(name, &st) != noted {
		return "", nil // another folder of that name
	}
	return name, nil
}
