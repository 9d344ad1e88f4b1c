package archive

import (
	"context"
	"errors"
	"slices"

	"snapcopy/index"
)

// MakeIndex makes the index anew from all readable catalogs, the newest first.
func (a *Locked) MakeIndex(ctx context.Context, snapshots []Snapshot) error {
	var paths []string
	for _, s := range slices.Backward(snapshots) {
		c, err := s.OpenCatalog()
		if err != nil {
			continue // verify reports a damaged catalog; its files cannot be found by content
		}
		if err := c.Close(); err != nil {
			return err
		}
		paths = append(paths, s.CatalogPath)
	}
	return index.Rebuild(ctx, paths, a.WorkPath(), a.IndexPath())
}

// RebuildIndex makes the content-hash index anew from the catalogs. It takes the lock, and finishes interrupted
// removals first, because they may remove catalogs.
func (a *Archive) RebuildIndex(ctx context.Context) (err error) {
	lock, err := a.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if _, err := lock.Recover(ctx); err != nil {
		return err
	}
	snapshots, err := a.Snapshots()
	if err != nil {
		return err
	}
	return lock.MakeIndex(ctx, snapshots)
}
