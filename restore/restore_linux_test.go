package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/dirhandles"
	"snapcopy/internal/inside"
	"snapcopy/internal/outcome"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
	"snapcopy/internal/tree"
)

func TestWholeSnapshotIsExact(t *testing.T) {
	_, want, a := torture(t)
	for _, threads := range []int{1, 4} {
		to := filepath.Join(testarchive.TempDir(t), "missing", "target")
		rep := a.restore(nil, to, Options{Threads: threads})
		wantFailed(t, rep)
		testarchive.SameTree(t, want, testarchive.Describe(t, to))
		if n := int(rep.Files + rep.Dirs + 1); n != len(want) {
			t.Errorf("report counts %d entries, the tree has %d", n, len(want))
		}
		if rep.CatalogOnly != (outcome.CatalogOnlyCounts{}) {
			t.Errorf("not held: %+v", rep.CatalogOnly)
		}
	}
}

// The catalog, not the mirror, says what an entry is: whatever became of the mirror's metadata.
func TestMetadataComesFromCatalog(t *testing.T) {
	source, want, _ := torture(t)
	a := take(t, source)
	mirror := testarchive.Builder{T: t, Root: a.Dir}
	mirror.Mode("", 0o700)
	mirror.Mode("plain", 0o600)
	mirror.Mtime("plain", 5, 5)
	mirror.Check(unix.Removexattr(mirror.Path("plain"), "user.note"))
	for _, name := range []string{"fifo", "symlink", "socket"} {
		mirror.Check(os.Remove(mirror.Path(name)))
	}
	to := filepath.Join(testarchive.TempDir(t), "to")
	wantFailed(t, a.restore(nil, to, Options{}))
	testarchive.SameTree(t, want, testarchive.Describe(t, to))
}

