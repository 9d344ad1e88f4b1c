package fsat

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// maxBelow is a little less than the longest path that the system takes at once.
const maxBelow = 4000

// OpenBelow opens the directory reached from root by names, one below the other; without names it opens root itself.
// It passes no symbolic link and no mount on the way, and reaches any depth.
func OpenBelow(root int, names []string) (int, error) {
	if len(names) == 0 {
		names = []string{"."}
	}
	at := root
	for len(names) > 0 {
		n, length := 1, len(names[0])
		for n < len(names) && length+1+len(names[n]) <= maxBelow {
			length += 1 + len(names[n])
			n++
		}
		next, err := openBelow(at, strings.Join(names[:n], "/"))
		if at != root {
			if closeErr := Close(at); err == nil && closeErr != nil {
				return NoDir, closeErr
			}
		}
		if err != nil {
			return NoDir, err
		}
		at, names = next, names[n:]
	}
	return at, nil
}

func openBelow(dir int, path string) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NOATIME,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	for {
		fd, err := unix.Openat2(dir, path, &how)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN: // a rename somewhere else came in between
			continue
		case err == unix.EPERM && how.Flags&unix.O_NOATIME != 0:
			how.Flags &^= unix.O_NOATIME
			continue
		case err == unix.ENOSYS || err == unix.EPERM: // before Linux 5.6, or a sandbox that does not know the call
			return openEach(dir, path)
		}
		return fd, err
	}
}

// openEach opens a path one name at a time.
func openEach(dir int, path string) (int, error) {
	var top, st Stat
	if err := StatHandle(dir, &top); err != nil {
		return NoDir, err
	}
	fd, err := OpenPath(dir, "")
	for name := range strings.SplitSeq(path, "/") {
		if err != nil {
			break
		}
		var next int
		if next, err = OpenDir(fd, name); err == nil {
			err = errors.Join(Close(fd), StatHandle(next, &st))
			fd = next
		}
		if err == nil && (st.Dev != top.Dev || st.Mount != top.Mount) {
			err = unix.EXDEV
		}
	}
	if err != nil {
		return NoDir, errors.Join(err, Close(fd))
	}
	return fd, nil
}

// TouchAccess sets the access time of name in dir, of a symbolic link itself, to its present value; content and all
// other metadata but the change time stay. An overlay file system takes this as a reason to make its own copy of the
// entry.
func TouchAccess(dir int, name string) error {
	var x unix.Statx_t
	for {
		err := unix.Statx(dir, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_ATIME, &x)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		break
	}
	ts := []unix.Timespec{{Sec: x.Atime.Sec, Nsec: int64(x.Atime.Nsec)}, {Nsec: utimeOmit}}
	for {
		if err := unix.UtimesNanoAt(dir, name, ts, unix.AT_SYMLINK_NOFOLLOW); err != unix.EINTR {
			return err
		}
	}
}

// IsReadOnly reports a file system that refuses every write.
func IsReadOnly(err error) bool { return is(err, unix.EROFS) }

// OpenForWriting opens an existing regular file for reading and writing.
func OpenForWriting(dir int, name string) (int, error) {
	return open(dir, name, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY)
}

// PunchHole turns a range of an open file into a hole, which reads as zeros.
func PunchHole(fd int, r Range) error {
	for {
		err := unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, r.Start, r.End-r.Start)
		if err != unix.EINTR {
			return err
		}
	}
}
