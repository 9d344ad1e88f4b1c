package archivetest

import (
	"os"
	"path/filepath"
	"testing"

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

// diskSize is the least that each mkfs takes, with room to work.
var diskSize = map[string]int64{"ext4": 64 * MiB, "xfs": 320 * MiB, "btrfs": 256 * MiB, "vfat": 64 * MiB, "exfat": 64 * MiB}

const MiB = 1 << 20
