package fsat

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sharedAttrs are the attributes with the same bit in statx(2) and in ioctl_iflags(2): compressed, immutable,
// append-only and not to be dumped.
const sharedAttrs = unix.STATX_ATTR_COMPRESSED | unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_APPEND | unix.STATX_ATTR_NODUMP

// Attrs returns the file attributes of an open file or directory, with the bits of ioctl_iflags(2). A file system
// without attributes reports 0.
func Attrs(fd int) (uint32, error) {
	for {
		attrs, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
		if err == unix.EINTR {
			continue
		}
		if IsRefused(err) {
			return 0, nil
		}
		return attrs, err
	}
}

// SetAttrs sets those file attributes of an open file or directory that are in mask, and leaves the others. It fails
// with ENOTSUP if the file system does not know one of them.
func SetAttrs(fd int, attrs, mask uint32) error {
	return retry(func() error {
		was, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
		if err != nil {
			return err
		}
		if was&mask == attrs&mask {
			return nil
		}
		return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(was&^mask|attrs&mask))
	})
}

// Preallocated returns the ranges of an open file that have space but no content yet, also beyond its end. A file
// system that does not tell reports none.
func Preallocated(fd int) ([]Range, error) {
	const (
		fsIocFiemap   = 0xc020660b
		headSize      = 32
		extentSize    = 56
		extents       = 64
		extentLast    = 0x1
		extentWaiting = 0x4 // delayed allocation: written, but not on the disk yet
		unwritten     = 0x800
	)
	var list []Range
	buf := make([]byte, headSize+extents*extentSize)
	for start := uint64(0); ; {
		clear(buf)
		binary.NativeEndian.PutUint64(buf, start)
		binary.NativeEndian.PutUint64(buf[8:], 1<<63-1-start)
		binary.NativeEndian.PutUint32(buf[24:], extents)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsIocFiemap, uintptr(unsafe.Pointer(&buf[0])))
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0 && (IsRefused(errno) || errno == unix.EFBIG):
			return list, nil
		case errno != 0:
			return list, errno
		}
		n := int(binary.NativeEndian.Uint32(buf[20:]))
		if n == 0 {
			return list, nil
		}
		for i := range n {
			e := buf[headSize+i*extentSize:]
			from, length := binary.NativeEndian.Uint64(e), binary.NativeEndian.Uint64(e[16:])
			flags := binary.NativeEndian.Uint32(e[40:])
			start = from + length
			if flags&unwritten != 0 && flags&extentWaiting == 0 && start <= 1<<63-1 {
				list = append(list, Range{int64(from), int64(start)})
			}
			if flags&extentLast != 0 || start >= 1<<63-1 {
				return list, nil
			}
		}
	}
}

// Preallocate allocates space for a range of an open file; neither content nor size change.
func Preallocate(fd int, r Range) error {
	for {
		err := unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, r.Start, r.End-r.Start)
		if err != unix.EINTR {
			return err
		}
	}
}

// KeepsSpaceBeyondEnd reports whether a program asked for the space allocated beyond the end of an open file: XFS also
// allocates there by itself, for files that are being written.
func KeepsSpaceBeyondEnd(fd int) bool {
	const (
		fsIocFsgetxattr = 0x801c581f
		xflagPrealloc   = 0x2
		xfs             = 0x58465342
	)
	var s unix.Statfs_t
	if err := unix.Fstatfs(fd, &s); err != nil || s.Type != xfs {
		return err == nil
	}
	var attr [28]byte
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsIocFsgetxattr, uintptr(unsafe.Pointer(&attr)))
	return errno == 0 && binary.NativeEndian.Uint32(attr[:])&xflagPrealloc != 0
}
