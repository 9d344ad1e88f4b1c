// Package lack explains a failure for lack of room: which file system it was, and whether bytes, inodes, a quota or
// room for the file system's own records ran out. It reads the state of the file system at the time of the question,
// so callers ask before they clean up. It never turns another error into a lack of room.
package lack

import (
	"errors"
	"path/filepath"

	"snapcopy/internal/fsat"
)

// What is the kind of room that ran out.
type What int

// The kinds of room. Records is the room for a file system's own records, which does not count as free bytes: btrfs
// has separate space for metadata.
const (
	Bytes What = iota
	Inodes
	Quota
	Records
)

// Error is the lack of room on one file system.
type Error struct {
	Err   error // the failure
	What  What
	Mount string // mountpoint of the file system
	Space fsat.Space
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Explain adds to a failure for lack of room the kind of room and the file system: that of path, or of the nearest
// existing folder above. Any other error, and an error already explained, comes back unchanged.
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
	// Other work that failed at the same time may have freed some room by now.
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

// nearest opens the folder path, or the nearest existing folder above, and returns its path without symbolic links.
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

// mountPoint returns the topmost folder above path that belongs to the same mount.
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
	if st.Mount != 0 { // each subvolume of a btrfs has its own device number
		return mount{id: st.Mount}, true
	}
	return mount{dev: st.Dev}, true
}
