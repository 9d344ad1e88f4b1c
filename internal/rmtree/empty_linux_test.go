package rmtree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testtree"
)

// names lists a directory.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// Guards: everything goes, whatever its kind and its permissions, each name is counted once, and files that have names
// elsewhere keep all that they are but the number of these.
func TestEmpty(t *testing.T) {
	for _, workers := range []int{0, 1, 5} {
		dir := t.TempDir()
		testtree.Build(t, dir, `
			dir keep 0755
			file keep/f 0444 "text" mtime=5.5 xattr.user.a="1"
			file keep/g 0600 "more" mtime=6.5
			dir trash 0755
			dir trash/a 0000
			dir trash/a/sub 0500
			file trash/a/sub/f 0000 x
			dir trash/a/sub/empty 0000
			symlink trash/a/sub/l ../../../keep
			link trash/a/h keep/f
			fifo trash/a/p 0600
			link trash/g keep/g
			symlink trash/away ../keep
			file trash/spared 0644`)
		for i := range 100 {
			testtree.Build(t, dir, fmt.Sprintf("dir trash/many%d 0755\nfile trash/many%d/f 0644", i, i))
		}
		testtree.Build(t, dir, "link keep/g2 keep/g")
		want := testtree.Take(t, filepath.Join(dir, "keep"))
		var removed atomic.Int64
		err := Empty(t.Context(), open(t, filepath.Join(dir, "trash")), Options{
			Workers: workers,
			Spare:   func(name string) bool { return name == "spared" },
			Removed: func(n int) { removed.Add(int64(n)) },
		})
		if got := names(t, filepath.Join(dir, "trash")); err != nil || len(got) != 1 || got[0] != "spared" {
			t.Errorf("left: %q, %v", got, err)
		}
		if n := removed.Load(); n != 209 {
			t.Errorf("%d names removed", n)
		}
		testtree.Equal(t, "keep", want, testtree.Take(t, filepath.Join(dir, "keep")), 0)
	}
}

// deepTree makes two chains of directories far deeper than a path can be long.
func deepTree(t *testing.T, dir string, levels int) {
	t.Helper()
	for _, top := range []string{"one", "two"} {
		at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		name := top
		for range levels {
			if err == nil {
				err = unix.Mkdirat(at, name, 0o755)
			}
			if err == nil {
				err = unix.Mkdirat(at, name+".x", 0o755)
			}
			if err != nil {
				t.Fatal(err)
			}
			var next int
			next, err = unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			err = errors.Join(err, unix.Close(at))
			at, name = next, strings.Repeat("d", 50)
		}
		if err := errors.Join(err, unix.Close(at)); err != nil {
			t.Fatal(err)
		}
	}
}

// Guards: trees far deeper than a path can be long need few open directories.
func TestEmptyDeepTrees(t *testing.T) {
	dir := t.TempDir()
	fd := open(t, dir)
	deepTree(t, dir, 300)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	few := was
	few.Cur = uint64(fd + 90)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	err := Empty(t.Context(), fd, Options{Workers: 3})
	if limitErr := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); limitErr != nil {
		t.Fatal(limitErr)
	}
	if got := names(t, dir); err != nil || len(got) > 0 {
		t.Errorf("left: %q, %v", got, err)
	}
}

// Guards: what is mounted stays as it is, its mode too, and stops nothing else.
func TestEmptyStopsAtMounts(t *testing.T) {
	for _, kind := range []string{"tmpfs", "bind"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			testtree.Build(t, dir, "dir other 0500\nfile other/f 0600 x\ndir trash 0755\ndir trash/a 0755\n"+
				"dir trash/a/b 0755\ndir trash/a/b/mount 0755\nfile trash/a/b/f 0600 x\ndir trash/c 0755\nfile trash/c/f 0600 x")
			at := filepath.Join(dir, "trash", "a", "b", "mount")
			if kind == "bind" {
				testtree.Bind(t, filepath.Join(dir, "other"), at)
			} else {
				testtree.Tmpfs(t, at, "size=1m,mode=0500")
				testtree.Build(t, at, "file f 0600 x")
			}
			err := Empty(t.Context(), open(t, filepath.Join(dir, "trash")), Options{})
			if !errors.Is(err, ErrMounted) || !strings.HasSuffix(err.Error(), "a/b/mount: "+ErrMounted.Error()) {
				t.Errorf("error: %v", err)
			}
			tree := testtree.Take(t, filepath.Join(dir, "trash"))
			if len(tree) != 5 || tree["a/b/mount/f"].Type != "file" || tree["a/b/mount"].Mode != 0o500 {
				t.Errorf("left: %v", tree)
			}
		})
	}
}

// Guards: it stops when told to, says why, and another one goes on; two at once do not get into each other's way.
func TestEmptyGoesOn(t *testing.T) {
	dir := t.TempDir()
	for i := range 300 {
		testtree.Build(t, dir, fmt.Sprintf("dir d%d 0755\ndir d%d/sub 0755\nfile d%d/sub/f 0644", i, i, i))
	}
	fd := open(t, dir)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	var removed atomic.Int64
	before := len(names(t, "/proc/self/fd"))
	err := Empty(ctx, fd, Options{Removed: func(n int) {
		if removed.Add(int64(n)) > 100 {
			cancel(stopped)
		}
	}})
	if left := len(names(t, dir)); !errors.Is(err, stopped) || left == 0 || left == 300 {
		t.Errorf("%d left, %v", left, err)
	}
	if after := len(names(t, "/proc/self/fd")); after != before {
		t.Errorf("%d descriptors were left open", after-before)
	}
	pace := func(context.Context, int) error { return stopped }
	if err := Empty(t.Context(), fd, Options{Pace: pace}); !errors.Is(err, stopped) {
		t.Errorf("pace: %v", err)
	}
	results := make(chan error)
	for range 3 {
		own := open(t, dir)
		go func() { results <- Empty(t.Context(), own, Options{Workers: 3}) }()
	}
	for range 3 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if got := names(t, dir); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}

// Guards: of many failures the first are told and all are counted.
func TestEmptyCountsFailures(t *testing.T) {
	dir := t.TempDir()
	for i := range maxFailed + 3 {
		testtree.Build(t, dir, fmt.Sprintf("dir d%d 0755\nfile d%d/f 0644", i, i))
		attrs(t, filepath.Join(dir, fmt.Sprint("d", i), "f"), immutable)
	}
	err := Empty(t.Context(), open(t, dir), Options{})
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "and 3 more") {
		t.Errorf("error: %v", err)
	}
}

const immutable = 0x10 // FS_IMMUTABLE_FL

// attrs sets file attributes until the test ends.
func attrs(t *testing.T, path string, set uint32) {
	t.Helper()
	change := func(to uint32) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(to)), f.Close())
	}
	if err := change(set); err != nil {
		t.Skipf("no immutable files here: %v", err)
	}
	t.Cleanup(func() {
		if err := change(0); err != nil {
			t.Error(err)
		}
	})
}
