package fsat

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func placeOf(t *testing.T, path string) (p Place, listed bool) {
	t.Helper()
	fd, err := OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err = PlaceOf(fd)
	listed, listErr := isListedMount(fd)
	if err := errors.Join(err, listErr, Close(fd)); err != nil {
		t.Fatal(err)
	}
	return p, listed
}

// Guards: the place of a folder is the same each time, and that of a mounted folder is another one, whether the kernel
// tells that or its list of mounts does.
func TestPlaceOf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sub := filepath.Join(dir, "mo unt")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	top, listed := placeOf(t, dir)
	if top.Type == 0 || top.Kind == "" || top.Inode == 0 || top.MountPoint || listed {
		t.Errorf("a folder: %+v, listed %v", top, listed)
	}
	if again, _ := placeOf(t, dir); again != top {
		t.Errorf("%+v, then %+v", top, again)
	}
	if root, listed := placeOf(t, "/proc"); !root.MountPoint || !listed {
		t.Errorf("/proc: %+v, listed %v", root, listed)
	}
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	for _, c := range []struct {
		mount []string
		same  bool
	}{
		{[]string{"--bind", dir, sub}, true},
		{[]string{"-t", "tmpfs", "tmpfs", sub}, top.Kind == "tmpfs"},
	} {
		if out, err := exec.Command("mount", c.mount...).CombinedOutput(); err != nil {
			t.Skipf("cannot mount here: %s", out)
		}
		p, listed := placeOf(t, sub)
		if out, err := exec.Command("umount", sub).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		if !p.MountPoint || !listed || (p.Type == top.Type && p.ID == top.ID) != c.same {
			t.Errorf("mount %q: %+v, listed %v; not mounted: %+v", c.mount, p, listed, top)
		}
	}
}
