package snapshot_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archivetest"
	"snapcopy/internal/rmtree"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// deepTree makes a chain of folders, with some small folders beside it at each level.
func deepTree(t *testing.T, dir string, levels, beside int) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for range levels {
		if err == nil {
			err = errors.Join(unix.Mkdirat(fd, "chain", 0o755), put(fd, "file"))
		}
		for i := range beside {
			side := fmt.Sprint("side", i)
			err = errors.Join(err, unix.Mkdirat(fd, side, 0o755), put(fd, side+"/f"))
		}
		if err != nil {
			break
		}
		var next int
		next, err = unix.Openat(fd, "chain", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		err = errors.Join(err, unix.Close(fd))
		fd = next
	}
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		t.Fatal(err)
	}
}

func put(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte(name))
	return errors.Join(err, unix.Close(fd))
}

const fewDescriptors = 512

// inMemory is a lab on a file system in memory, for very many files.
func inMemory(t *testing.T) *lab {
	t.Helper()
	l := newLab(t)
	testtree.Tmpfs(t, filepath.Dir(l.Src), "size=1g,nr_inodes=0")
	if err := os.Mkdir(l.Src, 0o755); err != nil {
		t.Fatal(err)
	}
	return l
}

// Guards: depth costs no descriptors: a tree far deeper than a path can be long, and than there are descriptors, is
// stored, linked, verified and removed.
func TestDeepTree(t *testing.T) {
	testtree.NeedRoot(t)
	l := inMemory(t)
	t.Cleanup(func() { // os.RemoveAll, which the test framework uses, needs a descriptor a level
		for _, dir := range []string{l.Src, l.Arch} {
			if err := removeDeep(dir); err != nil {
				t.Error(err)
			}
		}
	})
	l.Build("dir top 0755")
	deepTree(t, filepath.Join(l.Src, "top"), 3000, 0)
	testtree.Settle()
	want := testtree.Take(t, l.Src)
	for round := range 2 {
		r := archivetest.Job{Source: l.Src, Archive: l.Arch, Threads: 2, Descriptors: fewDescriptors, Verify: round == 1}.Run(t, false)
		if r.Err != "" || len(r.Damaged) > 0 || len(r.Report.Failed) > 0 {
			t.Fatalf("%.300s %.1000q %d failed", r.Err, r.Damaged, len(r.Report.Failed))
		}
		l.Note(r.Report)
		testtree.Equal(t, "snapshot", want, l.Taken[r.Report.Snapshot], 0)
		if r.Most > 450 {
			t.Errorf("%d descriptors open at once", r.Most)
		}
		if c := r.Report.Counts; round == 1 && (c.Unchanged != c.Files || c.BytesRead > 0 || r.Report.Missing > 0) {
			t.Errorf("nothing changed, but: %+v, %d missing", c, r.Report.Missing)
		}
	}
	l.AllShared()
}

func removeDeep(dir string) error {
	fd, err := unix.Open(filepath.Dir(dir), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(rmtree.Remove(fd, filepath.Base(dir)), unix.Close(fd))
}

// Guards: a worker that gets far ahead of another one deep in the tree does not open every folder above it.
func TestWorkerAheadInDeepTree(t *testing.T) {
	l := newLab(t)
	const levels = 250
	deepTree(t, l.Src, levels, 3)
	l.Opt.Threads = 2
	testtree.Settle()
	l.Run()
	var bottom, held atomic.Bool
	most, looks := 0, 0
	l.Opt.Item = func(i snapshot.Item) {
		if looks++; looks%16 == 0 {
			most = max(most, testtree.OpenDescriptors(t))
		}
		if strings.Count(i.Path, "/") == levels-1 {
			bottom.Store(true)
		}
	}
	l.Opt.Fault = func(step string) error {
		if step == "link" && bottom.Load() && held.CompareAndSwap(false, true) {
			time.Sleep(400 * time.Millisecond) // meanwhile the other worker goes up
		}
		return nil
	}
	if rep := l.Run(); rep.Missing > 0 {
		t.Errorf("%d stored files not found", rep.Missing)
	}
	if !held.Load() {
		t.Error("no worker was held up: the test shows nothing")
	}
	if most > 450 {
		t.Errorf("%d descriptors open at once", most)
	}
	l.Verify()
}

// Guards: a folder with very many names works with few descriptors, on several threads.
func TestWideFolder(t *testing.T) {
	testtree.NeedRoot(t)
	l := inMemory(t)
	const n = 6_000
	fd, err := unix.Open(l.Src, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for i := range n {
		if err == nil && i%20 == 0 {
			err = unix.Mkdirat(fd, fmt.Sprint("d", i), 0o755)
		} else if err == nil {
			err = put(fd, fmt.Sprint("a file with a longer name ", i))
		}
	}
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		t.Fatal(err)
	}
	testtree.Settle()
	for round := range 2 {
		r := archivetest.Job{Source: l.Src, Archive: l.Arch, Threads: 4, Descriptors: fewDescriptors, Verify: round == 1}.Run(t, false)
		if r.Err != "" || len(r.Damaged) > 0 || r.Report.Counts.Files+r.Report.Counts.Dirs != n+1 {
			t.Fatalf("%s %q %+v", r.Err, r.Damaged, r.Report)
		}
		l.Note(r.Report)
		if r.Most > 300 {
			t.Errorf("%d descriptors open at once", r.Most)
		}
	}
	l.AllShared()
	testtree.Equal(t, "snapshot", testtree.Take(t, l.Src), l.Taken[l.Order[1]], 0)
}

// Guards: removing a tree works whatever its folders' permissions and depth, for other users than root too, and touches
// nothing but the tree.
func TestRemoveTree(t *testing.T) {
	dir := t.TempDir()
	testtree.Build(t, dir, `
		dir t 0755
		dir t/closed 0000
		dir t/a 0500
		dir t/b 0755
		symlink t/b/up ..
		symlink t/b/out ../../other
		file t/b/f 0000
		fifo t/b/p 0000
		dir other 0755
		file other/kept 0644 x`)
	deepTree(t, filepath.Join(dir, "t", "b"), 260, 1)
	if err := removeDeep(filepath.Join(dir, "t")); err != nil {
		t.Fatal(err)
	}
	if err := removeDeep(filepath.Join(dir, "t")); err != nil {
		t.Errorf("nothing there: %v", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("left: %v, %v", names, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "other", "kept")); err != nil {
		t.Error(err)
	}
}
