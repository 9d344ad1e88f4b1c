package fsat

import (
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Some calls take a path and no handle. /proc has a path for each handle; without /proc, as in a chroot, a rescue
// shell or a small container, newer kernels have calls that take a handle.

// HasProc reports whether open handles have paths in /proc.
var HasProc = sync.OnceValue(func() bool {
	return retry(func() error { return unix.Faccessat(unix.AT_FDCWD, "/proc/self/fd", unix.X_OK, 0) }) == nil
})

// CheckProc fails with ErrNoProc if the system has neither /proc nor the calls that replace it.
var CheckProc = sync.OnceValue(func() error {
	if HasProc() {
		return nil
	}
	if _, err := listxattrat(unix.AT_FDCWD, "/", nil); err == unix.ENOSYS || err == unix.EPERM {
		return fmt.Errorf("%w, and this kernel reaches the attributes of links and special files only through it", ErrNoProc)
	}
	return nil
})

// procPath is a path of an entry of an open directory, for the calls that take no handle. The kernel resolves the
// first part to the open directory itself.
func procPath(dir int, name string) string { return handlePath(dir) + "/" + name }

// handlePath is a path that leads straight to the open file, even to a symbolic link itself.
func handlePath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// xattrArgs is struct xattr_args of linux/xattr.h.
type xattrArgs struct {
	value uint64
	size  uint32
	flags uint32
}

func listxattrat(dir int, name string, list []byte) (int, error) {
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return 0, err
	}
	n, _, e := unix.Syscall6(unix.SYS_LISTXATTRAT, uintptr(dir), uintptr(unsafe.Pointer(path)), unix.AT_SYMLINK_NOFOLLOW,
		uintptr(unsafe.Pointer(unsafe.SliceData(list))), uintptr(len(list)), 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

func getxattrat(dir int, name, attr string, value []byte) (int, error) {
	return xattrat(unix.SYS_GETXATTRAT, dir, name, attr, value)
}

func setxattrat(dir int, name string, x Xattr) error {
	return retry(func() error {
		_, err := xattrat(unix.SYS_SETXATTRAT, dir, name, x.Name, x.Value)
		return err
	})
}

func removexattrat(dir int, name, attr string) error {
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	what, err := unix.BytePtrFromString(attr)
	if err != nil {
		return err
	}
	return retry(func() error {
		_, _, e := unix.Syscall6(unix.SYS_REMOVEXATTRAT, uintptr(dir), uintptr(unsafe.Pointer(path)),
			unix.AT_SYMLINK_NOFOLLOW, uintptr(unsafe.Pointer(what)), 0, 0)
		if e != 0 {
			return e
		}
		return nil
	})
}

func xattrat(call uintptr, dir int, name, attr string, value []byte) (int, error) {
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return 0, err
	}
	what, err := unix.BytePtrFromString(attr)
	if err != nil {
		return 0, err
	}
	var pin runtime.Pinner // the kernel reads the address from the structure
	defer pin.Unpin()
	args := xattrArgs{size: uint32(len(value))}
	if len(value) > 0 {
		pin.Pin(&value[0])
		args.value = uint64(uintptr(unsafe.Pointer(&value[0])))
	}
	n, _, e := unix.Syscall6(call, uintptr(dir), uintptr(unsafe.Pointer(path)), unix.AT_SYMLINK_NOFOLLOW,
		uintptr(unsafe.Pointer(what)), uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args))
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// fstatat replaces statx if the system refuses it. It reports no mount, no time of creation and no file attributes.
func fstatat(dir int, name string, flags int, st *Stat) error {
	var s unix.Stat_t
	if err := retry(func() error { return unix.Fstatat(dir, name, &s, flags) }); err != nil {
		return err
	}
	*st = Stat{
		Type:  s.Mode & TypeMask,
		Mode:  s.Mode & 0o7777,
		UID:   s.Uid,
		GID:   s.Gid,
		Nlink: uint32(s.Nlink),
		Dev:   uint64(s.Dev),
		Ino:   s.Ino,
		Size:  s.Size, Blocks: s.Blocks, BlockLen: int64(max(s.Blksize, 512)),
		Major: unix.Major(uint64(s.Rdev)), Minor: unix.Minor(uint64(s.Rdev)),
		Mtime: Time{int64(s.Mtim.Sec), uint32(s.Mtim.Nsec)},
		Ctime: Time{int64(s.Ctim.Sec), uint32(s.Ctim.Nsec)},
	}
	return nil
}
