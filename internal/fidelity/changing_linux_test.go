package fidelity

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// Guards: a folder that is swapped for a symbolic link while the run is anywhere, in it too, leads to nothing outside
// of the source being read or written.
func TestFolderSwappedForLink(t *testing.T) {
	needRoot(t)
	const secret = "secret: must not be read"
	tree := "dir d 0755\ndir d/sub 0755\ndir d/sub/deep 0755\n"
	for _, dir := range []string{"d", "d/sub", "d/sub/deep"} {
		tree += fmt.Sprintf("file %[1]s/a 0644 inside\nfile %[1]s/b 0644 random=1200000:5\nsymlink %[1]s/s in\n", dir)
	}
	outsideTree := strings.ReplaceAll(strings.ReplaceAll(tree, " inside", fmt.Sprintf(" %q", secret)), "random=1200000:5",
		fmt.Sprintf("%q", secret))
	for _, swapped := range []string{"d", "d/sub", "d/sub/deep"} {
		for at, done := 0, true; done; at++ {
			done = false                                                          // also if the test of this step ends early
			t.Run(fmt.Sprintf("%s at step %d", swapped, at), func(t *testing.T) { // each leaves the disk as it was
				done = swapFolder(t, swapped, at, tree, outsideTree)
				if !done && at < 20 {
					t.Errorf("only %d steps", at)
				}
			})
		}
	}
}

// swapFolder swaps a folder of the source for a link to one outside at a step of a run. It returns false if the run has
// fewer steps.
func swapFolder(t *testing.T, swapped string, at int, tree, outsideTree string) (done bool) {
	l := newLab(t, "ext4")
	outside := filepath.Join(l.base, "outside")
	l.check(os.Mkdir(outside, 0o755))
	testtree.Build(t, outside, outsideTree)
	l.build(tree)
	if at%2 == 1 {
		l.run() // with a previous snapshot the run takes other ways
		l.build("set d/a mtime=7.7\nset d/sub/b mode=0600\nset d/sub/deep/s mtime=3.3")
	}
	before := testtree.Take(t, outside)
	step := 0
	l.opt.Threads = 1
	l.opt.Fault = func(string) error {
		if step++; step == at+1 {
			done = true
			l.build(fmt.Sprintf("mv %[1]s ../moved\nsymlink %[1]s %[2]s", swapped, filepath.Join(outside, swapped)))
		}
		return nil
	}
	rep, err := snapshot.Run(t.Context(), l.src, l.arch, l.opt)
	if err != nil {
		t.Fatal(err)
	}
	l.note(rep)
	secret := before["d/a"].Content
	if secret == "" {
		t.Fatal("the secret is not known")
	}
	for path, item := range l.last(0) {
		if item.Type == "file" && item.Content == secret {
			t.Errorf("%s was read outside of the source", path)
		}
	}
	testtree.Equal(t, "the tree outside", before, testtree.Take(t, outside), 0)
	l.verify()
	return done
}

// storm carries out an edit of the source again and again until the test has done with it.
func storm(t *testing.T, edit func(n int) error) (stop func()) {
	var done atomic.Bool
	var wait sync.WaitGroup
	wait.Go(func() {
		for n := 0; !done.Load(); n++ {
			if err := edit(n); err != nil {
				t.Error(err)
				return
			}
		}
	})
	return func() {
		done.Store(true)
		wait.Wait()
	}
}

// Guards: of a file that is replaced as a whole again and again, a snapshot has one of its versions and never a
// mixture.
func TestReplacedFileIsNeverMixed(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		version := func(n int) []byte { return bytes.Repeat([]byte(fmt.Sprintf("%015d\n", n)), 10_000+n%7*20_000) }
		name := filepath.Join(l.src, "f")
		l.check(os.WriteFile(name, version(0), 0o644))
		stop := storm(t, func(n int) error {
			return errors.Join(os.WriteFile(name+".new", version(n), 0o644), os.Rename(name+".new", name))
		})
		for range 8 {
			rep := l.runChanging()
			got, err := os.ReadFile(filepath.Join(l.path(rep.Snapshot), "f"))
			if err != nil {
				t.Error(err)
			} else if len(got) == 0 || !bytes.Equal(got, bytes.Repeat(got[:16], len(got)/16)) {
				t.Errorf("a mixture of %d bytes, beginning with %q", len(got), got[:min(len(got), 16)])
			}
		}
		stop()
		l.intact()
		l.verify()
		l.run()
		l.later()
	})
}

// Guards: a change that size and modification time do not betray is found: by the change time, and by the inode number
// where another file of the same size and time has taken the name.
func TestForgedTimes(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		l.stages(`
			file small 0644 "before" mtime=1000.25
			file big 0644 random=2000000:1 mtime=1000.25
			file taken 0644 "one" mtime=1000.25
			file linked 0644 "abc" mtime=1000.25
			link other linked
			file holes 0644 hole=2000000 at=5:x mtime=1000.25
			file old 0644 "zzz" mtime=-5.25`,
			"write small \"after!\"\nset small mtime=1000.25\nset big random=2000000:2 mtime=1000.25",
			"file t 0644 \"two\" mtime=1000.25\nmv t taken",
			"write other xyz\nset other mtime=1000.25",
			"set holes at=1500000:y mtime=1000.25",
			"write old aaa\nset old mtime=-5.25\nmv small t\nmv old small\nmv t old")
	})
}

