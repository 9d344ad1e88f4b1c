package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"snapcopy/internal/fsat"
)

// pointLatest points the link at a snapshot, in one step; "" removes it.
func (a *Archive) pointLatest(name string) (err error) {
	if name == "" {
		if err := fsat.Unlink(a.root, latestLink); err != nil && !fsat.IsGone(err) {
			return err
		}
		return fsat.Sync(a.root)
	}
	work, err := fsat.OpenDir(a.meta, workDir)
	if err != nil {
		return &fs.PathError{Op: "open", Path: a.WorkPath(), Err: err}
	}
	defer func() { err = errors.Join(err, fsat.Close(work)) }()
	if err := fsat.Unlink(work, latestLink); err != nil && !fsat.IsGone(err) {
		return err
	}
	if err := fsat.MakeSymlink(name, work, latestLink); err != nil {
		return err
	}
	return errors.Join(fsat.Rename(work, latestLink, a.root, latestLink), fsat.Sync(a.root))
}

// latest tells where the link points; "" if there is none, or something else of that name.
func (a *Archive) latest() string {
	target, err := os.Readlink(filepath.Join(a.Path, latestLink))
	if err != nil {
		return ""
	}
	return target
}

// mendLatest points the link, if there is one, at the newest snapshot: a removal that was cut short may have left it at
// an older one.
func (a *Archive) mendLatest() error {
	target := a.latest()
	if target == "" {
		return nil
	}
	snapshots, err := a.Snapshots()
	if err != nil {
		return err
	}
	newest := ""
	if len(snapshots) > 0 {
		newest = snapshots[len(snapshots)-1].Name
	}
	if target == newest {
		return nil
	}
	return a.pointLatest(newest)
}
