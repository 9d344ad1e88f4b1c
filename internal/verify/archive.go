package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"snapcopy/index"
	"snapcopy/internal/archive"
)

// wholeArchive checks the archive as a whole: catalogs and snapshots without one another, findings, latest, and the
// index, unless withIndex is false.
func (v *verifier) wholeArchive(withIndex bool) error {
	v.name = ""
	lost, err := v.archive.WithoutCatalog()
	if err != nil {
		return err
	}
	for _, name := range lost {
		v.name = name
		v.damage("", ofArchive.damagef("%w", archive.ErrNoCatalog))
	}
	gone, err := v.archive.WithoutFolder()
	if err != nil {
		return err
	}
	for _, name := range gone {
		v.name = name
		v.damage("", ofArchive.damagef("%w (%s)", archive.ErrNoFolder, v.archive.CatalogPath(name)))
	}
	v.name = ""
	for _, f := range v.archive.Findings() {
		err := fmt.Errorf("%s: %w", f.Path, f.Err)
		if f.Seen {
			err = ofArchive.damagef("%w", err)
		}
		v.damage("", err)
	}
	if target, err := os.Readlink(filepath.Join(v.archive.Path, archive.LatestLink)); err == nil {
		if _, err := os.Lstat(filepath.Join(v.archive.Path, target)); errors.Is(err, fs.ErrNotExist) {
			v.damage("", ofArchive.damagef("%q points to %q, %w", archive.LatestLink, target, archive.ErrLatest))
		}
	}
	if !withIndex {
		return nil
	}
	return v.index()
}

// index checks the content-hash index.
func (v *verifier) index() error {
	x, err := index.OpenIndex(v.archive.IndexPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the next run makes it
	}
	if err == nil {
		err = errors.Join(x.Check(v.ctx), x.Close())
	}
	if v.ctx.Err() != nil {
		return context.Cause(v.ctx)
	}
	if err != nil {
		if !errors.Is(err, index.ErrDamaged) {
			err = ofArchive.lookFailed("read", err)
		}
		v.damage("", fmt.Errorf("%w: %w", archive.ErrIndex, err))
	}
	return nil
}
