package fsat

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// A node handle refers to an inode that cannot or must not be opened: a symbolic link, a device, a pipe, a socket. It
// gives no access to content. Calls on it reach that inode even if its name has meanwhile been changed, which matters
// where other users may write to the directory. StatHandle and Close take node handles too.

// OpenNode opens name in dir as a node handle.
func OpenNode(dir int, name string) (int, error) { return open(dir, name, unix.O_PATH|unix.O_NOFOLLOW) }

// ChownNode sets the owner.
func ChownNode(fd int, uid, gid uint32) error {
	return retry(func() error { return unix.Fchownat(fd, "", int(uid), int(gid), unix.AT_EMPTY_PATH) })
}

// ChmodNode sets the mode. The mode of a symbolic link cannot be set.
func ChmodNode(fd int, mode uint32) error {
	if !HasProc() {
		return fchmodat2(fd, mode)
	}
	path := handlePath(fd)
	return retry(func() error { return unix.Fchmodat(unix.AT_FDCWD, path, mode, 0) })
}

func fchmodat2(fd int, mode uint32) error {
	empty := []byte{0}
	return retry(func() error {
		_, _, e := unix.Syscall6(unix.SYS_FCHMODAT2, uintptr(fd), uintptr(unsafe.Pointer(&empty[0])), uintptr(mode),
			unix.AT_EMPTY_PATH, 0, 0)
		if e != 0 {
			return e
		}
		return nil
	})
}

// SetMtimeNode sets the modification time and leaves the access time alone.
func SetMtimeNode(fd int, t Time) error {
	at, path, flags := fd, "", unix.AT_EMPTY_PATH
	if HasProc() {
		at, path, flags = unix.AT_FDCWD, handlePath(fd), 0
	}
	return setMtime(t, func(ts *[2]unix.Timespec) error { return unix.UtimesNanoAt(at, path, ts[:], flags) },
		func(st *unix.Stat_t) error { return unix.Fstat(fd, st) })
}

// A Node is a node handle and the place it was opened at: without /proc, extended attributes can only be reached by
// name.
type Node struct {
	FD   int
	Dir  int
	Name string
}

// SetXattr sets one extended attribute.
func (n Node) SetXattr(x Xattr) error {
	if !HasProc() {
		if err := n.check(); err != nil {
			return err
		}
		return setxattrat(n.Dir, n.Name, x)
	}
	path := handlePath(n.FD)
	return retry(func() error { return unix.Setxattr(path, x.Name, x.Value, 0) })
}

// RemoveXattr removes one extended attribute. An attribute that does not exist is no error.
func (n Node) RemoveXattr(name string) error {
	var err error
	if HasProc() {
		path := handlePath(n.FD)
		err = retry(func() error { return unix.Removexattr(path, name) })
	} else if err = n.check(); err == nil {
		err = removexattrat(n.Dir, n.Name, name)
	}
	if err == unix.ENODATA || err == unix.ENOTSUP {
		return nil
	}
	return err
}

// check proves that the name still belongs to the inode. Another process with write permission on the directory could
// change that just after; without /proc there is no safer way.
func (n Node) check() error {
	var st, now Stat
	if err := StatHandle(n.FD, &st); err != nil {
		return err
	}
	if err := StatAt(n.Dir, n.Name, &now); err != nil {
		return err
	}
	if !now.SameFile(&st) {
		return unix.ESTALE
	}
	return nil
}
