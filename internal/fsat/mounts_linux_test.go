package fsat

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// Guards: what is mounted below a folder is found, by the system's list and by looking, whatever characters its path has.
func TestMountsBelow(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	dir := t.TempDir()
	for _, name := range []string{"a/mo unt\n\\", "b", "ab"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	at := filepath.Join(dir, "a/mo unt\n\\")
	if out, err := exec.Command("mount", "-t", "tmpfs", "tmpfs", at).CombinedOutput(); err != nil {
		t.Skipf("cannot mount here: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	for name, want := range map[string]int{"": 1, "a": 1, "b": 0, "ab": 0} {
		fd, err := OpenRoot(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		list, err := MountsBelow(fd)
		walked, walkErr := mountsByWalk(fd, filepath.Join(dir, name))
		if err != nil || walkErr != nil || len(list) != want || !slices.Equal(list, walked) {
			t.Errorf("%s: %q, %v; by looking: %q, %v", name, list, err, walked, walkErr)
		}
		if err := Close(fd); err != nil {
			t.Error(err)
		}
	}
}
