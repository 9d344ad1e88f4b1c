package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

func timeOf(t time.Time) index.Time {
	return index.Time{Sec: t.Unix(), Nsec: uint32(t.Nanosecond())}
}

// openIndex opens the content-hash index, and makes it anew where it is missing, damaged or does not cover every
// snapshot. Going without one costs space and time, never correctness.
func (r *run) openIndex(snapshots []Snapshot) error {
	reason, err := r.tryIndex(snapshots)
	if err != nil || reason == "" {
		return err
	}
	if r.opt.DryRun {
		return nil
	}
	if err := r.archive.rebuildIndex(r.ctx, snapshots); err != nil {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		r.report.IndexRebuilt = fmt.Sprintf("%s; making it anew failed: %v", reason, err)
		return nil
	}
	r.report.IndexRebuilt = reason
	r.index, err = index.OpenIndex(r.archive.IndexPath())
	return err
}

// tryIndex opens the index and says what is wrong with it, or "".
func (r *run) tryIndex(snapshots []Snapshot) (reason string, err error) {
	x, err := index.OpenIndex(r.archive.IndexPath())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		x = nil
	case errors.Is(err, index.ErrDamaged):
		return "it was damaged: " + err.Error(), nil
	case err != nil:
		return "", fmt.Errorf("content-hash index: %w", err)
	}
	var covered []string
	if x != nil {
		covered = x.Snapshots()
	}
	for _, name := range covered {
		if !slices.ContainsFunc(snapshots, func(s Snapshot) bool { return s.Name == name }) {
			return "snapshot " + name + ", to which it points, is gone", x.Close()
		}
	}
	for _, s := range snapshots {
		if slices.Contains(covered, s.Name) {
			continue
		}
		c, err := s.OpenCatalog()
		if fsat.IsPassing(err) {
			return "", err
		}
		if err != nil {
			continue // nothing of it can be found anyway
		}
		missing := c.Summary().Counts.Contents > 0
		if err := c.Close(); err != nil {
			return "", err
		}
		if missing {
			reason = "it was missing"
			if x != nil {
				reason = "it did not know snapshot " + s.Name
				err = x.Close()
			}
			return reason, err
		}
	}
	r.index = x
	return "", nil
}

// rebuildIndex makes the index from the catalogs that can be read, the newest first. The caller holds the lock.
func (a *Archive) rebuildIndex(ctx context.Context, snapshots []Snapshot) error {
	var paths []string
	for _, s := range slices.Backward(snapshots) {
		c, err := s.OpenCatalog()
		if err != nil {
			continue // verify tells of a damaged catalog; its files cannot be found by content
		}
		if err := c.Close(); err != nil {
			return err
		}
		paths = append(paths, s.Catalog)
	}
	return index.Rebuild(ctx, paths, a.WorkPath(), a.IndexPath())
}

// RebuildIndex makes the content-hash index anew from the catalogs. It takes the lock, and first finishes what was cut
// short: catalogs may be about to go.
func (a *Archive) RebuildIndex(ctx context.Context) (err error) {
	lock, err := a.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if _, err := a.recover(ctx); err != nil {
		return err
	}
	snapshots, err := a.Snapshots()
	if err != nil {
		return err
	}
	return a.rebuildIndex(ctx, snapshots)
}
