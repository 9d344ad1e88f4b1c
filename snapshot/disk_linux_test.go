package snapshot_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// Guards: everything is kept on each of the file systems that can hold it, also after it was mounted anew.
func TestFileSystems(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs", "btrfs", "tmpfs"} {
		for _, source := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, source there: %v", kind, source), func(t *testing.T) {
				t.Parallel()
				var l *lab
				var disk *testtree.Disk
				if kind == "tmpfs" {
					l = newLab(t)
					testtree.Tmpfs(t, filepath.Dir(l.Src), "size=100m")
					if err := os.Mkdir(l.Src, 0o755); err != nil {
						t.Fatal(err)
					}
				} else {
					l, disk = onDisk(t, kind, source)
				}
				l.Build(archivetest.Torture(t))
				l.Parallel = true
				testtree.Settle()
				l.Run()
				l.Build("write d/far other\nset xa mode=0600\nset big xattr.user.n=\"1\"\nmv big2 d/big2\ncp d d3")
				testtree.Settle()
				rep := l.Run()
				if rep.Counts.Moved != 1 {
					t.Errorf("moved: %d", rep.Counts.Moved)
				}
				if disk != nil {
					disk.Remount("")
				}
				rep = l.Run()
				if c := rep.Counts; c.Unchanged != c.Files || c.BytesRead > 0 {
					t.Errorf("nothing changed, but: %+v", c)
				}
				l.AllShared()
				l.Intact()
				l.Verify()
			})
		}
	}
}

// Guards: where the file system can share content, a change of metadata alone copies none.
func TestReflink(t *testing.T) {
	for _, kind := range []string{"xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			l, disk := onDisk(t, kind, false)
			l.Build("file big 0644 random=40000000:1\nfile small 0644 random=50000:2")
			testtree.Settle()
			l.Run()
			free := archivetest.FreeSpace(t, disk.Path)
			l.Build("set big mode=0600\nset small mode=0600")
			rep := l.Run()
			l.Counts(rep, "2 changed")
			l.Shared(false, "big", "small")
			if rep.Counts.BytesStored > 0 || rep.Counts.BytesLinked != 40050000 {
				t.Errorf("stored %d, linked %d bytes", rep.Counts.BytesStored, rep.Counts.BytesLinked)
			}
			if used := free - archivetest.FreeSpace(t, disk.Path); used > 8*archivetest.MiB {
				t.Errorf("%d bytes used", used)
			}
			l.Build("cp big copy")
			if rep = l.Run(); rep.Counts.BytesStored > 0 {
				t.Errorf("a copy stored %d bytes", rep.Counts.BytesStored)
			}
			l.Build("write small changed")
			l.Run()
			l.Intact()
			l.Verify()
		})
	}
}

// Guards: on a file system without hard links a snapshot is refused, or a full copy if that is wanted; what it cannot
// hold is in the catalog.
func TestWithoutHardLinks(t *testing.T) {
	for _, kind := range []string{"vfat", "exfat"} {
		t.Run(kind, func(t *testing.T) {
			l, disk := onDisk(t, kind, false)
			l.Build(archivetest.Torture(t) + "\ndir \"no:colon\" 0755\nfile \"no:colon/f\" 0644 x\nfile UPPER 0644 u\nfile upper 0644 l")
			l.Fails(archive.ErrNoHardLinks)
			l.Opt.AllowCopies, l.Opt.Threads = true, 1 // one: the first of names that are taken for equal is stored
			var names string
			for range 3 {
				rep := l.runChanging()
				var failed []string
				for _, f := range rep.Failed {
					failed = append(failed, fmt.Sprintf("%q", f.Path))
					if !strings.Contains(f.Error, "this name") {
						t.Errorf("failed: %+v", f)
					}
				}
				if got := strings.Join(failed, " "); names == "" {
					names = got
				} else if got != names {
					t.Errorf("failed: %s, before %s", got, names)
				}
				n := rep.CatalogOnly
				if n.Entries == 0 || n.Owners == 0 || n.Modes == 0 || n.Times == 0 || n.Xattrs == 0 || n.Links == 0 {
					t.Errorf("not held: %+v", n)
				}
				e := l.Entries(rep.Snapshot)
				if e["suid"].Mode != 0o4755 || e["suid"].UID != 12 || e["s1"].Target != "f0" || e["xa"].XattrHash == (index.Hash{}) ||
					e["big"].Mtime != (index.Time{Sec: 1234567890, Nsec: 987654321}) {
					t.Errorf("catalog: %+v %+v %+v %+v", e["suid"], e["s1"], e["xa"], e["big"])
				}
				disk.Remount("")
			}
			for _, name := range []string{"no:colon", "upper"} {
				if !strings.Contains(names, name) {
					t.Errorf("failed: %s; not %s", names, name)
				}
			}
			l.Verify()
		})
	}
}

