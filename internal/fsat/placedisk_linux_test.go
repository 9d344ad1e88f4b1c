package fsat_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"snapcopy/internal/fsat"
	"snapcopy/internal/testtree"
)

func idOf(t *testing.T, path string) string {
	t.Helper()
	fd, err := fsat.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := fsat.PlaceOf(fd)
	if err := errors.Join(err, fsat.Close(fd)); err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// Guards: a disk has an identity that it keeps when it is mounted again, on another device, in a folder below it, through a
// bind mount and in a subvolume; another disk has another one.
func TestPlaceOfDisk(t *testing.T) {
	for kind, size := range map[string]int64{"ext4": 64 << 20, "xfs": 320 << 20, "btrfs": 256 << 20} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			disk, other := testtree.NewDisk(t, kind, size), testtree.NewDisk(t, kind, size)
			id := idOf(t, disk.Path)
			if id == "" || idOf(t, other.Path) == id {
				t.Errorf("identities %q and %q", id, idOf(t, other.Path))
			}
			disk.Remount("")
			sub := disk.Path + "/sub"
			if kind == "btrfs" {
				if out, err := exec.Command(testtree.Need(t, "btrfs"), "subvolume", "create", sub).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			} else if err := os.Mkdir(sub, 0o755); err != nil {
				t.Fatal(err)
			}
			at := t.TempDir()
			testtree.Bind(t, sub, at)
			for _, path := range []string{disk.Path, sub, at} {
				if got := idOf(t, path); got != id {
					t.Errorf("%s: %q, want %q", path, got, id)
				}
			}
		})
	}
}
