package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls made for every entry take the name as the kernel wrote it into the directory listing, NUL included: the
// wrappers of x/sys/unix would allocate a copy of it each time.

func openat(dir int, name *byte, flags int, mode uint32) (int, error) {
	fd, _, e := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(name)),
		uintptr(flags|unix.O_CLOEXEC|unix.O_NOFOLLOW), uintptr(mode), 0, 0)
	return int(fd), failure(e)
}

func statx(dir int, name *byte, st *unix.Statx_t) error {
	_, _, e := unix.Syscall6(unix.SYS_STATX, uintptr(dir), uintptr(unsafe.Pointer(name)),
		unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS, uintptr(unsafe.Pointer(st)), 0)
	return failure(e)
}

func linkat(from, to int, name *byte) error {
	_, _, e := unix.Syscall6(unix.SYS_LINKAT, uintptr(from), uintptr(unsafe.Pointer(name)),
		uintptr(to), uintptr(unsafe.Pointer(name)), 0, 0)
	return failure(e)
}

func mkdirat(dir int, name *byte, mode uint32) error {
	_, _, e := unix.Syscall(unix.SYS_MKDIRAT, uintptr(dir), uintptr(unsafe.Pointer(name)), uintptr(mode))
	return failure(e)
}

// setMtime sets the time of name in dir, without following a link, or of dir itself if name is nil.
func setMtime(dir int, name *byte, t unix.Timespec) error {
	times := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, t}
	flags := 0
	if name != nil {
		flags = unix.AT_SYMLINK_NOFOLLOW
	}
	_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(dir), uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(&times)), uintptr(flags), 0, 0)
	return failure(e)
}

func failure(e unix.Errno) error {
	if e == 0 {
		return nil // not an interface that contains errno 0
	}
	return e
}
