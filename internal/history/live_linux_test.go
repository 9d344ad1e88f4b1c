package history

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
	"snapcopy/internal/lookup"
	"snapcopy/internal/testarchive"
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
	s.T.Helper()
	refs := s.refs()
	c, err := index.Open(refs[len(refs)-1].CatalogPath)
	s.Check(err)
	defer testarchive.CloseAll(s.T, c)
	before := testtree.OpenDescriptors(s.T)
	report, err = CompareLive(context.Background(), c, s.Root, path, opt, func(c Change) error {
		lines = append(lines, changeText(&c))
		return nil
	})
	s.Check(err)
	if after := testtree.OpenDescriptors(s.T); after != before {
		s.T.Errorf("%d descriptors open before, %d after", before, after)
	}
	return lines, report
}

// between compares the two newest snapshots.
func (s *series) between(path string) (lines []string) {
	s.T.Helper()
	refs := s.refs()
	old, err := index.Open(refs[len(refs)-2].CatalogPath)
	s.Check(err)
	young, err := index.Open(refs[len(refs)-1].CatalogPath)
	s.Check(err)
	defer testarchive.CloseAll(s.T, old, young)
	s.Check(Compare(old, young, path, func(c Change) error {
		lines = append(lines, changeText(&c))
		return nil
	}))
	return lines
}

// Guards: a file whose old name is another kind of entry now has moved all the same, to both comparisons.
func TestLiveMoveFromChangedType(t *testing.T) {
	s := newSeries(t)
	s.File("was", "content of a file that moves")
	s.File("other", "content of a file that becomes a link")
	testtree.Settle()
	s.snap()
	s.Check(os.Rename(s.Path("was"), s.Path("now")))
	s.File("was/below", "x")
	s.Check(os.Rename(s.Path("other"), s.Path("another")))
	s.Check(os.Symlink("another", s.Path("other")))
	live, _ := s.liveChanges("", LiveOptions{})
	s.snap()
	if diff := cmp.Diff(s.between(""), live); diff != "" {
		t.Errorf("-snapshots +live:\n%s", diff)
	}
	if !slices.Contains(live, `moved "now" from "was"`) {
		t.Errorf("changes: %q", live)
	}
}

// A live comparison says what comparing with a snapshot taken now would say.
func TestLive(t *testing.T) {
	s := newSeries(t)
	testarchive.MakeTorture(t, s.Root)
	for i := range 40 {
		s.File(fmt.Sprintf("work/f%02d", i), fmt.Sprintf("content %d", i))
	}
	s.File("work/moves/x", "moves with its folder")
	s.File("work/swapped/x", "folder becomes a file")
	testtree.Settle()
	s.snap()
	lines, report := s.liveChanges("", LiveOptions{})
	if lines != nil || report.FilesRead != 0 || report.FailedCount != 0 {
		t.Errorf("nothing changed: %q, report %+v", lines, report)
	}

	s.File("work/f00", "changed and longer")
	info, err := os.Stat(s.Path("work/f01"))
	s.Check(err)
	s.File("work/f01", "CONTENT 1") // with its times set back
	s.Check(os.Chtimes(s.Path("work/f01"), info.ModTime(), info.ModTime()))
	s.Mode("work/f02", 0o600)
	s.Xattr("work/f03", "user.note", "x")
	s.Mtime("work/f04", 5, 6)
	s.Check(os.Remove(s.Path("work/f05")))
	s.Check(os.Rename(s.Path("work/f06"), s.Path("work/renamed")))
	s.Check(exec.Command("mv", s.Path("work/moves"), s.Path("moved")).Run())
	s.Check(exec.Command("cp", s.Path("work/f07"), s.Path("work/copied")).Run())
	s.Check(os.Remove(s.Path("work/f07")))
	s.Link("work/f08", "work/linked")
	s.Check(os.Remove(s.Path("work/f09")))
	s.Check(os.Symlink("f10", s.Path("work/f09")))
	s.Check(os.RemoveAll(s.Path("work/swapped")))
	s.File("work/swapped", "a file")
	s.Check(os.Remove(s.Path("work/f11")))
	s.File("work/f11/now/a folder", "x")
	s.Check(os.Remove(s.Path("dangling")))
	s.Check(os.Symlink("elsewhere", s.Path("dangling")))
	s.File("work/f12", "content 12") // written again, equal
	s.File("added/empty", "")
	s.Check(exec.Command("touch", "-h", s.Path("symlink")).Run())
	s.Check(unix.Mkfifo(s.Path("added/fifo"), 0o600))
	s.Check(os.Remove(s.Path("a/group")))
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
	s.archive = s.Path("archive")
	for _, name := range []string{"a.o", "sub/b.o", "keep", "sub/keep"} {
		s.File(name, name)
	}
	s.Mtime("", 1, 1)
	testtree.Settle()
	s.snap()
	s.Mtime("", 1, 1)
	m := exclude.New()
	s.Check(m.Add("*.o", "test", 0))
	s.Check(m.Add("new/", "test", 0))
	s.Check(os.Remove(s.Path("a.o")))
	s.File("sub/b.o", "changed")
	s.File("new/x", "x")
	s.File("sub/keep", "changed, too")
	s.Mtime("", 1, 1)
	lines, _ := s.liveChanges("", LiveOptions{Exclude: m, Archive: s.archive})
	want := []string{`metadata "" mtime`, `changed "sub/keep" mtime`} // the run made the archive in the folder
	if !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
}

