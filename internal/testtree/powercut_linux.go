package testtree

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PowerCut makes a file system forget what is not on the disk: flags 0 after it wrote its log and data, 1 after it wrote
// its log, 2 at once (XFS_IOC_GOINGDOWN, which ext4 knows as EXT4_IOC_SHUTDOWN).
func PowerCut(path string, flags uint32) error {
	const goingDown = 0x8004587d
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), goingDown, uintptr(unsafe.Pointer(&flags))); e != 0 {
		err = e
	}
	return errors.Join(err, unix.Close(fd))
}
