package rmtree

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
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

// Guards: the name that is to be removed may itself be a mount, of another file system or of a folder of this one.
func TestRemoveStopsAtMountedName(t *testing.T) {
	for _, kind := range []string{"tmpfs", "bind"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			testtree.Build(t, dir, "dir other 0755\nfile other/f 0600 x\ndir tree 0755\ndir tree/sub 0755")
			for _, name := range []string{"tree/sub", "tree"} {
				at := filepath.Join(dir, name)
				if kind == "bind" {
					testtree.Bind(t, filepath.Join(dir, "other"), at)
				} else {
					testtree.Tmpfs(t, at, "size=1m,mode=0500")
					testtree.Build(t, at, "file f 0600 x\ndir sub 0755")
				}
				if err := Remove(open(t, dir), "tree"); !errors.Is(err, ErrMounted) {
					t.Errorf("%s: %v", name, err)
				}
				if _, err := os.Lstat(filepath.Join(at, "f")); err != nil {
					t.Error(err)
				}
				if info, err := os.Stat(at); kind == "tmpfs" && (err != nil || info.Mode().Perm() != 0o500) {
					t.Errorf("%s became %v, %v", name, info.Mode(), err)
				}
			}
		})
	}
}

// Guards: what is to be spared stays, with the folders that lead there and nothing else.
func TestRemoveExcept(t *testing.T) {
	dir := t.TempDir()
	testtree.Build(t, dir, `
		dir tree 0755
		file tree/a 0644
		dir tree/b 0555
		file tree/b/keep 0644 x
		file tree/b/other 0644
		dir tree/c 0755
		dir tree/c/d 0755
		file tree/c/d/f 0644
		dir tree/whole 0755
		file tree/whole/in 0644`)
	var asked []string
	spare := func(in int, path string, st *fsat.Stat) (bool, error) {
		asked = append(asked, path)
		var at fsat.Stat
		if err := fsat.StatAt(in, filepath.Base(path), &at); err != nil || !at.SameFile(st) {
			t.Errorf("%s: its folder has %+v, %v", path, at, err)
		}
		return path == "tree/b/keep" && st.Type == fsat.Regular || path == "tree/whole" && st.Type == fsat.Directory, nil
	}
	nothing := func(int, string, *fsat.Stat) (bool, error) { return false, nil }
	before := testtree.Take(t, dir)
	if all, err := WouldRemove(open(t, dir), "tree", spare); all || err != nil {
		t.Errorf("all %v, %v", all, err)
	}
	if all, err := WouldRemove(open(t, dir), "tree", nothing); !all || err != nil {
		t.Errorf("all %v, %v", all, err)
	}
	testtree.Equal(t, "nothing was removed", before, testtree.Take(t, dir), 0)
	would := slices.Sorted(slices.Values(asked))
	asked = nil
	all, err := RemoveExcept(open(t, dir), "tree", spare)
	if all || err != nil {
		t.Errorf("all %v, %v", all, err)
	}
	slices.Sort(asked)
	want := []string{"tree", "tree/a", "tree/b", "tree/b/keep", "tree/b/other", "tree/c", "tree/c/d", "tree/c/d/f", "tree/whole"}
	if !slices.Equal(asked, want) || !slices.Equal(would, want) {
		t.Errorf("asked about %q, and before about %q", asked, would)
	}
	tree := testtree.Take(t, dir)
	if len(tree) != 6 || tree["tree/b/keep"].Content == "" || tree["tree/b"].Mode != 0o555 {
		t.Errorf("left: %v", tree)
	}
	fault := func(int, string, *fsat.Stat) (bool, error) { return false, syscall.EIO }
	if all, err := RemoveExcept(open(t, dir), "tree", fault); all || !errors.Is(err, syscall.EIO) {
		t.Errorf("who cannot tell what stays: all %v, %v", all, err)
	}
	if all, err := RemoveExcept(open(t, dir), "tree", nothing); !all || err != nil {
		t.Errorf("all %v, %v", all, err)
	}
	gone(t, filepath.Join(dir, "tree"))
}
