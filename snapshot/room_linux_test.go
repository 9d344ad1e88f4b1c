package snapshot_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/exclude"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// cannotFit takes a snapshot that must be stopped because it cannot fit.
func cannotFit(t *testing.T, l *lab) (*archive.Report, *snapshot.NoRoomError) {
	t.Helper()
	rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
	var full *snapshot.NoRoomError
	if !errors.As(err, &full) {
		t.Fatalf("error %v", err)
	}
	if full.Archive != l.Arch || !full.Lacks() {
		t.Errorf("%+v", full)
	}
	return rep, full
}

// allBut lists everything below a folder, but for the content of folders of one name.
func allBut(t *testing.T, dir, name string) string {
	t.Helper()
	list := ""
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && filepath.Base(filepath.Dir(path)) != name {
			list += path + "\n"
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// afterCount makes the run read no file before the count beside it has ended.
func afterCount(l *lab) {
	counted := make(chan bool)
	l.Opt.Counted = func() { close(counted) }
	l.Opt.SourceFault = func(op, name string) error {
		if op == "read" {
			<-counted
		}
		return nil
	}
}

// Guards: the files and bytes counted beside a first run are those that the run stores, whatever it leaves out, and no
// error is told twice.
func TestCountedBeside(t *testing.T) {
	l := newLab(t)
	l.Build(archivetest.FaultTree)
	l.Build("dir cache 0755\nfile cache/CACHEDIR.TAG 0644 \"Signature: 8a477f597d28d172789f06886806bc55\"\nfile cache/big 0644 zeros=5000\n" +
		"dir no 0755\nfile no/.nobackup 0644 x\nfile no/y 0644 y\nfile a.o 0644 o\nfile keep.o 0644 keep\nfile huge 0644 random=3000000:1\n" +
		"file one 0644 group\nlink two one\nlink three one\nsymlink sym one\ndir objects 0755\nfile objects/x 0644 x")
	m := exclude.New()
	for _, p := range []string{"*.o", "!keep.o", "objects/"} {
		if err := m.Add(p, "--exclude", 0); err != nil {
			t.Fatal(err)
		}
	}
	l.Opt.Exclude, l.Opt.ExcludeCaches, l.Opt.ExcludeIfPresent, l.Opt.ExcludeLarger = m, true, []string{".nobackup"}, 2_000_000
	l.Opt.Progress = new(archive.Progress)
	afterCount(l)
	rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
	if err != nil {
		t.Fatal(err)
	}
	files, bytes := l.Opt.Progress.ExpectFiles.Load(), l.Opt.Progress.ExpectAll.Load()
	if c := rep.Counts; files != c.Files || bytes != c.BytesTotal || c.Excluded == 0 || c.Failed > 0 {
		t.Errorf("%d files with %d bytes were counted; the run: %+v", files, bytes, c)
	}
}

// Guards: a first run that cannot fit is stopped as soon as that is certain; the next one goes on, and needs no more room
// than is there for what the last one has stored.
func TestCannotFit(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs", "tmpfs"} {
		t.Run(kind, func(t *testing.T) {
			l := newLab(t)
			switch kind {
			case "tmpfs":
				if err := os.Mkdir(l.Arch, 0o755); err != nil {
					t.Fatal(err)
				}
				testtree.Tmpfs(t, l.Arch, "size=40m")
			case "xfs":
				l.Arch = filepath.Join(testtree.NewDisk(t, kind, 320*archivetest.MiB).Path, "archive")
			default:
				l.Arch = filepath.Join(testtree.NewDisk(t, kind, 64*archivetest.MiB).Path, "archive")
			}
			l.Build("file a 0644 random=2000000:1")
			for i := range 8 {
				l.Build(fmt.Sprintf("file f%d 0644 random=%d:%d", i, 60*archivetest.MiB+i, i))
			}
			afterCount(l)
			_, full := cannotFit(t, l)
			if !full.LacksBytes() || full.NeedsBytes > 500*archivetest.MiB {
				t.Errorf("%+v", full)
			}
			l.OnlyUnfinished()
			l.Build("rm f1\nrm f2\nrm f3\nrm f4\nrm f5\nrm f6\nrm f7\nrm f0")
			afterCount(l)
			l.Run()
			l.NothingLeft()
			l.Intact()
			l.Verify()
		})
	}
}

// Guards: what may be stored once, or takes no room, or cannot be read, makes no run certain to lack room.
func TestMayFit(t *testing.T) {
	for _, c := range []struct{ name, tree string }{
		{"names of one inode", "file f 0644 random=30000000:1\nlink g f\nlink h f"},
		{"holes", "file f 0644 size=9000000000"},
		{"equal sizes", "file f 0644 random=30000000:1\nfile g 0644 random=30000000:2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			if err := os.Mkdir(l.Arch, 0o755); err != nil {
				t.Fatal(err)
			}
			testtree.Tmpfs(t, l.Arch, "size=40m")
			l.Build(c.tree)
			afterCount(l)
			_, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
			if errors.As(err, new(*snapshot.NoRoomError)) || err != nil != (c.name == "equal sizes") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Guards: too few inodes are foreseen for a first run, and for a later one that needs a folder for each inode that is left,
// before it leaves any trace but its record; if the source has fewer folders by now, the run is made.
func TestTooFewInodes(t *testing.T) {
	l := newLab(t)
	disk := testtree.NewDisk(t, "ext4", 64*archivetest.MiB, "-N", "512")
	l.Arch = filepath.Join(disk.Path, "archive")
	for i := range 300 {
		l.Build(fmt.Sprintf("dir d%d 0755", i))
	}
	l.Run()
	before := allBut(t, l.Arch, archive.RunsDir)
	_, full := cannotFit(t, l)
	if !full.LacksInodes() || full.LacksBytes() {
		t.Errorf("%+v", full)
	}
	if after := allBut(t, l.Arch, archive.RunsDir); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
	for i := range 250 {
		l.Build(fmt.Sprintf("rm d%d", i))
	}
	l.Opt.AllowClockBack = true
	if _, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt); err != nil {
		t.Fatal(err)
	}

	other := newLab(t)
	other.Arch = filepath.Join(testtree.NewDisk(t, "ext4", 64*archivetest.MiB, "-N", "512").Path, "archive")
	for i := range 600 {
		other.Build(fmt.Sprintf("file n%d 0644 x", i))
	}
	afterCount(other)
	if _, full := cannotFit(t, other); !full.LacksInodes() {
		t.Errorf("%+v", full)
	}
}
