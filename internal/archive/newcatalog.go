package archive

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"snapcopy/index"
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
)

// This file has the steps by which the catalog of a published snapshot is replaced.

// replaceCatalog puts a new catalog, which write writes and syncs, into the place of that of a snapshot.
func (a *Locked) replaceCatalog(name string, step stepper, write func(f *os.File) error) (err error) {
	if err := step.at("new catalog"); err != nil {
		return err
	}
	f, err := os.CreateTemp(a.WorkPath(), "catalog-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			if removeErr := os.Remove(f.Name()); !errors.Is(removeErr, fs.ErrNotExist) { // it may be in its place already
				err = errors.Join(err, removeErr)
			}
		}
	}()
	if err = errors.Join(atomicfile.Inherit(f), write(f), f.Close()); err != nil {
		return err
	}
	if err = step.at("catalog"); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), a.CatalogPath(name)); err != nil {
		return err
	}
	return atomicfile.SyncDir(a.Meta.Path(CatalogsDir))
}

// indexAnew makes the index anew, or, for lack of space, leaves that to the next run.
func (a *Locked) indexAnew(ctx context.Context) error {
	snapshots, err := a.Snapshots()
	if err == nil {
		err = a.MakeIndex(ctx, snapshots)
	}
	if fsat.IsNoSpace(err) {
		return a.dropDerived()
	}
	return err
}

// inCatalog calls do with the catalog of a snapshot. It fails with ErrNoCatalog if there is none.
func (a *Locked) inCatalog(name string, do func(c *index.Catalog, name string) error) (err error) {
	c, err := index.Open(a.CatalogPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoCatalog
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return do(c, name)
}

// PutCatalog puts a catalog, which write writes and syncs, into the place of the lost or damaged one of a snapshot. The
// damaged one is kept beside it: aside is its path, "" if there was none.
func (a *Locked) PutCatalog(name string, fault func(step string) error, write func(f *os.File) error) (aside string, err error) {
	step := stepper(fault)
	put := func(f *os.File) error {
		if err := write(f); err != nil {
			return err
		}
		if err := step.at("old catalog"); err != nil {
			return err
		}
		path, err := a.Meta.moveAside(filepath.Join(CatalogsDir, name+CatalogExt))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			aside = path
		}
		return err
	}
	err = a.withRoom(context.Background(), func() error { return a.replaceCatalog(name, step, put) })
	return aside, err
}
