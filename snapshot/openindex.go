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

// openIndex opens the content-hash index. If it is missing, damaged or does not cover every snapshot, openIndex makes it
// anew, unless the archive is not locked, and returns the reason. A run without index costs space and time, never
// correctness.
func (p *pool) openIndex(ctx context.Context, a *archive.Archive, lock *archive.Locked, snapshots []archive.Snapshot) (
	rebuilt string, err error) {
	reason, err := p.tryIndex(a, snapshots)
	if err != nil || reason == "" || lock == nil {
		return "", err
	}
	if err := lock.MakeIndex(ctx, snapshots); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return fmt.Sprintf("%s; making it anew failed: %v", reason, err), nil
	}
	p.index, err = index.OpenIndex(a.IndexPath())
	return reason, err
}

// updateIndex adds the files that the run of the new snapshot has stored. It makes a damaged index anew, and returns the
// reason.
func (p *pool) updateIndex(ctx context.Context, lock *archive.Locked, snapshot string, additions *index.Builder) (
	rebuilt string, err error) {
	if additions.Len() > 0 && !p.indexDamaged.Load() {
		err = additions.Merge(p.index, snapshot, lock.IndexPath())
	}
	if !p.indexDamaged.Load() && !errors.Is(err, index.ErrDamaged) {
		return "", err
	}
	snapshots, err := lock.Snapshots()
	if err != nil {
		return "", err
	}
	return "it was damaged; files moved in this run may have been stored again", lock.MakeIndex(ctx, snapshots)
}

// tryIndex opens the index, and returns the reason why it cannot be used, or "".
func (p *pool) tryIndex(a *archive.Archive, snapshots []archive.Snapshot) (reason string, err error) {
	x, err := index.OpenIndex(a.IndexPath())
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
	p.index = x
	return "", nil
}
