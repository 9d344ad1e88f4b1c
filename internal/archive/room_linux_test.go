package archive_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/fault"
	"snapcopy/internal/testtree"
)

// A fullDisk is a disk on which nothing more can be made, and what makes it so.
type fullDisk struct {
	name, kind string
	size       int64
	make       []string
	fill       func(t *testing.T, l *lab)
}

var fullDisks = []fullDisk{
	{"ext4, bytes", "ext4", 16 << 20, nil, fillBytes},
	{"ext4, inodes", "ext4", 32 << 20, []string{"-N", "500"}, fillInodes},
	{"xfs, bytes", "xfs", 320 << 20, nil, fillBytes},
	{"btrfs, bytes", "btrfs", 128 << 20, nil, fillBytes},
	// Not even a rename is possible there: what is free for metadata is less than what btrfs wants to be sure of.
	{"btrfs, metadata", "btrfs", 128 << 20, []string{"-m", "single"}, fillBytes},
	{"btrfs, quota", "btrfs", 128 << 20, nil, fillQuota},
}

// fillBytes writes to the disk until it takes no byte more.
func fillBytes(t *testing.T, l *lab) {
	t.Helper()
	for i, size := range []int{1 << 20, 4 << 10, 4 << 10, 4 << 10, 1} {
		f, err := os.Create(filepath.Join(filepath.Dir(l.Arch), fmt.Sprint("fill", i)))
		if errors.Is(err, unix.ENOSPC) {
			return
		}
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
		if err := errors.Join(unix.Syncfs(int(f.Fd())), f.Close()); err != nil && !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
}

// fillInodes makes files until there can be no other.
func fillInodes(t *testing.T, l *lab) {
	t.Helper()
	for i := 0; ; i++ {
		err := os.WriteFile(filepath.Join(filepath.Dir(l.Arch), fmt.Sprint("fill", i)), nil, 0o600)
		if errors.Is(err, unix.ENOSPC) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// fillQuota gives the archive less than it takes already.
func fillQuota(t *testing.T, l *lab) {
	t.Helper()
	if out, err := exec.Command("btrfs", "qgroup", "limit", "100K", filepath.Dir(l.Arch)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(l.Arch), "x"), nil, 0o600); !errors.Is(err, unix.EDQUOT) {
		t.Skipf("the quota has no effect: %v", err)
	}
}

// lab makes four snapshots on the disk, and fills it.
func (d *fullDisk) lab(t *testing.T) *lab {
	t.Helper()
	l := newLab(t)
	disk := testtree.NewDisk(t, d.kind, d.size, d.make...)
	l.Arch = filepath.Join(disk.Path, "archive")
	if strings.Contains(d.name, "quota") {
		sub := filepath.Join(disk.Path, "sub")
		for _, args := range [][]string{{"subvolume", "create", sub}, {"quota", "enable", disk.Path}} {
			if out, err := exec.Command("btrfs", args...).CombinedOutput(); err != nil {
				t.Skipf("no quota here: %v: %s", err, out)
			}
		}
		l.Arch = filepath.Join(sub, "archive")
	}
	l.Opt.Threads, l.Parallel = 2, true
	l.Build("dir d 0755\nfile d/secret 0600 random=20000:9\nfile d/other 0644 other")
	for i := range 4 {
		l.Build(fmt.Sprintf("file new%d 0644 random=9000:%d", i, i))
		l.Run()
	}
	d.fill(t, l)
	return l
}

func (l *lab) removeRoomless(names []string, fault func(string) error) (*archive.RemoveReport, error) {
	l.T.Helper()
	a := l.Open()
	defer l.Close(a)
	return a.Remove(context.Background(), names, archive.RemoveOptions{Threads: 2, Fault: fault})
}

// Guards: on a disk that is full in any way, snapshots can be removed, "latest" never leads to one that is gone, and
// what stays is sound.
func TestRemoveOnFullDisk(t *testing.T) {
	for _, disk := range fullDisks {
		t.Run(disk.name, func(t *testing.T) {
			t.Parallel()
			l := disk.lab(t)
			for _, name := range []string{l.Order[3], l.Order[0]} {
				rep, err := l.removeRoomless([]string{name}, nil)
				if err != nil || len(rep.Removed) != 1 {
					t.Fatalf("remove: %+v, %v", rep, err)
				}
				if len(rep.Unfinished) > 0 && disk.kind == "ext4" {
					t.Errorf("left: %v", rep.Unfinished)
				}
				l.forget(name)
			}
			a := l.Open()
			defer l.Close(a)
			if target := a.Latest(); target != l.Order[1] && (target != "" || disk.kind == "ext4") {
				t.Errorf("latest leads to %q", target)
			}
			if trash, err := a.Unfinished(); err != nil || trash {
				t.Errorf("something is left: %v", err)
			}
			l.Intact()
			l.Verify()
		})
	}
}

// Guards: where a snapshot cannot even be moved to the trash, a removal that dies leaves whole snapshots and no trace
// of others for any command, and the next one ends it.
func TestRemoveOnFullDiskCrashes(t *testing.T) {
	disk := fullDisks[4]
	for _, step := range []string{"note of the removal", "remove a record", "remove the folder", "end of the removal"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			l := disk.lab(t)
			met := false
			_, err := l.removeRoomless(l.Order[:1], func(s string) error {
				if s == step {
					met = true
					return fault.ErrCrash
				}
				return nil
			})
			if !met {
				t.Skip("this system has room for a rename")
			}
			if !errors.Is(err, fault.ErrCrash) {
				t.Fatalf("remove: %v", err)
			}
			a := l.Open()
			list, err := a.Snapshots()
			lost, lostErr := a.WithoutCatalog()
			l.Close(a)
			if err := errors.Join(err, lostErr); err != nil || len(lost) > 0 {
				t.Errorf("without catalog: %v %v", lost, err)
			}
			if len(list) == 4 { // it had only been begun
				l.Verify()
			}
			if _, err := l.removeRoomless(nil, nil); err != nil {
				t.Fatal(err)
			}
			if len(list) == 4 && step == "note of the removal" {
				l.Intact()
			} else {
				l.forget(l.Order[0])
				l.Intact()
			}
			l.Verify()
		})
	}
}

