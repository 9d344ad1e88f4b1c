package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/exclude"
	"snapcopy/internal/testtree"
)

func changeText(c *Change) string {
	line := fmt.Sprintf("%s %q", c.Kind, c.Path)
	if c.From != "" {
		line += fmt.Sprintf(" from %q", c.From)
	}
	if len(c.Fields) > 0 {
		line += " " + strings.Join(c.Fields, ",")
	}
	return line
}

// liveChanges compares the newest snapshot with the source as it is.
func (s *series) liveChanges(path string, opt LiveOptions) (lines []string, report *LiveReport) {
	s.t.Helper()
	refs := s.refs()
	c, err := index.Open(refs[len(refs)-1].Catalog)
	s.check(err)
	defer closeAll(s.t, c)
	before := openDescriptors(s.t)
	report, err = CompareLive(context.Background(), c, s.root, path, opt, func(c Change) error {
		lines = append(lines, changeText(&c))
		return nil
	})
	s.check(err)
	if after := openDescriptors(s.t); after != before {
		s.t.Errorf("%d descriptors open before, %d after", before, after)
	}
	return lines, report
}

// between compares the two newest snapshots.
func (s *series) between(path string) (lines []string) {
	s.t.Helper()
	refs := s.refs()
	old, err := index.Open(refs[len(refs)-2].Catalog)
	s.check(err)
	young, err := index.Open(refs[len(refs)-1].Catalog)
	s.check(err)
	defer closeAll(s.t, old, young)
	s.check(Compare(old, young, path, func(c Change) error {
		lines = append(lines, changeText(&c))
		return nil
	}))
	return lines
}

// A live comparison says what comparing with a snapshot taken now would say.
func TestLive(t *testing.T) {
	s := newSeries(t)
	makeTorture(t, s.root)
	for i := range 40 {
		s.file(fmt.Sprintf("work/f%02d", i), fmt.Sprintf("content %d", i))
	}
	s.file("work/moves/x", "moves with its folder")
	s.file("work/swapped/x", "folder becomes a file")
	testtree.Settle()
	s.snap()
	lines, report := s.liveChanges("", LiveOptions{})
	if lines != nil || report.FilesRead != 0 || report.FailedCount != 0 {
		t.Errorf("nothing changed: %q, report %+v", lines, report)
	}

	s.file("work/f00", "changed and longer")
	info, err := os.Stat(s.path("work/f01"))
	s.check(err)
	s.file("work/f01", "CONTENT 1") // with its times set back
	s.check(os.Chtimes(s.path("work/f01"), info.ModTime(), info.ModTime()))
	s.mode("work/f02", 0o600)
	s.xattr("work/f03", "user.note", "x")
	s.mtime("work/f04", 5, 6)
	s.check(os.Remove(s.path("work/f05")))
	s.check(os.Rename(s.path("work/f06"), s.path("work/renamed")))
	s.check(exec.Command("mv", s.path("work/moves"), s.path("moved")).Run())
	s.check(exec.Command("cp", s.path("work/f07"), s.path("work/copied")).Run())
	s.check(os.Remove(s.path("work/f07")))
	s.link("work/f08", "work/linked")
	s.check(os.Remove(s.path("work/f09")))
	s.check(os.Symlink("f10", s.path("work/f09")))
	s.check(os.RemoveAll(s.path("work/swapped")))
	s.file("work/swapped", "a file")
	s.check(os.Remove(s.path("work/f11")))
	s.file("work/f11/now/a folder", "x")
	s.check(os.Remove(s.path("dangling")))
	s.check(os.Symlink("elsewhere", s.path("dangling")))
	s.file("work/f12", "content 12") // written again, equal
	s.file("added/empty", "")
	s.check(exec.Command("touch", "-h", s.path("symlink")).Run())
	s.check(unix.Mkfifo(s.path("added/fifo"), 0o600))
	s.check(os.Remove(s.path("a/group")))
	got, report := s.liveChanges("", LiveOptions{Threads: 3})
	if report.FailedCount != 0 || report.FilesRead > 20 {
		t.Errorf("report %+v", report)
	}
	below, _ := s.liveChanges("work", LiveOptions{})
	file, _ := s.liveChanges("work/f02", LiveOptions{})
	goneFile, _ := s.liveChanges("work/f05", LiveOptions{})
	goneFolder, _ := s.liveChanges("work/moves/x", LiveOptions{})
	s.snap()
	for path, lines := range map[string][]string{"": got, "work": below, "work/f02": file, "work/f05": goneFile,
		"work/moves/x": goneFolder} {
		if diff := cmp.Diff(s.between(path), lines); diff != "" || lines == nil {
			t.Errorf("%q: live (+) against two snapshots (-):\n%s", path, diff)
		}
	}
}

func TestLiveOptions(t *testing.T) {
	s := newSeries(t)
	s.archive = s.path("archive")
	for _, name := range []string{"a.o", "sub/b.o", "keep", "sub/keep"} {
		s.file(name, name)
	}
	s.mtime("", 1, 1)
	testtree.Settle()
	s.snap()
	s.mtime("", 1, 1)
	m := exclude.New()
	s.check(m.Add("*.o", "test", 0))
	s.check(m.Add("new/", "test", 0))
	s.check(os.Remove(s.path("a.o")))
	s.file("sub/b.o", "changed")
	s.file("new/x", "x")
	s.file("sub/keep", "changed, too")
	s.mtime("", 1, 1)
	lines, _ := s.liveChanges("", LiveOptions{Exclude: m, Archive: s.archive})
	want := []string{`metadata "" mtime`, `changed "sub/keep" mtime`} // the run made the archive in the folder
	if !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
}

