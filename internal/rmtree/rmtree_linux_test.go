package rmtree

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/fsat"
	"snapcopy/internal/testtree"
)

func open(t *testing.T, path string) int {
	t.Helper()
	fd, err := fsat.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fsat.Close(fd); err != nil {
			t.Error(err)
		}
	})
	return fd
}

func gone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", path, err)
	}
}

// Guards: everything in the tree goes, whatever its kind and its permissions, and nothing that links in it lead to.
func TestRemove(t *testing.T) {
	dir := t.TempDir()
	testtree.Build(t, dir, `
		dir keep 0755
		file keep/f 0644 x
		dir tree 0000
		dir tree/sub 0500
		file tree/sub/f 0000 x
		dir tree/sub/empty 0000
		symlink tree/sub/l ../../keep
		link tree/h keep/f
		fifo tree/p 0600
		file plain 0444 x
		symlink away keep`)
	fd := open(t, dir)
	for _, name := range []string{"tree", "plain", "away", "nothing"} {
		if err := Remove(fd, name); err != nil {
			t.Errorf("remove %s: %v", name, err)
		}
		gone(t, filepath.Join(dir, name))
	}
	if text, err := os.ReadFile(filepath.Join(dir, "keep", "f")); err != nil || string(text) != "x" {
		t.Errorf("what links led to: %q %v", text, err)
	}
}

// Guards: a tree far deeper than a path can be long needs two open directories.
func TestRemoveDeepTree(t *testing.T) {
	dir := t.TempDir()
	fd := open(t, dir)
	const levels = 5000
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for range levels {
		if err == nil {
			err = unix.Mkdirat(at, "down", 0o755)
		}
		if err == nil {
			err = unix.Mkdirat(at, "x", 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		var next int
		next, err = unix.Openat(at, "down", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		err = errors.Join(err, unix.Close(at))
		at = next
	}
	if err := errors.Join(err, unix.Close(at)); err != nil {
		t.Fatal(err)
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	few := was
	few.Cur = uint64(fd + 20)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	err = Remove(fd, "down")
	if limitErr := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); limitErr != nil {
		t.Fatal(limitErr)
	}
	if err != nil {
		t.Fatal(err)
	}
	gone(t, filepath.Join(dir, "down"))
}

// Guards: what is mounted in the tree stays as it is.
func TestRemoveStopsAtMount(t *testing.T) {
	dir := t.TempDir()
	mount := filepath.Join(dir, "tree", "mount")
	if err := os.MkdirAll(mount, 0o755); err != nil {
		t.Fatal(err)
	}
	testtree.Tmpfs(t, mount, "size=1m")
	inside := filepath.Join(mount, "f")
	if err := os.WriteFile(inside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Remove(open(t, dir), "tree"); !errors.Is(err, ErrMounted) {
		t.Errorf("a tree with something mounted in it: %v", err)
	}
	if _, err := os.Lstat(inside); err != nil {
		t.Error(err)
	}
}
