package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
)

// openIndex opens the content-hash index, and makes it anew if it is missing, damaged or does not cover every
// snapshot. A run without index costs space and time, never correctness.
func (r *run) openIndex(snapshots []archive.Snapshot) error {
	reason, err := r.tryIndex(snapshots)
	if err != nil || reason == "" {
		return err
	}
	if r.opt.DryRun {
		return nil
	}
	if err := r.locked.MakeIndex(r.ctx, snapshots); err != nil {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		r.report.IndexRebuilt = fmt.Sprintf("%s; making it anew failed: %v", reason, err)
		return nil
	}
	r.report.IndexRebuilt = reason
	r.pool.index, err = index.OpenIndex(r.archive.IndexPath())
	return err
}

// tryIndex opens the index, and returns the reason why it cannot be used, or "".
func (r *run) tryIndex(snapshots []archive.Snapshot) (reason string, err error) {
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
		if !slices.ContainsFunc(snapshots, func(s archive.Snapshot) bool { return s.Name == name }) {
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
	r.pool.index = x
	return "", nil
}