// A copy of the source has other inodes and change times.
func TestLiveUnstable(t *testing.T) {
	s := newSeries(t)
	s.File("f", "content")
	s.File("dir/g", "more")
	s.Link("f", "dir/linked")
	s.Xattr("f", "user.note", "x")
	testtree.Settle()
	s.snap()
	other := filepath.Join(t.TempDir(), "copy")
	s.Check(exec.Command("cp", "-a", s.Root, other).Run())
	s.Root = other
	for ignore, files := range map[bool]uint64{false: 3, true: 0} {
		lines, report := s.liveChanges("", LiveOptions{IgnoreInode: ignore, IgnoreCtime: ignore})
		if lines != nil || report.FilesRead != files {
			t.Errorf("ignored: %v: %q, %d files read, want %d", ignore, lines, report.FilesRead, files)
		}
	}
	s.Xattr("dir/g", "user.note", "new")
	lines, _ := s.liveChanges("", LiveOptions{IgnoreInode: true, IgnoreCtime: true})
	if want := []string{`metadata "dir/g" xattrs`}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
}

// Guards: where the change time is not looked at, a live comparison sees changed file attributes, like a run.
func TestLiveIgnoredChangeTimeAndAttributes(t *testing.T) {
	s := newSeries(t)
	s.File("a", "content")
	testtree.Settle()
	s.opt.IgnoreCtime = true
	s.snap()
	testtree.Build(t, s.Root, "chattr a +d")
	for _, opt := range []LiveOptions{{}, {IgnoreCtime: true}} {
		lines, _ := s.liveChanges("", opt)
		if want := []string{`metadata "a" attributes`}; !slices.Equal(lines, want) {
			t.Errorf("%+v: got %q, want %q", opt, lines, want)
		}
	}
}

// Guards: where neither change time nor inode number are looked at, a symbolic link that was made anew is compared by its
// target, by a live comparison and by a run.
func TestLiveIgnoredChangeTimeAndTarget(t *testing.T) {
	s := newSeries(t)
	testtree.Build(t, s.Root, "symlink link old mtime=1.5")
	s.Mtime("", 1, 5)
	s.opt.IgnoreCtime, s.opt.IgnoreInode = true, true
	s.snap()
	s.Check(os.Remove(s.Path("link")))
	testtree.Build(t, s.Root, "symlink link new mtime=1.5")
	s.Mtime("", 1, 5)
	live, _ := s.liveChanges("", LiveOptions{IgnoreCtime: true, IgnoreInode: true})
	s.snap()
	want := []string{`changed "link"`}
	if diff := cmp.Diff(want, live); diff != "" {
		t.Errorf("-want +live:\n%s", diff)
	}
	if diff := cmp.Diff(want, s.between("")); diff != "" {
		t.Errorf("-want +snapshots:\n%s", diff)
	}
}

// What cannot be read is listed; the rest goes on.
func TestLiveUnreadable(t *testing.T) {
	if os.Geteuid() == 0 { // who can read everything
		testarchive.AsUser(t)
		return
	}
	s := newSeries(t)
	s.File("closed/x", "x")
	s.File("secret", "x")
	s.File("open", "x")
	s.snap()
	s.Mode("closed", 0)
	s.Mode("secret", 0)
	defer s.Mode("closed", 0o700)
	s.File("open", "yy")
	lines, report := s.liveChanges("", LiveOptions{})
	if want := []string{`changed "open" mtime`}; !slices.Equal(lines, want) || report.FailedCount != 2 {
		t.Errorf("got %q and %+v, want %q and 2 failed", lines, report, want)
	}
}

func TestLiveErrors(t *testing.T) {
	s := newSeries(t)
	s.File("docs/a", "x")
	s.snap()
	refs := s.refs()
	c, err := index.Open(refs[0].CatalogPath)
	s.Check(err)
	defer testarchive.CloseAll(t, c)
	ignore := func(Change) error { return nil }
	var missing *lookup.NotFoundError
	for _, path := range []string{"docs/b", "none/b"} {
		_, err = CompareLive(context.Background(), c, s.Root, path, LiveOptions{}, ignore)
		if !errors.As(err, &missing) {
			t.Errorf("%s: error %v", path, err)
		}
	}
	_, err = CompareLive(context.Background(), c, s.Path("nowhere"), "", LiveOptions{}, ignore)
	if !errors.Is(err, unix.ENOENT) {
		t.Errorf("error %v for a source that is not there", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = CompareLive(ctx, c, s.Root, "", LiveOptions{}, ignore); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after it was cancelled", err)
	}
	s.File("docs/a", "changed")
	stop := errors.New("enough")
	_, err = CompareLive(context.Background(), c, s.Root, "", LiveOptions{}, func(Change) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want that of the visit", err)
	}
}

// A folder that becomes a symbolic link leads nowhere.
func TestLiveFollowsNothing(t *testing.T) {
	s := newSeries(t)
	s.File("dir/x", "x")
	testtree.Settle()
	s.snap()
	outside := t.TempDir()
	s.Check(os.WriteFile(filepath.Join(outside, "y"), []byte("y"), 0o600))
	s.Check(os.RemoveAll(s.Path("dir")))
	s.Check(os.Symlink(outside, s.Path("dir")))
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