// Guards: a path is forgotten on a full disk where what can be made anew, or what is forgotten, gives the room for
// that.
func TestForgetPathOnFullDisk(t *testing.T) {
	for _, disk := range fullDisks[:4] {
		t.Run(disk.name, func(t *testing.T) {
			t.Parallel()
			l := disk.lab(t)
			rep, err := l.forgetPath("d/secret", archive.ForgetOptions{})
			if errors.Is(err, unix.ENOSPC) && disk.kind != "ext4" { // they want more for one new file than all of that
				l.Intact()
				l.Verify()
				return
			}
			if err != nil || len(rep.Forgotten) != 4 {
				t.Fatalf("forget: %+v, %v", rep, err)
			}
			l.forgets("d/secret")
			l.Intact()
			l.Verify()
			if trash, err := os.ReadDir(l.Path(archive.MetaDir, archive.TrashDir)); err != nil || len(trash) > 0 {
				t.Errorf("trash: %v %v", trash, err)
			}
		})
	}
}

// Guards: on a disk without a free inode a run that looked wrong can be acknowledged, without which nothing is pruned,
// and a damaged archive.json keeps nobody from removing.
func TestFullDiskKeepsNobodyFromPruning(t *testing.T) {
	t.Parallel()
	disk := fullDisks[1]
	l := disk.lab(t)
	a := l.Open()
	err := a.Acknowledge(l.Order[3], time.Now())
	l.Close(a)
	if err != nil {
		t.Errorf("acknowledge: %v", err)
	}
	if err := os.WriteFile(l.Path(archive.MetaDir, archive.ArchiveFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	fillInodes(t, l)
	if rep, err := l.removeRoomless([]string{l.Order[3]}, nil); err != nil || len(rep.Removed) != 1 {
		t.Fatalf("remove: %+v, %v", rep, err)
	}
	l.forget(l.Order[3])
	l.LatestIs(l.Order[2])
	l.Intact()
	l.Verify()
}
