package snapshot

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
)

const mib = 1 << 20

// diskSize is the least that each mkfs takes, with room to work.
var diskSize = map[string]int64{"ext4": 64 * mib, "xfs": 320 * mib, "btrfs": 256 * mib, "vfat": 64 * mib, "exfat": 64 * mib}

// onDisk is a lab whose archive, and if wanted the source too, is on a file system of its own.
func onDisk(t *testing.T, kind string, source bool) (*lab, *testtree.Disk) {
	t.Helper()
	l := newLab(t)
	d := testtree.NewDisk(t, kind, diskSize[kind])
	l.arch = filepath.Join(d.Path, "archive")
	if source {
		l.src = filepath.Join(d.Path, "source")
		if err := os.Mkdir(l.src, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return l, d
}

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
					testtree.Tmpfs(t, filepath.Dir(l.src), "size=100m")
					if err := os.Mkdir(l.src, 0o755); err != nil {
						t.Fatal(err)
					}
				} else {
					l, disk = onDisk(t, kind, source)
				}
				l.build(torture)
				l.parallel = true
				settle()
				l.run()
				l.build("write d/far other\nset xa mode=0600\nset big xattr.user.n=\"1\"\nmv big2 d/big2\ncp d d3")
				settle()
				rep := l.run()
				if rep.Counts.Moved != 1 {
					t.Errorf("moved: %d", rep.Counts.Moved)
				}
				if disk != nil {
					disk.Remount("")
				}
				rep = l.run()
				if c := rep.Counts; c.Unchanged != c.Files || c.BytesRead > 0 {
					t.Errorf("nothing changed, but: %+v", c)
				}
				l.allShared()
				l.intact()
				l.verify()
			})
		}
	}
}

// Guards: where the file system can share content, a change of metadata alone copies none.
func TestReflink(t *testing.T) {
	for _, kind := range []string{"xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			l, disk := onDisk(t, kind, false)
			l.build("file big 0644 random=40000000:1\nfile small 0644 random=50000:2")
			settle()
			l.run()
			free := freeSpace(t, disk.Path)
			l.build("set big mode=0600\nset small mode=0600")
			rep := l.run()
			l.counts(rep, "2 changed")
			l.shared(false, "big", "small")
			if rep.Counts.BytesStored > 0 || rep.Counts.BytesLinked != 40050000 {
				t.Errorf("stored %d, linked %d bytes", rep.Counts.BytesStored, rep.Counts.BytesLinked)
			}
			if used := free - freeSpace(t, disk.Path); used > 8*mib {
				t.Errorf("%d bytes used", used)
			}
			l.build("cp big copy")
			if rep = l.run(); rep.Counts.BytesStored > 0 {
				t.Errorf("a copy stored %d bytes", rep.Counts.BytesStored)
			}
			l.build("write small changed")
			l.run()
			l.intact()
			l.verify()
		})
	}
}

func freeSpace(t *testing.T, path string) int64 {
	t.Helper()
	var s unix.Statfs_t
	unix.Sync()
	if err := unix.Statfs(path, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bfree) * s.Bsize
}

// Guards: on a file system without hard links a snapshot is refused, or a full copy if that is wanted; what it cannot
// hold is in the catalog.
func TestWithoutHardLinks(t *testing.T) {
	for _, kind := range []string{"vfat", "exfat"} {
		t.Run(kind, func(t *testing.T) {
			l, disk := onDisk(t, kind, false)
			l.build(torture + "\ndir \"no:colon\" 0755\nfile \"no:colon/f\" 0644 x\nfile UPPER 0644 u\nfile upper 0644 l")
			l.fails(archive.ErrNoHardLinks)
			l.opt.AllowCopies, l.opt.Threads = true, 1 // one: the first of names that are taken for equal is stored
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
				n := rep.NotHeld
				if n.Entries == 0 || n.Owners == 0 || n.Modes == 0 || n.Times == 0 || n.Xattrs == 0 || n.Links == 0 {
					t.Errorf("not held: %+v", n)
				}
				e := l.entries(rep.Snapshot)
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
			l.verify()
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
			l.parallel = true
			if kind == "tmpfs" {
				if err := os.Mkdir(l.arch, 0o755); err != nil {
					t.Fatal(err)
				}
				testtree.Tmpfs(t, l.arch, "size=40m")
			} else {
				l, _ = onDisk(t, kind, false)
				l.parallel = true
			}
			l.build(faultTree)
			l.run()
			l.build("dir many 0755")
			for i := range 9 {
				l.build(fmt.Sprintf("file many/f%d 0644 random=%d:%d", i, 8*mib, i))
			}
			free := freeSpace(t, l.arch)
			for range 2 {
				err := l.fails(unix.ENOSPC)
				if err != nil && !strings.Contains(err.Error(), "many/f") {
					t.Errorf("the error names no file: %v", err)
				}
				l.intact()
				l.nothingLeft()
				if left := freeSpace(t, l.arch); left < free-4*mib {
					t.Errorf("%d bytes free, %d before", left, free)
				}
			}
			l.build("rm many")
			l.run()
			l.intact()
			l.verify()
		})
	}
}

