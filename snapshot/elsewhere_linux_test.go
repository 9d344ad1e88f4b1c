package snapshot_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/fsat"
	"snapcopy/snapshot"
)

// mountUnseen mounts a file system on path that answers root nothing, as a FUSE one of another user does. No process has to
// serve it: the kernel refuses root before it asks.
func mountUnseen(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no FUSE here: ", err)
	}
	t.Cleanup(func() { _ = dev.Close() })
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=65534,group_id=65534", dev.Fd())
	if err := unix.Mount("snapcopy-test", path, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		t.Skip("FUSE cannot be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", path, err)
		}
	})
	if _, err := os.Lstat(path); err == nil {
		t.Skip("root may look at a FUSE file system of another user here")
	}
}

// Guards: with -x a mounted file system that root may not even look at is left out as any other one, and is no failure;
// what it hides of the base line counts as left out. Without -x it is told of by name, unless a pattern leaves it out.
func TestUnseenMount(t *testing.T) {
	l := newLab(t)
	l.Nightly()
	l.Build("dir mnt 0755\nfile mnt/a 0644 \"a\"\nfile b 0644 \"b\"\nfile c 0644 \"c\"\n")
	first := l.Judged("").Snapshot
	mountUnseen(t, filepath.Join(l.Src, "mnt"))
	run := func() (*archive.Report, []string) {
		t.Helper()
		var out []string
		l.Opt.Item = func(i snapshot.Item) {
			if i.Action == snapshot.Excluded {
				out = append(out, i.Path+": "+i.Rule)
			}
		}
		rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
		if err != nil {
			t.Fatal(err)
		}
		l.Order = append(l.Order, rep.Snapshot)
		return rep, out
	}

	l.Opt.OneFileSystem = true
	rep, out := run()
	l.Counts(rep, "2 unchanged, 1 excluded")
	if !slices.Equal(out, []string{"mnt: --one-file-system"}) || rep.Incomplete || rep.Baseline.LeftOut != 1 ||
		rep.Baseline.Snapshot != first || rep.LeftOutCount != 1 {
		t.Errorf("left out %q, %+v, %+v", out, rep.Failed, rep.Baseline)
	}
	l.Opt.OneFileSystem = false
	if rep, _ := run(); len(rep.Failed) != 1 || rep.Failed[0].Path != "mnt" {
		t.Errorf("without -x: %+v", rep.Failed)
	}
	l.Opt.Exclude = archivetest.Patterns(t, "mnt")
	if rep, _ := run(); rep.Incomplete {
		t.Errorf("excluded by a pattern: %+v", rep.Failed)
	}
	var st fsat.Stat
	dir, err := fsat.OpenRoot(l.Src)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fsat.Close(dir) }()
	if err := fsat.StatHandle(dir, &st); err != nil {
		t.Fatal(err)
	}
	if dev, ok := fsat.DeviceAt(dir, "b"); !ok || dev != st.Dev {
		t.Errorf("device of a file beside it: %d, %v; want %d", dev, ok, st.Dev)
	}
	if _, ok := fsat.DeviceAt(dir, "none"); ok {
		t.Error("a name that is not there has a device")
	}
	l.Verify()
}