// A copy of the source has other inodes and change times.
func TestLiveUnstable(t *testing.T) {
	s := newSeries(t)
	s.file("f", "content")
	s.file("dir/g", "more")
	s.link("f", "dir/linked")
	s.xattr("f", "user.note", "x")
	testtree.Settle()
	s.snap()
	other := filepath.Join(t.TempDir(), "copy")
	s.check(exec.Command("cp", "-a", s.root, other).Run())
	s.root = other
	for ignore, files := range map[bool]uint64{false: 3, true: 0} {
		lines, report := s.liveChanges("", LiveOptions{IgnoreInode: ignore, IgnoreCtime: ignore})
		if lines != nil || report.FilesRead != files {
			t.Errorf("ignored: %v: %q, %d files read, want %d", ignore, lines, report.FilesRead, files)
		}
	}
	s.xattr("dir/g", "user.note", "new")
	lines, _ := s.liveChanges("", LiveOptions{IgnoreInode: true, IgnoreCtime: true})
	if want := []string{`metadata "dir/g" xattrs`}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
}

// What cannot be read is listed; the rest goes on.
func TestLiveUnreadable(t *testing.T) {
	if os.Geteuid() == 0 { // who can read everything
		asUser(t)
		return
	}
	s := newSeries(t)
	s.file("closed/x", "x")
	s.file("secret", "x")
	s.file("open", "x")
	s.snap()
	s.mode("closed", 0)
	s.mode("secret", 0)
	defer s.mode("closed", 0o700)
	s.file("open", "yy")
	lines, report := s.liveChanges("", LiveOptions{})
	if want := []string{`changed "open" mtime`}; !slices.Equal(lines, want) || report.FailedCount != 2 {
		t.Errorf("got %q and %+v, want %q and 2 failed", lines, report, want)
	}
}

func TestLiveErrors(t *testing.T) {
	s := newSeries(t)
	s.file("docs/a", "x")
	s.snap()
	refs := s.refs()
	c, err := index.Open(refs[0].Catalog)
	s.check(err)
	defer closeAll(t, c)
	ignore := func(Change) error { return nil }
	var missing *NotFoundError
	for _, path := range []string{"docs/b", "none/b"} {
		_, err = CompareLive(context.Background(), c, s.root, path, LiveOptions{}, ignore)
		if !errors.As(err, &missing) {
			t.Errorf("%s: error %v", path, err)
		}
	}
	_, err = CompareLive(context.Background(), c, s.path("nowhere"), "", LiveOptions{}, ignore)
	if !errors.Is(err, unix.ENOENT) {
		t.Errorf("error %v for a source that is not there", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = CompareLive(ctx, c, s.root, "", LiveOptions{}, ignore); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after it was cancelled", err)
	}
	s.file("docs/a", "changed")
	stop := errors.New("enough")
	_, err = CompareLive(context.Background(), c, s.root, "", LiveOptions{}, func(Change) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want that of the visit", err)
	}
}

// A folder that becomes a symbolic link leads nowhere.
func TestLiveFollowsNothing(t *testing.T) {
	s := newSeries(t)
	s.file("dir/x", "x")
	testtree.Settle()
	s.snap()
	outside := t.TempDir()
	s.check(os.WriteFile(filepath.Join(outside, "y"), []byte("y"), 0o600))
	s.check(os.RemoveAll(s.path("dir")))
	s.check(os.Symlink(outside, s.path("dir")))
	lines, _ := s.liveChanges("", LiveOptions{})
	want := []string{`metadata "" mtime`, `type_changed "dir" mode,mtime`, `removed "dir/x"`}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	if lines, _ := s.liveChanges("dir/x", LiveOptions{}); !slices.Equal(lines, []string{`removed "dir/x"`}) {
		t.Errorf("got %q", lines)
	}
}

func TestTally(t *testing.T) {
	file := func(n uint64) *index.Entry { return &index.Entry{Type: index.File, Size: n} }
	folder := &index.Entry{Type: index.Dir}
	changes := []Change{
		{Path: "a/b/c/new", Kind: Added, New: file(100)},
		{Path: "a/b", Kind: Metadata, Old: folder, New: folder},
		{Path: "a/b/x", Kind: Metadata, Old: file(7), New: file(7)},
		{Path: "a/f", Kind: Changed, Old: file(10), New: file(30)},
		{Path: "top", Kind: Removed, Old: file(5)},
		{Path: "z/moved", Kind: Moved, From: "a/b/was", Old: file(50), New: file(50)},
		{Path: "z", Kind: Added, New: folder},
		{Path: "z/y", Kind: TypeChanged, Old: folder, New: file(3)},
	}
	for depth, want := range map[int][]string{
		0: {" +133-15 map[added:2 changed:1 metadata:2 moved:1 removed:1 type_changed:1]"},
		1: {" +0-5 map[removed:1]", "a +130-60 map[added:1 changed:1 metadata:2]",
			"z +53-0 map[added:1 moved:1 type_changed:1]"},
		2: {" +0-5 map[removed:1]", "a +30-10 map[changed:1]", "a/b +100-50 map[added:1 metadata:2]",
			"z +53-0 map[added:1 moved:1 type_changed:1]"},
	} {
		sum := Tally{Depth: depth}
		for i := range changes {
			sum.Add(&changes[i])
		}
		var got []string
		for _, f := range sum.Folders() {
			got = append(got, fmt.Sprintf("%s +%d-%d %v", f.Folder, f.Added, f.Removed, f.Counts))
		}
		if !slices.Equal(got, want) {
			t.Errorf("depth %d: got\n%q\nwant\n%q", depth, got, want)
		}
	}
}