// Guards: an archive that cannot be written to is left as it is, can still be read, and the error says why.
func TestReadOnlyArchive(t *testing.T) {
	l, disk := onDisk(t, "ext4", false)
	l.build(faultTree)
	l.run()
	disk.Remount("ro")
	l.fails(unix.EROFS)
	l.opt.DryRun = true
	if _, err := Run(t.Context(), l.src, l.arch, l.opt); err != nil {
		t.Errorf("dry run: %v", err)
	}
	l.opt.DryRun = false
	l.intact()
	l.verify()
	disk.Remount("")
	l.run()
	l.intact()
}

// Guards: a stored file at the file system's link limit is stored once more, and links go on from there.
func TestLinkLimit(t *testing.T) {
	const limit = 65000 // EXT4_LINK_MAX
	l := newLab(t)
	disk := testtree.NewDisk(t, "ext4", 96*mib, "-N", "4096")
	l.arch = filepath.Join(disk.Path, "archive")
	l.build("file f 0644 content\nfile g 0644 group\nlink g2 g\nlink g3 g")
	settle()
	l.run()
	extra := filepath.Join(disk.Path, "extra")
	if err := os.Mkdir(extra, 0o700); err != nil {
		t.Fatal(err)
	}
	fill := func(name string, room int) {
		path := l.path(l.order[len(l.order)-1], name)
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
	rep := l.run()
	l.shared(false, "f")
	l.counts(rep, "4 unchanged")
	if rep.LinkLimit != 1 {
		t.Errorf("limit reached %d times", rep.LinkLimit)
	}
	l.run()
	l.allShared()

	fill("g", 2) // room for two of the three names: the group is torn, and the catalog says so
	l.without = testtree.Group
	rep = l.run()
	if rep.LinkLimit != 1 || rep.NotHeld.Links == 0 {
		t.Errorf("limit reached %d times, %d links not held", rep.LinkLimit, rep.NotHeld.Links)
	}
	l.verify()
	l.without = 0
	settle()
	rep = l.run() // together again, in one of the two
	if rep.NotHeld.Links > 0 {
		t.Errorf("%d links not held", rep.NotHeld.Links)
	}
	l.intact()
	l.verify()
}

// powerCut makes a file system forget what is not on the disk: flags 0 after it wrote its log and data, 1 after it wrote
// its log, 2 at once (XFS_IOC_GOINGDOWN, which ext4 knows as EXT4_IOC_SHUTDOWN).
func powerCut(path string, flags uint32) error {
	const goingDown = 0x8004587d
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), goingDown, uintptr(unsafe.Pointer(&flags))); e != 0 {
		err = e
	}
	return errors.Join(err, unix.Close(fd))
}

// Guards: a power cut at any moment leaves every snapshot that was published as it was; one that is there is complete.
func TestPowerCut(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l, disk := onDisk(t, kind, false)
			l.parallel = true
			for i := range 60 {
				l.build(fmt.Sprintf("file f%d 0644 random=%d:%d", i, i*700, i))
			}
			l.build("file big 0644 random=3000000:9\ndir d 0755\nfile d/x 0600 x\nlink d/y d/x")
			rng := rand.New(rand.NewPCG(7, 7))
			for round := range 6 {
				flags := uint32(round % 3)
				after := time.Duration(rng.IntN(120)) * time.Millisecond
				cut := make(chan error, 1)
				time.AfterFunc(after, func() { cut <- powerCut(disk.Path, flags) })
				var published []*archive.Report
				for {
					l.opt.AllowClockBack = true
					rep, err := Run(t.Context(), l.src, l.arch, l.opt)
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
				l.adopt()
				for _, rep := range published {
					if _, there := l.taken[rep.Snapshot]; !there {
						t.Errorf("snapshot %s, of which the run said that it is published, is lost", rep.Snapshot)
					}
				}
				if len(l.taken) > 0 {
					l.intact()
					l.verify()
				}
				if t.Failed() {
					t.Fatalf("round %d: flags %d after %v", round, flags, after)
				}
				l.build(fmt.Sprintf("append f%d x\nrm f%d\nfile f%d 0644 %d", rng.IntN(60), round, round, round))
			}
			l.run()
			l.intact()
			l.verify()
		})
	}
}