// Guards: a full disk ends the run with an error that says so; the archive is intact, the space comes back, and the next
// run succeeds as soon as there is enough.
func TestFullDisk(t *testing.T) {
	for _, kind := range []string{"ext4", "tmpfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.Parallel = true
			if kind == "tmpfs" {
				if err := os.Mkdir(l.Arch, 0o755); err != nil {
					t.Fatal(err)
				}
				testtree.Tmpfs(t, l.Arch, "size=40m")
			} else {
				l, _ = onDisk(t, kind, false)
				l.Parallel = true
			}
			l.Build(archivetest.FaultTree)
			l.Run()
			l.Build("dir many 0755")
			for i := range 9 {
				l.Build(fmt.Sprintf("file many/f%d 0644 random=%d:%d", i, 8*archivetest.MiB, i))
			}
			for range 2 {
				err := l.Fails(unix.ENOSPC)
				if err != nil && !strings.Contains(err.Error(), "many/f") {
					t.Errorf("the error names no file: %v", err)
				}
				l.Intact()
				l.OnlyUnfinished()
			}
			l.Build("rm many") // so the files kept from the last run give their space back
			l.Run()
			l.NothingLeft()
			l.Intact()
			l.Verify()
		})
	}
}

// Guards: an archive that cannot be written to is left as it is, can still be read, and the error says why.
func TestReadOnlyArchive(t *testing.T) {
	l, disk := onDisk(t, "ext4", false)
	l.Build(archivetest.FaultTree)
	l.Run()
	disk.Remount("ro")
	l.Fails(unix.EROFS)
	l.Opt.DryRun = true
	if _, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt); err != nil {
		t.Errorf("dry run: %v", err)
	}
	l.Opt.DryRun = false
	l.Intact()
	l.Verify()
	disk.Remount("")
	l.Run()
	l.Intact()
}

// Guards: a stored file at the file system's link limit is stored once more, and links go on from there.
func TestLinkLimit(t *testing.T) {
	const limit = 65000 // EXT4_LINK_MAX
	l := newLab(t)
	disk := testtree.NewDisk(t, "ext4", 96*archivetest.MiB, "-N", "4096")
	l.Arch = filepath.Join(disk.Path, "archive")
	l.Build("file f 0644 content\nfile g 0644 group\nlink g2 g\nlink g3 g")
	testtree.Settle()
	l.Run()
	extra := filepath.Join(disk.Path, "extra")
	if err := os.Mkdir(extra, 0o700); err != nil {
		t.Fatal(err)
	}
	fill := func(name string, room int) {
		path := l.Path(l.Order[len(l.Order)-1], name)
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		for i := int(st.Nlink); i < limit-room; i++ {
			if err := os.Link(path, fmt.Sprint(extra, "/", name, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill("f", 0)
	rep := l.Run()
	l.Shared(false, "f")
	l.Counts(rep, "4 unchanged")
	if rep.LinkLimit != 1 {
		t.Errorf("limit reached %d times", rep.LinkLimit)
	}
	l.Run()
	l.AllShared()

	fill("g", 2) // room for two of the three names: the group is torn, and the catalog says so
	l.Without = testtree.Group
	rep = l.Run()
	if rep.LinkLimit != 1 || rep.CatalogOnly.Links == 0 {
		t.Errorf("limit reached %d times, %d links not held", rep.LinkLimit, rep.CatalogOnly.Links)
	}
	l.Verify()
	l.Without = 0
	testtree.Settle()
	rep = l.Run() // together again, in one of the two
	if rep.CatalogOnly.Links > 0 {
		t.Errorf("%d links not held", rep.CatalogOnly.Links)
	}
	l.Intact()
	l.Verify()
}

// Guards: a power cut at any moment leaves every snapshot that was published as it was; one that is there is complete.
func TestPowerCut(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l, disk := onDisk(t, kind, false)
			l.Parallel = true
			for i := range 60 {
				l.Build(fmt.Sprintf("file f%d 0644 random=%d:%d", i, i*700, i))
			}
			l.Build("file big 0644 random=3000000:9\ndir d 0755\nfile d/x 0600 x\nlink d/y d/x")
			rng := rand.New(rand.NewPCG(7, 7))
			for round := range 6 {
				flags := uint32(round % 3)
				after := time.Duration(rng.IntN(120)) * time.Millisecond
				cut := make(chan error, 1)
				time.AfterFunc(after, func() { cut <- testtree.PowerCut(disk.Path, flags) })
				var published []*archive.Report
				for {
					l.Opt.AllowClockBack = true
					rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
					if err != nil {
						break
					}
					if len(rep.Unfinished) > 0 { // cut while it was made known
						break
					}
					published = append(published, rep)
				}
				if err := <-cut; err != nil {
					t.Fatal(err)
				}
				disk.Remount("")
				l.Adopt()
				for _, rep := range published {
					if _, there := l.Taken[rep.Snapshot]; !there {
						t.Errorf("snapshot %s, of which the run said that it is published, is lost", rep.Snapshot)
					}
				}
				if len(l.Taken) > 0 {
					l.Intact()
					l.Verify()
				}
				if t.Failed() {
					t.Fatalf("round %d: flags %d after %v", round, flags, after)
				}
				l.Build(fmt.Sprintf("append f%d x\nrm f%d\nfile f%d 0644 %d", rng.IntN(60), round, round, round))
			}
			l.Run()
			l.Intact()
			l.Verify()
		})
	}
}