func TestPathsAreRestoredByTheirNames(t *testing.T) {
	source, _, a := torture(t)
	to := testarchive.TempDir(t)
	testarchive.Builder{T: t, Root: to}.Mode("", 0o705)
	rep := a.restore([]string{"/b/", "a/group", "./names//new\nline"}, to, Options{})
	wantFailed(t, rep)
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o705 {
		t.Errorf("the target itself became %v, %v", info.Mode(), err)
	}

	list, err := os.ReadDir(to)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	if want := []string{"b", "group", "new\nline"}; !slices.Equal(names, want) {
		t.Fatalf("target holds %q, want %q", names, want)
	}
	// The link group reaches across the paths, and no further than what was asked for.
	group, err1 := os.Stat(filepath.Join(to, "group"))
	other, err2 := os.Stat(filepath.Join(to, "b/c/group"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(group, other) {
		t.Error("names of one link group became two files")
	}
	testarchive.SameTree(t, without(testarchive.Describe(t, filepath.Join(source, "b")), " link="),
		without(testarchive.Describe(t, filepath.Join(to, "b")), " link="))
	if rep.Linked != 1 {
		t.Errorf("linked %d, want 1", rep.Linked)
	}
}

// without cuts each line off where a field begins, up to the next one.
func without(lines []string, field string) []string {
	for i, line := range lines {
		if before, after, ok := strings.Cut(line, field); ok {
			_, rest, _ := strings.Cut(after, `"`)
			_, rest, _ = strings.Cut(rest, `"`)
			lines[i] = before + rest
		}
	}
	return lines
}

// A path inside another one is restored twice; all names of a link group become one file all the same.
func TestOverlappingPathsKeepLinkGroups(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("a/s/name", "x")
	b.Link("a/s/name", "a/other")
	a := take(t, b.Root)
	to := testarchive.Builder{T: t, Root: testarchive.TempDir(t)}
	wantFailed(t, a.restore([]string{"a/s", "a"}, to.Root, Options{Threads: 1}))
	for _, name := range []string{"a/other", "a/s/name"} {
		x, err1 := os.Stat(to.Path("s/name"))
		y, err2 := os.Stat(to.Path(name))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if !os.SameFile(x, y) {
			t.Errorf("s/name and %s are two files", name)
		}
	}
}

func TestTargetInsideArchiveIsRefused(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("file", "x")
	a := take(t, b.Root)
	before := testarchive.Describe(t, filepath.Dir(a.Dir))
	link := filepath.Join(testarchive.TempDir(t), "link")
	b.Check(os.Symlink(a.Dir, link))
	for _, to := range []string{a.Dir, filepath.Join(a.Dir, "new", "x"), filepath.Dir(a.Dir), filepath.Join(link, "sub")} {
		if _, err := Run(context.Background(), a.OpenSnapshot, nil, to, Options{}); !errors.Is(err, inside.ErrTarget) {
			t.Errorf("%s: %v", to, err)
		}
	}
	testarchive.SameTree(t, before, testarchive.Describe(t, filepath.Dir(a.Dir)))
}

func TestDamagedStoredFiles(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	for _, name := range []string{"flipped", "shorter", "longer", "gone", "symlink", "folder", "good"} {
		b.File("dir/"+name, "content of "+name)
	}
	b.File("lost/file", "x")
	b.File("lost/below/file", "x")
	b.Dir("lost/empty")
	b.Check(os.Symlink("x", b.Path("lost/symlink")))
	b.File("secret", "must not be read through a link")
	a := take(t, b.Root)

	m := testarchive.Builder{T: t, Root: a.Dir}
	m.Check(os.WriteFile(m.Path("dir/flipped"), []byte("kontent of flipped"), 0o644))
	m.Check(os.Truncate(m.Path("dir/shorter"), 5))
	m.Check(os.WriteFile(m.Path("dir/longer"), []byte("content of longer and more"), 0o644))
	m.Check(os.Remove(m.Path("dir/gone")))
	m.Check(os.Remove(m.Path("dir/symlink")))
	m.Check(os.Symlink("../secret", m.Path("dir/symlink")))
	m.Check(os.Remove(m.Path("dir/folder")))
	m.Dir("dir/folder")
	m.Check(os.RemoveAll(m.Path("lost")))

	to := filepath.Join(testarchive.TempDir(t), "to")
	rep := a.restore(nil, to, Options{})
	want := []string{"dir/flipped", "dir/shorter", "dir/longer", "dir/gone", "dir/symlink", "dir/folder",
		"lost/file", "lost/below/file"}
	wantFailed(t, rep, slices.Clone(want)...)
	if rep.FailedCount != 8 || rep.Damaged != 8 {
		t.Errorf("failed %d, damaged %d, want 8 and 8", rep.FailedCount, rep.Damaged)
	}
	for _, f := range rep.Failed {
		if !errors.Is(f.Err, tree.ErrDamaged) {
			t.Errorf("%s: %v does not wrap ErrDamaged", f.Path, f.Err)
		}
		if f.Path == "dir/shorter" && f.Err.Error() != "stored file is damaged: it has 5 bytes instead of 18" {
			t.Errorf("%s: %v", f.Path, f.Err)
		}
	}
	for _, name := range want {
		b.Check(os.Remove(b.Path(name)))
	}
	restoreTimes(t, a, b.Root)
	testarchive.SameTree(t, testarchive.Describe(t, b.Root), testarchive.Describe(t, to))
}

// restoreTimes gives the directories of a tree the times that the catalog has of them.
func restoreTimes(t *testing.T, a archived, root string) {
	t.Helper()
	b := testarchive.Builder{T: t, Root: root}
	e := a.Catalog.Root()
	b.Mtime("", e.Mtime.Sec, int64(e.Mtime.Nsec))
	b.Check(a.Catalog.Walk(func(dir string, _ *index.Record, e *index.Entry) error {
		if e.Type == index.Dir {
			b.Mtime(index.Join(dir, e.Name), e.Mtime.Sec, int64(e.Mtime.Nsec))
		}
		return nil
	}))
}

// A name of a link group whose own stored file is lost is linked to another name of the group, and the folder it is put
// into late has its time all the same.
func TestLinkGroupSurvivesALostName(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("a/first", "shared")
	b.Link("a/first", "b/second")
	b.Link("a/first", "c/third")
	b.File("x/only", "both lost")
	b.Link("x/only", "y/only")
	for _, dir := range []string{"a", "b", "c"} {
		b.Mtime(dir, 1_000_000_000, 9)
	}
	want := testarchive.Describe(t, b.Root)
	a := take(t, b.Root)
	m := testarchive.Builder{T: t, Root: a.Dir}
	m.Check(os.Remove(m.Path("a/first")))
	m.Check(os.WriteFile(m.Path("x/only"), []byte("both LOST"), 0o644))
	var read int
	opt := Options{Threads: 1, Fault: func(step string) error {
		if step == "write" {
			read++
		}
		return nil
	}}
	to := filepath.Join(testarchive.TempDir(t), "to")
	rep := a.restore(nil, to, opt)
	wantFailed(t, rep, "x/only", "y/only")
	if read != 2 {
		t.Errorf("read %d files, want 2: a stored inode known to be damaged is not read again", read)
	}
	got := testarchive.Describe(t, to)
	inGroup := func(lines []string) []string {
		return slices.DeleteFunc(slices.Clone(lines), func(s string) bool {
			return !strings.HasPrefix(s, `"/a`) && !strings.HasPrefix(s, `"/b`) && !strings.HasPrefix(s, `"/c`)
		})
	}
	testarchive.SameTree(t, inGroup(want), inGroup(got))
}

func TestExistingNamesAreNotTouched(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("file", "new")
	b.File("dir/inner", "new")
	b.File("dir/taken", "new")
	b.File("dir into link/file", "new")
	b.File("dir into file/deep/file", "new")
	b.Check(os.Symlink("new", b.Path("link")))
	b.File("fresh/file", "new")
	a := take(t, b.Root)

	outside := testarchive.Builder{T: t, Root: testarchive.TempDir(t)}
	outside.File("kept", "old")
	target := testarchive.Builder{T: t, Root: testarchive.TempDir(t)}
	target.File("file", "old")
	target.File("dir/taken", "old")
	target.Mode("dir", 0o711)
	target.Mtime("dir/taken", 1, 1)
	target.Check(os.Symlink(outside.Root, target.Path("dir into link")))
	target.File("dir into file", "old")
	target.Check(os.Symlink("old", target.Path("link")))

	rep := a.restore(nil, target.Root, Options{})
	wantFailed(t, rep, "file", "dir", "dir/taken", "dir into link", "dir into file", "link")
	for _, f := range rep.Failed {
		if !errors.Is(f.Err, ErrExists) {
			t.Errorf("%s: %v", f.Path, f.Err)
		}
	}
	if rep.FailedCount != 4+2+3 || rep.Damaged != 0 || rep.Existing != 1 {
		t.Errorf("failed %d, damaged %d, existing %d", rep.FailedCount, rep.Damaged, rep.Existing)
	}
	for name, want := range map[string]string{"file": "old", "dir/taken": "old", "dir/inner": "new",
		"dir into file": "old", "fresh/file": "new"} {
		if got, err := os.ReadFile(target.Path(name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
		}
	}
	info, err := os.Stat(target.Path("dir"))
	if err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("existing folder became %v, %v", info.Mode(), err)
	}
	if list, err := os.ReadDir(outside.Root); err != nil || len(list) != 1 {
		t.Errorf("something was written through a symbolic link: %v, %v", list, err)
	}
}

// A fault in any single step fails what it concerns and nothing else; a full disk ends the run.
func TestEveryStepCanFail(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("a/file", "x")
	b.Link("a/file", "b/link")
	b.Check(os.Symlink("x", b.Path("symlink")))
	b.Dir("empty")
	a := take(t, b.Root)
	want := testarchive.Describe(t, b.Root)
	var steps []string
	record := func(step string) error { steps = append(steps, step); return nil }
	a.restore(nil, filepath.Join(testarchive.TempDir(t), "to"), Options{Threads: 1, Fault: record})
	for _, kind := range []string{"target", "mkdir", "create", "write", "metadata", "link", "sync"} {
		if !slices.Contains(steps, kind) {
			t.Errorf("no step %q", kind)
		}
	}
	for i, step := range steps {
		for _, fault := range []error{unix.EIO, unix.ENOSPC} {
			t.Run(fmt.Sprintf("%d %s %v", i, step, fault), func(t *testing.T) {
				n := -1
				to := filepath.Join(testarchive.TempDir(t), "to")
				rep, err := Run(context.Background(), a.OpenSnapshot, nil, to, Options{Threads: 1, Fault: func(string) error {
					if n++; n == i {
						return fault
					}
					return nil
				}})
				if fault == unix.ENOSPC || strings.HasPrefix(step, "sync") || step == "target" || step == "note" || strings.HasPrefix(step, "time") {
					if !errors.Is(err, fault) {
						t.Fatalf("error %v, want %v", err, fault)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if rep.FailedCount == 0 {
					t.Fatal("nothing failed")
				}
				got := testarchive.Describe(t, to)
				for _, f := range rep.Failed {
					if !errors.Is(f.Err, fault) {
						t.Errorf("%s: %v", f.Path, f.Err)
					}
				}
				failed := int(rep.FailedCount)
				if slices.Contains([]string{"", "a", "b", "empty"}, rep.Failed[0].Path) && (step == "metadata" || step == "mode") {
					failed-- // it is there, with everything in it
					if !rep.Unfinished {
						t.Error("nothing says that a folder is not finished")
					}
					failed-- // so is the note
				}
				if missing := len(want) - len(got); missing != failed {
					t.Errorf("%d entries are missing, %d failed: %+v", missing, rep.FailedCount, rep.Failed)
				}
				if written := strings.Contains(strings.Join(got, ""), "size=1"); written != (rep.BytesWritten == 1) {
					t.Errorf("%d bytes written; the file is there: %v", rep.BytesWritten, written)
				}
				// The same once more makes up for it all, or says that it does not.
				again := a.restore(nil, to, Options{})
				if rep.Unfinished {
					wantFailed(t, again)
				}
				if again.FailedCount == 0 {
					testarchive.SameTree(t, want, testarchive.Describe(t, to))
				}
			})
		}
	}
}

func TestCancelledRunFailsNoFile(t *testing.T) {
	_, _, a := torture(t)
	ctx, cancel := context.WithCancel(context.Background())
	created := 0
	before := testtree.OpenDescriptors(t)
	rep, err := Run(ctx, a.OpenSnapshot, nil, filepath.Join(testarchive.TempDir(t), "to"), Options{Fault: func(step string) error {
		if step == "write" {
			if created++; created == 5 {
				cancel()
			}
		}
		return nil
	}, Threads: 1})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if errors.Is(err, tree.ErrDamaged) || rep.FailedCount != 0 || rep.Files == 0 {
		t.Errorf("%v; failed %d, restored %d", err, rep.FailedCount, rep.Files)
	}
	if after := testtree.OpenDescriptors(t); after != before {
		t.Errorf("%d descriptors open before, %d after", before, after)
	}
}

// What the target hands down to new files, a default ACL and its group, has no place in a restored tree.
func TestTargetBequeathsNothing(t *testing.T) {
	_, want, a := torture(t)
	target := testarchive.Builder{T: t, Root: testarchive.TempDir(t)}
	target.Mode("", 0o2777)
	target.Xattr("", "system.posix_acl_default", testarchive.ACL(7))
	if os.Geteuid() == 0 {
		target.Owner("", 0, 4321)
	}
	top := testarchive.Describe(t, target.Root)[0]
	top = top[:strings.Index(top, "mtime=")]
	rep := a.restore(nil, target.Root, Options{})
	wantFailed(t, rep)
	got := testarchive.Describe(t, target.Root)
	testarchive.SameTree(t, want[1:], got[1:])
	if !strings.HasPrefix(got[0], top) || !slices.Contains(rep.TargetDiffers, "mode") { // it was the user's
		t.Errorf("the target was %s and is %s, differs in %q", top, got[0], rep.TargetDiffers)
	}
	wantFailed(t, a.restore(nil, target.Root, Options{Overwrite: OverwriteChanged}))
	testarchive.SameTree(t, want, testarchive.Describe(t, target.Root))
}

// What a file system cannot hold is counted: here a time that most cannot, from a catalog made by hand.
func TestTimesOutOfRangeAreCounted(t *testing.T) {
	dir := testarchive.TempDir(t)
	far := index.Entry{Type: index.Symlink, Mode: 0o777, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Nlink: 1,
		Mtime: index.Time{Sec: 1 << 40}, Target: "x", Size: 1}
	c := testarchive.Model{}.Put("far", far).Catalog(t, dir, "catalog")
	defer testarchive.CloseAll(t, c)
	a := archived{archive.OpenSnapshot{Catalog: c, Snapshot: archive.Snapshot{Dir: filepath.Join(dir, "archive", "snapshot")}}, t}
	to := testarchive.Builder{T: t, Root: filepath.Join(dir, "to")}
	to.Check(os.MkdirAll(a.Dir, 0o755))
	rep := a.restore([]string{"far"}, to.Root, Options{})
	info, err := os.Lstat(to.Path("far"))
	if err != nil {
		t.Fatal(err)
	}
	if held := info.ModTime().Unix() == 1<<40; held != (rep.CatalogOnly.Times == 0) || rep.Files != 1 {
		t.Errorf("time held: %v, report %+v", held, rep)
	}
}

func TestDeepTree(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.Deep("deep", 3000)
	a := take(t, b.Root)
	to := filepath.Join(testarchive.TempDir(t), "to")
	items, most := 0, 0
	rep := a.restore(nil, to, Options{Threads: 2, Item: func(outcome.Item) {
		if items++; items%50 == 0 { // on the way down there are files, on the way up directories
			most = max(most, testtree.OpenDescriptors(t))
		}
	}})
	wantFailed(t, rep)
	if limit := 2*(dirhandles.MaxIdle+2*2) + 40; most > limit {
		t.Errorf("%d descriptors open at a time, limit %d", most, limit)
	}
	testarchive.SameTree(t, testarchive.Describe(t, b.Root), testarchive.Describe(t, to))
}

func TestItemsAndProgressAddUp(t *testing.T) {
	_, _, a := torture(t)
	counts := make(map[outcome.Action]uint64)
	progress := new(outcome.RestoreProgress)
	rep := a.restore(nil, filepath.Join(testarchive.TempDir(t), "to"), Options{Progress: progress, Item: func(i outcome.Item) {
		counts[i.Action]++
	}})
	if counts[outcome.Restored]+counts[outcome.Linked] != rep.Files+rep.Dirs || counts[outcome.Linked] != rep.Linked || rep.Linked == 0 {
		t.Errorf("items %v, report %+v", counts, rep)
	}
	if p := progress; p.Files.Load() != p.ExpectFiles.Load() || p.Files.Load() != rep.Files {
		t.Errorf("progress %d of %d files, restored %d", p.Files.Load(), p.ExpectFiles.Load(), rep.Files)
	}
}
