// Package atomicfile replaces a file in one step: a reader sees the old content or the new, also after a power cut.
// The new content is synced before it gets the name, and the folder after.
//
// The new file belongs to the owner of its folder if the process may arrange that. The package does not lock: of two
// writers at the same time, the last to commit wins.
package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// File is a new file that has no name yet. Write to it, then Commit; Cleanup removes it unless it was committed.
type File struct {
	*os.File
	path string
	done bool
}

// IsPending reports whether Create gives such a name to a file that is not committed yet. A file with such a name, in
// a folder where no process is writing, was left by an interrupted writer and can be removed.
func IsPending(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, pendingExt)
}

const pendingExt = ".tmp"

// Create starts a new file that will replace path, in the same folder.
func Create(path string, mode os.FileMode) (*File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*"+pendingExt)
	if err != nil {
		return nil, err
	}
	pending := &File{File: f, path: path}
	if err := Inherit(f); err != nil {
		return nil, errors.Join(err, pending.Cleanup())
	}
	if err := f.Chmod(mode); err != nil && !errors.Is(err, os.ErrPermission) {
		return nil, errors.Join(err, pending.Cleanup())
	}
	return pending, nil
}

// Commit makes the content durable and gives it its name.
func (f *File) Commit() error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return err
	}
	f.done = true
	return SyncDir(filepath.Dir(f.path))
}

// Cleanup removes the file if it was not committed and is still there. It does nothing after Commit, so callers defer it.
func (f *File) Cleanup() error {
	if f.done {
		return nil
	}
	f.done = true
	_ = f.Close() // closed already if Commit got that far; an error loses nothing, since the file is removed
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Write replaces the content of path.
func Write(path string, content []byte, mode os.FileMode) (err error) {
	f, err := Create(path, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Cleanup()) }()
	if _, err := f.Write(content); err != nil {
		return err
	}
	return f.Commit()
}

// SyncDir makes the names in a folder durable. On Windows it does nothing: the system has no such call and needs none.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