// Guards: what a program writes to a file through its memory, at any moment, is in the next snapshot.
func TestMappedWrites(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		// Elsewhere, because what makes the archive durable would write the source's pages, too.
		other := map[string]string{"ext4": "xfs", "xfs": "btrfs", "btrfs": "ext4"}[l.kind]
		l.arch = folderOn(t, other) + "/archive"
		l.build("file f 0644 random=40000:1\nfile big 0644 random=2000000:2")
		testtree.Settle()
		l.run()
		var maps [][]byte
		for _, name := range []string{"f", "big"} {
			f, err := os.OpenFile(filepath.Join(l.src, name), os.O_RDWR, 0)
			l.check(err)
			info, err := f.Stat()
			l.check(err)
			m, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			l.check(errors.Join(err, f.Close()))
			t.Cleanup(func() {
				if err := unix.Munmap(m); err != nil {
					t.Error(err)
				}
			})
			maps = append(maps, m)
		}
		for n := range 6 {
			for _, m := range maps {
				for page := 0; page < len(m); page += 3 * 4096 {
					m[page] = byte('0' + n) // the same pages each time
				}
			}
			if n%2 == 1 {
				testtree.Settle()
			}
			l.run()
		}
		l.later()
	})
}

// Guards: whatever the clock that names the runs says, back and forth by years, changes are found.
func TestClockJumps(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		l.build("file f 0644 0\nfile stays 0644 stays\ndir d 0755")
		for n, skew := range []time.Duration{0, 24, -24, 9000, -9000, 0, 100_000, -100_000, 1} {
			l.opt.Now = func() time.Time { return time.Now().Add(skew * time.Hour) }
			l.build(fmt.Sprintf("write f %d\nset f mtime=5.5\nfile d/%[1]d 0644 %[1]d", n))
			l.run()
			testtree.Settle()
			rep := l.run()
			if rep.Counts.Changed > 0 || rep.Counts.New > 0 {
				t.Errorf("nothing changed, but: %+v", rep.Counts)
			}
		}
		l.allShared()
		l.later()
	})
}

// Guards: files that grow, shrink, are emptied, moved away and removed while they are read end no run; what was read of
// them is marked where it may be a mixture, and the next run of a quiet source has everything right.
func TestFilesChangeWhileRead(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		l.build("dir d 0755\nfile grow 0644 x\nfile shrink 0644 random=3000000:1\nfile stays 0644 random=2500000:2")
		want := testtree.Take(t, l.src)["stays"]
		piece := testtree.Random(300_000, 3)
		src := func(name string) string { return filepath.Join(l.src, name) }
		gone := func(err error) error {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		}
		stop := storm(t, func(n int) error {
			grow, err := os.OpenFile(src("grow"), os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			_, err = grow.Write(piece)
			err = errors.Join(err, grow.Close(), os.Truncate(src("shrink"), int64(3_000_000-n%20*150_000)))
			if n%16 == 0 {
				err = errors.Join(err, os.Truncate(src("grow"), 1))
			}
			return errors.Join(err, os.WriteFile(src("comes"), piece, 0o600), gone(os.Rename(src("comes"), src("d/goes"))),
				gone(os.Remove(src("d/goes"))))
		})
		for range 6 {
			rep := l.runChanging()
			if got := l.last(0)["stays"]; got.Content != want.Content {
				t.Errorf("a file that did not change: %+v", got)
			}
			entries := l.entries(rep.Snapshot)
			torn := 0
			for _, e := range entries {
				if e.Flags&index.Torn != 0 {
					torn++
				}
			}
			if torn != len(rep.Failed) || rep.Incomplete != (torn > 0) {
				t.Errorf("%d marked, failed %v, incomplete %v", torn, rep.Failed, rep.Incomplete)
			}
			for _, f := range rep.Failed {
				if entries[f.Path].Flags&index.Torn == 0 {
					t.Errorf("failed, and not marked: %+v", f)
				}
			}
		}
		stop()
		l.run()
		l.run()
		l.later()
	})
}

// Guards: a file with holes that gets shorter each time it is about to be read is stored as what was read, in a form
// that can be verified and restored.
func TestSparseFileShrinks(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		l.build("file f 0644 hole=40000000 at=0:x at=3000000:y")
		size := 40_000_000
		l.opt.Threads = 1
		l.opt.Fault = func(step string) error {
			if step == "create" {
				size /= 2
				return os.Truncate(filepath.Join(l.src, "f"), int64(size))
			}
			return nil
		}
		rep := l.runChanging()
		if e := l.entries(rep.Snapshot)["f"]; e.Flags&index.Torn == 0 || len(rep.Failed) != 1 {
			t.Errorf("%+v, failed %v: the test shows nothing", e, rep.Failed)
		}
		l.verify()
		l.restored(rep.Snapshot, nil)
		l.opt.Fault = nil
		l.run()
		l.later()
	})
}
