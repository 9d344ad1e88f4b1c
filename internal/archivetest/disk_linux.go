package archivetest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testtree"
)

func FreeSpace(t *testing.T, path string) int64 {
	t.Helper()
	var s unix.Statfs_t
	unix.Sync()
	if err := unix.Statfs(path, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bfree) * s.Bsize
}

// OnDisk is a lab whose archive, and if wanted the source too, is on a file system of its own.
func OnDisk(t *testing.T, kind string, source bool) (*Lab, *testtree.Disk) {
	t.Helper()
	l := New(t)
	d := testtree.NewDisk(t, kind, diskSize[kind])
	l.Arch = filepath.Join(d.Path, "archive")
	if source {
		l.Src = filepath.Join(d.Path, "source")
		if err := os.Mkdir(l.Src, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return l, d
}

// powerCut makes a file system forget what is not on the disk: flags 0 after it wrote its log and data, 1 after it wrote
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

// diskSize is the least that each mkfs takes, with room to work.
var diskSize = map[string]int64{"ext4": 64 * MiB, "xfs": 320 * MiB, "btrfs": 256 * MiB, "vfat": 64 * MiB, "exfat": 64 * MiB}

const MiB = 1 << 20
