package rmtree

import (
	"sync/atomic"

	"snapcopy/internal/fsat"
)

// A fullDisk handles file systems that need free space even to remove a name (btrfs, ZFS). Space of names removed a
// moment ago becomes free when the removal is written to the disk, so fullDisk syncs once and tries the name again. If
// that fails, it no longer syncs for later names.
type fullDisk struct{ hopeless atomic.Bool }

// try calls remove, and once more after a sync if space was lacking. dir is any folder on the file system.
func (f *fullDisk) try(dir int, remove func() error) error {
	err := remove()
	if !fsat.IsNoSpace(err) || f.hopeless.Load() {
		return err
	}
	if syncErr := fsat.SyncFS(dir); syncErr == nil {
		err = remove()
	}
	if fsat.IsNoSpace(err) {
		f.hopeless.Store(true)
	}
	return err
}
