package archive

import (
	"io/fs"

	"snapcopy/internal/fsat"
)

// callFailed adds the operation and the path to the error of a call on a handle. nil stays nil.
func callFailed(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// SyncRoot makes the names in the archive's folder durable.
func (a *Archive) SyncRoot() error { return callFailed("sync", a.Path, fsat.Sync(a.Root)) }
