package fsat

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// A node handle stands for an inode that cannot be opened or must not be: a symbolic link, a device, a pipe, a socket.
// It gives no access to content. What is done through it reaches that very inode, whatever its name has become, which
// matters where other users may write to the directory. StatHandle and Close take it too.

// OpenNode opens name in dir as a node handle.
func OpenNode(dir int, name string) (int, error) { return open(dir, name, unix.O_PATH|unix.O_NOFOLLOW) }

// ChownNode sets the owner.
func ChownNode(fd int, uid, gid uint32) error {
	return unix.Fchownat(fd, "", int(uid), int(gid), unix.AT_EMPTY_PATH)
}

// ChmodNode sets the mode. A symbolic link has none that could be set.
func ChmodNode(fd int, mode uint32) error {
	return unix.Fchmodat(unix.AT_FDCWD, handlePath(fd), mode, 0)
}

// SetMtimeNode sets the modification time and leaves the access time.
func SetMtimeNode(fd int, t Time) error {
	ts := []unix.Timespec{{Nsec: utimeOmit}, {Sec: t.Sec, Nsec: int64(t.Nsec)}}
	return unix.UtimesNanoAt(unix.AT_FDCWD, handlePath(fd), ts, 0)
}

// SetXattrNode sets one extended attribute.
func SetXattrNode(fd int, x Xattr) error { return unix.Setxattr(handlePath(fd), x.Name, x.Value, 0) }

// RemoveXattrNode removes one extended attribute; it is no error if there is none.
func RemoveXattrNode(fd int, name string) error {
	err := unix.Removexattr(handlePath(fd), name)
	if err == unix.ENODATA || err == unix.ENOTSUP {
		return nil
	}
	return err
}

// handlePath leads straight to what is open, even to a symbolic link itself.
func handlePath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
