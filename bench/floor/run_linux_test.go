package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Whatever the number of workers, both ways of working make a tree that equals the source in all a snapshot promises
// except holes, and link shares every inode with the earlier result.
func TestResultsEqualSource(t *testing.T) {
	src := makeTree(t)
	want := describe(t, src)
	for _, workers := range []int{1, 2, 7} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")
			check(t, copyTree(src, first, workers))
			equal(t, describe(t, first), want)
			check(t, link(src, first, second, workers))
			got := describe(t, second)
			got["many"] += " blue of many" // link leaves attributes of directories to who has a record of them
			equal(t, got, want)
			for path := range want {
				a, b := lstat(t, filepath.Join(first, path)), lstat(t, filepath.Join(second, path))
				if os.SameFile(a, b) == a.IsDir() {
					t.Errorf("%q: the same inode as in the earlier result: %v", path, !a.IsDir())
				}
			}
		})
	}
}

// The first failure ends the run with its path; nothing hangs, and a result is never written over.
func TestFailures(t *testing.T) {
	src := makeTree(t)
	prev := filepath.Join(t.TempDir(), "prev")
	check(t, copyTree(src, prev, 2))
	check(t, os.Remove(filepath.Join(prev, "many", "file 77")))

	err := link(src, prev, filepath.Join(t.TempDir(), "next"), 3)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "many/file 77") {
		t.Errorf("file missing in the earlier result: %v", err)
	}
	if err := copyTree(src, prev, 2); !errors.Is(err, fs.ErrExist) {
		t.Errorf("copy onto an existing result: %v", err)
	}
	err = copyTree(filepath.Join(src, "missing"), filepath.Join(t.TempDir(), "x"), 2)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("copy of nothing: %v", err)
	}
}

// makeTree builds one of everything, with times in the past and modes that a umask would cut.
func makeTree(t *testing.T) string {
	root := filepath.Join(t.TempDir(), "source")
	at := func(name string) string { return filepath.Join(root, name) }
	for _, d := range []string{"", "empty", "deep/a/b/c", "many", "private"} {
		check(t, os.MkdirAll(at(d), 0o755))
	}
	for i := range 1500 { // more than one listing buffer
		check(t, os.WriteFile(at(fmt.Sprint("many/file ", i)), fmt.Append(nil, i), 0o644))
	}
	for i := range 40 {
		check(t, os.MkdirAll(at(fmt.Sprintf("deep/a/%d/x", i)), 0o755))
	}
	check(t, os.WriteFile(at("zero"), nil, 0o600))
	check(t, os.WriteFile(at("deep/big"), bytes.Repeat([]byte("0123456789"), ownJob/4), 0o644))
	check(t, os.WriteFile(at("deep/buffer"), bytes.Repeat([]byte{'x'}, contentBuffer), 0o644))
	check(t, os.WriteFile(at("new\nline"), []byte("n"), 0o666))
	check(t, os.WriteFile(at("not\xffutf8"), []byte("u"), 0o444))
	check(t, os.WriteFile(at(".hidden"), []byte("h"), 0o644))
	check(t, os.WriteFile(at("..double"), []byte("d"), 0o644))
	check(t, os.WriteFile(at("setuid"), []byte("s"), 0o755))
	check(t, os.Link(at("new\nline"), at("deep/a/b/c/other name")))
	check(t, os.Link(at("deep/big"), at("many/big")))
	check(t, os.Symlink("zero", at("link")))
	check(t, os.Symlink("nowhere/at/all", at("deep/dangling")))
	check(t, unix.Mkfifo(at("fifo"), 0o622))
	check(t, unix.Mknod(at("socket"), unix.S_IFSOCK|0o755, 0))
	for _, name := range []string{"zero", "deep/big", "many"} {
		if err := unix.Setxattr(at(name), "user.colour", []byte("blue of "+name), 0); err != unix.ENOTSUP {
			check(t, err)
		}
	}
	if os.Geteuid() == 0 {
		check(t, os.Lchown(at("link"), 12, 34))
		check(t, os.Lchown(at("fifo"), 0, 34))
		check(t, os.Lchown(at("setuid"), 12, 34))
		check(t, os.Lchown(at("deep"), 12, 34))
	}
	check(t, unix.Chmod(at("new\nline"), 0o666))
	check(t, unix.Chmod(at("setuid"), 0o6755))
	check(t, unix.Chmod(at("many"), 0o3777))
	check(t, unix.Chmod(at("private"), 0o500))

	stamp := time.Date(2001, 2, 3, 4, 5, 6, 123456789, time.UTC)
	check(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		stamp = stamp.Add(time.Hour + time.Nanosecond)
		ts := unix.NsecToTimespec(stamp.UnixNano())
		return errors.Join(err, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
	}))
	return root
}

// describe says everything about each entry of a tree in one line, by path.
func describe(t *testing.T, root string) map[string]string {
	tree := map[string]string{}
	groups := map[uint64]string{}
	check(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		check(t, err)
		info := lstat(t, path)
		st := info.Sys().(*syscall.Stat_t)
		name, err := filepath.Rel(root, path)
		check(t, err)
		size := st.Size
		if info.IsDir() {
			size = 0
		}
		line := fmt.Sprintf("%o %d:%d %d bytes %v", st.Mode, st.Uid, st.Gid, size, st.Mtim)
		switch info.Mode().Type() {
		case 0:
			content, err := os.ReadFile(path)
			check(t, err)
			line += fmt.Sprintf(" %x", sha256.Sum256(content))
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			check(t, err)
			line += " -> " + target
		}
		if info.Mode().IsRegular() || info.IsDir() {
			var value [99]byte
			if n, err := unix.Getxattr(path, "user.colour", value[:]); err == nil {
				line += " " + string(value[:n])
			}
		}
		if !info.IsDir() {
			if _, ok := groups[st.Ino]; !ok {
				groups[st.Ino] = name
			}
			line += " = " + groups[st.Ino]
		}
		tree[name] = line
		return nil
	}))
	return tree
}

func equal(t *testing.T, got, want map[string]string) {
	t.Helper()
	var names []string
	for name := range got {
		names = append(names, name)
	}
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if got[name] != want[name] {
			t.Errorf("%q\n got %q\nwant %q", name, got[name], want[name])
		}
	}
}

func lstat(t *testing.T, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Lstat(path)
	check(t, err)
	return info
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
