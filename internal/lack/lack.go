// Package lack says what a file system has run out of, and which one it is, when a call has failed for lack of room. It
// has to be asked at once: what failed may be about to clean up.
package lack

import (
	"errors"
	"path/filepath"

	"snapcopy/internal/fsat"
)

// What is what there is none left of.
type What int

// The kinds of room. Records is what a file system needs for its own records and does not count as free bytes: btrfs has
// separate space for metadata.
const (
	Bytes What = iota
	Inodes
	Quota
	Records
)

// Error is the lack of room on one file system.
type Error struct {
	Err   error // what failed
	What  What
	Mount string // where the file system is mounted
	Space fsat.Space
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Explain adds to the lack of room what it is and where: the file system is that of path, or of the nearest folder above
// that exists. Any other error, and one that is explained already, comes back as it is.
func Explain(err error, path string) error {
	if !fsat.IsNoSpace(err) || errors.As(err, new(*Error)) {
		return err
	}
	real, fd := nearest(path)
	if fd == fsat.NoDir {
		return err
	}
	e := &Error{Err: err, Mount: mountPoint(real)}
	space, statErr := fsat.FileSystem(fd)
	if errors.Join(statErr, fsat.Close(fd)) != nil {
		return err
	}
	e.Space = space
	// Other work that failed at the same time may have given something back by now.
	const fewInodes, fewBytes = 16, 1 << 20
	switch {
	case fsat.IsOverQuota(err):
		e.What = Quota
	case space.Inodes > 0 && space.FreeInodes <= fewInodes:
		e.What = Inodes
	case space.Free >= fewBytes && space.Kind == "btrfs":
		e.What = Records
	}
	return e
}

// nearest opens the folder path, or the nearest one above it that exists, and gives its path without symbolic links.
func nearest(path string) (real string, fd int) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fsat.NoDir
	}
	for {
		if real, err = filepath.EvalSymlinks(path); err == nil {
			if fd, err = fsat.OpenRoot(real); err == nil {
				return real, fd
			}
		}
		above := filepath.Dir(path)
		if above == path {
			return "", fsat.NoDir
		}
		path = above
	}
}

// mountPoint is the topmost folder above path that is of the same mount.
func mountPoint(path string) string {
	own, ok := mountOf(path)
	for ok {
		above := filepath.Dir(path)
		if other, known := mountOf(above); above == path || known && other != own || !known {
			break
		}
		path = above
	}
	return path
}

type mount struct{ id, dev uint64 }

func mountOf(path string) (m mount, ok bool) {
	fd, err := fsat.OpenRoot(path)
	if err != nil {
		return m, false
	}
	var st fsat.Stat
	if err := errors.Join(fsat.StatHandle(fd, &st), fsat.Close(fd)); err != nil {
		return m, false
	}
	if st.Mount != 0 { // the subvolumes of one btrfs have numbers of their own
		return mount{id: st.Mount}, true
	}
	return mount{dev: st.Dev}, true
}
