package rmtree

import (
	"sync/atomic"

	"snapcopy/internal/fsat"
)

// A fullDisk deals with file systems that need room even to take a name away (btrfs, ZFS). What has been removed a moment
// ago becomes room when it is written to the disk; so that is done before the name is tried once more. If it does not
// help, the later names are not waited for.
type fullDisk struct{ hopeless atomic.Bool }

// try calls remove, again if the first time there was no room. dir is any folder on the file system.
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
