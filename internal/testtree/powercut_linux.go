package testtree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
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

// CutPower is PowerCut on the disk, also on btrfs, which cannot be shut down: there the image is copied as it is, while
// it is mounted, and flags mean nothing. Only MountAgain makes the disk usable. Nobody may write to it meanwhile.
func (d *Disk) CutPower(flags uint32) error {
	if d.kind != "btrfs" {
		return PowerCut(d.Path, flags)
	}
	for range 10 {
		before, err := d.written()
		if err == nil {
			err = run("cp", "--sparse=always", d.image, d.imageAtCut())
		}
		if err != nil {
			return err
		}
		after, err := d.written()
		if err != nil || before == after {
			return err
		}
	}
	return fmt.Errorf("%s: the file system does not stop writing", d.Path)
}

func (d *Disk) imageAtCut() string { return d.image + ".cut" }

// MountAgain mounts the disk as it was when its power was cut, or after Unmount.
func (d *Disk) MountAgain() error {
	if err := d.Unmount(); err != nil {
		return err
	}
	if err := os.Rename(d.imageAtCut(), d.image); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.mount("")
}

// written returns what the block device of the disk was asked to do so far, as the kernel tells it.
func (d *Disk) written() (string, error) {
	device, err := d.device()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(device + "/stat")
	return string(text), err
}
