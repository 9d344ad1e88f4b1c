package fsat

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func openDir(t *testing.T, path string) int {
	t.Helper()
	fd, err := OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Close(fd); err != nil {
			t.Error(err)
		}
	})
	return fd
}

// Guards: a file that a file server has a lease on is read as soon as the server has given it back.
func TestOpenFileWaitsForLease(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "leased"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, unix.SIGIO)
	defer signal.Stop(broken)
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Skip("no leases here: ", err)
	}
	var gives atomic.Bool
	given := make(chan error, 1)
	go func() {
		<-broken
		time.Sleep(50 * time.Millisecond)
		gives.Store(true)
		_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
		given <- err
	}()
	fd, err := OpenFile(openDir(t, dir), "leased")
	if err != nil {
		t.Fatal(err)
	}
	if err := Close(fd); err != nil {
		t.Error(err)
	}
	if !gives.Load() {
		t.Fatal("opened although the lease was not given back")
	}
	if err := <-given; err != nil {
		t.Error(err)
	}
}

// Guards: space that is allocated and was never written is found, also beyond the end; what was written is not.
func TestPreallocated(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const mib = 1 << 20
	fd := int(f.Fd())
	if err := Preallocate(fd, Range{0, 4 * mib}); err != nil {
		t.Skip("no preallocation here: ", err)
	}
	if _, err := f.WriteAt(make([]byte, mib), mib); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	var st Stat
	if err := StatHandle(fd, &st); err != nil || st.Size != 2*mib {
		t.Fatalf("size %d, %v", st.Size, err)
	}
	list, err := Preallocated(fd)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Skip("the file system does not tell of it")
	}
	var all int64
	for _, r := range list {
		if r.Start < 2*mib && r.End > mib {
			t.Errorf("what was written counts as not written: %v", r)
		}
		all += r.End - r.Start
	}
	if all != 3*mib {
		t.Errorf("%d bytes in %v", all, list)
	}
}

// Guards: only the attributes asked for change, and the stat tells of them.
func TestAttrs(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	fd, err := OpenFile(openDir(t, dir), "f")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := Close(fd); err != nil {
			t.Error(err)
		}
	}()
	before, err := Attrs(fd)
	if err != nil {
		t.Fatal(err)
	}
	const noAtime = 0x80
	if err := SetAttrs(fd, NoDump|noAtime, NoDump|noAtime); IsRefused(err) {
		t.Skip("no file attributes here: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	if err := SetAttrs(fd, 0, noAtime); err != nil {
		t.Fatal(err)
	}
	if got, err := Attrs(fd); err != nil || got != before|NoDump {
		t.Errorf("attributes %#x, %v; they were %#x", got, err, before)
	}
	var st Stat
	if err := StatHandle(fd, &st); err != nil || st.AttrsTold&NoDump == 0 || st.Attrs&NoDump == 0 {
		t.Errorf("stat tells %#x of %#x, %v", st.Attrs, st.AttrsTold, err)
	}
}

// Where openat2 and statx are not to be had, other calls see and refuse the same.
func TestOlderCalls(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(dir+"/a/b", 0o755), os.Symlink("b", dir+"/a/link"),
		os.WriteFile(dir+"/a/file", []byte("content"), 0o640)); err != nil {
		t.Fatal(err)
	}
	root, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(root)
	for path, want := range map[string]bool{"a/b": true, "a": true, ".": true, "a/link": false, "a/file": false, "a/none": false} {
		fd, err := openEach(root, path)
		other, otherErr := openBelow(root, path)
		if (err == nil) != want || (otherErr == nil) != want || IsGone(err) != IsGone(otherErr) {
			t.Errorf("%s: %v and %v", path, err, otherErr)
		}
		_, _ = Close(fd), Close(other)
	}
	for _, path := range []string{"a", "a/file", "a/link"} {
		var st, old Stat
		const flags = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
		if err := errors.Join(StatAt(root, path, &st), fstatat(root, path, flags, &old)); err != nil {
			t.Fatal(err)
		}
		st.Mount, st.Btime, st.Attrs, st.AttrsTold, st.Mounted = 0, Time{}, 0, 0, false
		if st != old {
			t.Errorf("%s: statx says %+v, fstatat %+v", path, st, old)
		}
	}
}

// Guards: a name that the file system lists twice, as xfs does with one that is made again meanwhile, is in a listing once.
// Whoever deletes what a snapshot does not have would take the second one for a name of its own.
func TestListingHasEachNameOnce(t *testing.T) {
	list := sorted([]DirEntry{{"b", Regular}, {"a", Regular}, {"b", Regular}, {"c", Directory}, {"a", Regular}})
	want := []DirEntry{{"a", Regular}, {"b", Regular}, {"c", Directory}}
	if !slices.Equal(list, want) {
		t.Errorf("%v", list)
	}
}

// Guards: an error that says nothing about holes is not taken for a file without any, whose holes a copy would fill.
func TestHasHolesWhenUnknown(t *testing.T) {
	if !HasHoles(-1, 5) {
		t.Error("EBADF counts as: no holes")
	}
	if HasHoles(-1, 0) {
		t.Error("an empty file has holes")
	}
}
