package restore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

// inPlace restores paths to their places, with what is there made as in the snapshot.
var inPlace = Options{InPlace: true, Overwrite: OverwriteChanged, Delete: true}

const placesScript = `
	dir a 0750 mtime=1000.1
	dir a/b 0711 mtime=1000.2 xattr.user.n=1
	dir a/b/c 0700 mtime=1000.3
	file a/b/c/f 0640 content mtime=1000.4
	file a/b/c/g 0640 content mtime=1000.4
	link a/b/h a/b/c/f
	file a/other 0644 mtime=3
	dir z 0755 mtime=1000.5
	file z/f 0644 z mtime=5
	set . mode=0751 mtime=1000.6
`

// onlyBelow gives a tree less what is not at or below the paths.
func onlyBelow(tree testtree.Tree, paths ...string) testtree.Tree {
	tree.Remove(func(p string) bool {
		return !slices.ContainsFunc(paths, func(q string) bool { return p == q || strings.HasPrefix(p, q+"/") })
	})
	return tree
}

// Guards: several paths, one in another, one twice, come to their places; nothing else is touched, not even the
// metadata of the folders they are in.
func TestInPlaceTouchesNothingElse(t *testing.T) {
	source := testarchive.BuiltTree(t, placesScript)
	a := take(t, source)
	to := testarchive.BuiltTree(t, strings.ReplaceAll(placesScript, "content", "CHANGED")+`
		file a/extra 0600 stays
		file a/b/extra 0600 goes
		file z/extra 0600 stays
		set a mode=0705 mtime=77
		set a/b mode=0700
		set z mtime=88
		set . mode=0700 mtime=99`)
	before := testtree.Take(t, to)
	rep := a.restore([]string{"a/b/c/f", "a/b", "/z//f", "a/b/", "a/b/c"}, to, inPlace)
	wantFailed(t, rep)
	after := testtree.Take(t, to)
	want := onlyBelow(testtree.Take(t, source), "a/b", "z/f")
	testtree.Equal(t, "restored", want, onlyBelow(testtree.Take(t, to), "a/b", "z/f"), 0)
	for _, path := range []string{".", "a", "a/other", "a/extra", "z", "z/extra"} {
		if diff := cmp.Diff(before[path], after[path]); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

// Guards: folders that are missing on the way are made as they were, also if several paths have them in common, and
// nothing else of them.
func TestInPlaceMakesMissingFolders(t *testing.T) {
	source := testarchive.BuiltTree(t, placesScript)
	a := take(t, source)
	want := onlyBelow(testtree.Take(t, source), "a", "z")
	delete(want, "a/other")
	for range 20 {
		to := testarchive.BuiltTree(t, "")
		rep := a.restore([]string{"a/b/c/f", "a/b/c/g", "a/b/h", "z/f"}, to, Options{InPlace: true, Threads: 8})
		wantFailed(t, rep)
		testtree.Equal(t, "restored", want, onlyBelow(testtree.Take(t, to), "a", "z"), 0)
		if rep.Dirs != 4 {
			t.Errorf("%d folders", rep.Dirs)
		}
	}
	to := filepath.Join(testarchive.TempDir(t), "missing", "too")
	wantFailed(t, a.restore([]string{"a"}, to, inPlace))
	testtree.Equal(t, "restored", onlyBelow(testtree.Take(t, source), "a"), onlyBelow(testtree.Take(t, to), "a"), 0)
}

// Guards: a folder on the way that is something else now is not followed and not replaced; the other paths are
// restored.
func TestInPlaceParentIsNoFolder(t *testing.T) {
	source := testarchive.BuiltTree(t, placesScript)
	a := take(t, source)
	outside := testarchive.BuiltTree(t, "dir b 0755\nfile b/h 0644 outside")
	for _, kind := range []string{"symlink a " + outside, "symlink a nowhere", "file a 0644 x", "fifo a 0600"} {
		for _, opt := range []Options{inPlace, {InPlace: true}, {InPlace: true, DryRun: true}} {
			to := testarchive.BuiltTree(t, kind)
			before, was := states(t, outside), states(t, to)["a"]
			rep, err := Run(context.Background(), a.OpenSnapshot, []string{"a/b", "z/f"}, to, opt)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			wantFailed(t, rep, "a/b")
			if len(rep.Failed) == 1 && (!errors.Is(rep.Failed[0].Err, ErrExists) || rep.FailedCount != 5) {
				t.Errorf("%s: %d: %v", kind, rep.FailedCount, rep.Failed[0].Err)
			}
			if diff := cmp.Diff(before, states(t, outside)); diff != "" {
				t.Errorf("%s: something outside changed: %s", kind, diff)
			}
			if states(t, to)["a"] != was {
				t.Errorf("%s: it changed", kind)
			}
			_, err = os.Lstat(filepath.Join(to, "z/f"))
			if opt.DryRun != errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: the other path: %v", kind, err)
			}
		}
	}
}

// Guards: Exclude leaves out files and whole folders, in the snapshot and, when deleting, in the target.
func TestExclude(t *testing.T) {
	source := testarchive.BuiltTree(t, "dir d 0755\ndir d/cache 0755\nfile d/cache/f 0644 x\nfile d/f.o 0644 x\nfile d/f.c 0644 x")
	a := take(t, source)
	opt := mirror
	opt.Exclude = excluding(t, "cache/", "*.o")
	to := testarchive.BuiltTree(t, `
		dir gone 0755
		file gone/x.o 0644 stays
		dir gone/sub 0755
		dir gone/sub/cache 0755
		file gone/sub/cache/x 0644 stays
		file gone/y 0644 goes
		dir gone/all 0755
		dir d 0755
		file d/own.o 0600 stays
		dir d/cache 0700
		file d/cache/own 0600 stays`)
	rep := a.restore(nil, to, opt)
	wantFailed(t, rep)
	var got []string
	for path := range testtree.Take(t, to) {
		got = append(got, path)
	}
	slices.Sort(got)
	want := []string{".", "d", "d/cache", "d/cache/own", "d/f.c", "d/own.o", "gone", "gone/sub", "gone/sub/cache",
		"gone/sub/cache/x", "gone/x.o"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got) %s", diff)
	}
	if rep.Excluded != 2 {
		t.Errorf("excluded %d", rep.Excluded)
	}
	for _, paths := range [][]string{nil, {"d"}} {
		to = filepath.Join(testarchive.TempDir(t), "new")
		a.restore(paths, to, opt)
		if tree := testtree.Take(t, to); len(tree) != 3 || tree["d/f.c"].Type != "file" {
			t.Errorf("%q: %v", paths, tree)
		}
	}
}

// Guards: an exact mirror keeps what is mounted in it, whether the file system is another or the same, and says so.
func TestDeleteSparesMounts(t *testing.T) {
	needRoot(t)
	source := testarchive.BuiltTree(t, "dir d 0755\nfile d/f 0644 x\ndir e 0755\ndir e/b 0755\nfile n 0644 x\ndir p 0755\n"+
		"file p/q 0644 x\nset . mtime=5")
	a := take(t, source)
	for _, suffix := range []string{"", ".bak"} {
		folder := testarchive.BuiltTree(t, "dir other 0755\nfile other/own 0644 x\ndir other/sub 0755\nfile other/sub/own 0644 x\n"+
			"dir to 0755")
		to := filepath.Join(folder, "to")
		testtree.Build(t, to, "dir d 0755\ndir e 0755\ndir e/b 0755\ndir extra 0755\ndir deep 0755\ndir deep/m 0755\n"+
			"file deep/f 0644\ndir n 0755")
		mounts := []string{"d", "e/b", "extra", "deep/m", "n"}
		if suffix != "" { // deep would be renamed with what is in it
			mounts = []string{"d", "e/b", "extra", "n"}
		}
		for i, m := range mounts {
			if i%2 == 0 {
				testtree.Tmpfs(t, filepath.Join(to, m), "size=1m,mode=0755")
				testtree.Build(t, filepath.Join(to, m), "file own 0644 x\ndir sub 0755\nfile sub/own 0644 x")
			} else {
				testtree.Bind(t, filepath.Join(folder, "other"), filepath.Join(to, m))
			}
		}
		opt := mirror
		opt.BackupSuffix = suffix
		rep := a.restore(nil, to, opt)
		for _, m := range mounts {
			for _, name := range []string{"own", "sub/own"} {
				if _, err := os.Lstat(filepath.Join(to, m, name)); err != nil {
					t.Errorf("%v", err)
				}
			}
		}
		wantFailed(t, rep, "n") // the snapshot has a file there
		want := []string{"d", "deep/m", "e/b", "extra", "n"}
		if suffix != "" {
			want = []string{"d", "e/b", "extra"} // n was not to be deleted
		}
		if !slices.Equal(rep.Spared, want) {
			t.Errorf("spared %q", rep.Spared)
		}
		rep = a.restore([]string{"d", "p"}, to, inPlace)
		wantFailed(t, rep)
		if !slices.Equal(rep.Spared, []string{"d"}) {
			t.Errorf("spared %q", rep.Spared)
		}
		if _, err := os.Lstat(filepath.Join(to, "d", "own")); err != nil {
			t.Error(err)
		}
	}
}

// Guards: the archive itself may be in the target. Nothing deletes it, moves it or writes into it.
func TestArchiveInTheTarget(t *testing.T) {
	source := testarchive.BuiltTree(t, "dir d 0755\nfile d/f 0644 x\ndir box 0755\ndir box/archive 0700\nfile box/archive/f 0600")
	to := testarchive.BuiltTree(t, "dir box 0755\ndir old 0755")
	a := takeIn(t, source, filepath.Join(to, "box/archive"))
	t.Cleanup(func() { testarchive.CloseAll(t, a.Catalog) })
	dir := filepath.Join(to, "box/archive")
	before := states(t, dir)
	check := func(what string) {
		t.Helper()
		if diff := cmp.Diff(before, states(t, dir)); diff != "" {
			t.Errorf("%s changed the archive: %s", what, diff)
		}
	}
	rep := a.restore(nil, to, mirror)
	check("a restore over it")
	wantFailed(t, rep, "box/archive")

	testtree.Build(t, to, "dir old 0755")
	small := takeIn(t, testarchive.BuiltTree(t, "file f 0644 x"), filepath.Join(to, "old/archive"))
	t.Cleanup(func() { testarchive.CloseAll(t, small.Catalog) })
	dir = filepath.Join(to, "old/archive")
	before = states(t, dir)
	opt := mirror
	opt.BackupSuffix = ".bak"
	if rep := small.restore(nil, to, opt); rep.FailedCount == 0 {
		t.Error("the archive was moved aside")
	}
	check("keeping aside")
	rep = small.restore(nil, to, mirror)
	check("deleting")
	if !slices.Contains(rep.Spared, "old/archive") {
		t.Errorf("spared %q", rep.Spared)
	}
}

// Guards: what was replaced or deleted is kept with numbered names that no later run deletes, and nothing else is.
func TestBackupSuffixKeepsEverything(t *testing.T) {
	source := testarchive.BuiltTree(t, "file f 0644 new\nfile g.bak 0644 own\nset . mtime=5")
	a := take(t, source)
	to := testarchive.BuiltTree(t, "file f 0644 old1\nfile f.bak 0644 older\nfile extra 0644 x\ndir sub 0755\nfile sub/in 0644 in\n"+
		"file x.bak.more 0644 goes\nfile .bak 0644 goes")
	opt := mirror
	opt.BackupSuffix = ".bak"
	names := func() (list []string) {
		for path, it := range testtree.Take(t, to) {
			if it.Type == "file" {
				text, err := os.ReadFile(filepath.Join(to, path))
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, path+"="+string(text))
			}
		}
		slices.Sort(list)
		return list
	}
	wantFailed(t, a.restore(nil, to, opt))
	want := []string{".bak.bak=goes", "extra.bak=x", "f.bak.2=old1", "f.bak=older", "f=new", "g.bak=own", "sub.bak/in=in",
		"x.bak.more.bak=goes"}
	if diff := cmp.Diff(want, names()); diff != "" {
		t.Errorf("(-want +got) %s", diff)
	}
	testtree.Build(t, to, "write f again\nfile extra 0644 y")
	wantFailed(t, a.restore(nil, to, opt))
	want = append(want, "extra.bak.2=y", "f.bak.3=again")
	slices.Sort(want)
	if diff := cmp.Diff(want, names()); diff != "" {
		t.Errorf("the second time: (-want +got) %s", diff)
	}
	if rep := a.restore(nil, to, opt); rep.Deleted+rep.KeptAside+rep.Files != 0 {
		t.Errorf("the third time: %+v", rep)
	}
	opt.BackupSuffix = "/x"
	if _, err := Run(context.Background(), a.OpenSnapshot, nil, to, opt); err == nil {
		t.Error("a suffix with a slash was accepted")
	}
}

// Guards: what a folder held that the snapshot could not read stays.
func TestUnreadFolderKeepsItsContents(t *testing.T) {
	folder := index.Entry{Type: index.Dir, Mode: 0o755, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	unread := folder
	unread.Flags = index.Unread
	c := testarchive.Model{"": folder, "d": unread, "e": folder}.Catalog(t, testarchive.TempDir(t), "unread")
	t.Cleanup(func() { testarchive.CloseAll(t, c) })
	a := archived{archive.OpenSnapshot{Catalog: c, Snapshot: archive.Snapshot{Dir: testarchive.BuiltTree(t, "dir d 0755\ndir e 0755")}}, t}
	to := testarchive.BuiltTree(t, "dir d 0755\nfile d/own 0644\ndir d/sub 0755\nfile d/sub/own 0644\ndir e 0755\nfile e/own 0644")
	rep := a.restore(nil, to, mirror)
	wantFailed(t, rep)
	wantUnsaved(t, rep, "d/own: "+unreadFolder, "d/sub: "+unreadFolder)
	exist(t, to, true, "d/own", "d/sub/own")
	exist(t, to, false, "e/own")
	opt := mirror
	opt.DeleteUnsaved = true
	wantUnsaved(t, a.restore(nil, to, opt))
	exist(t, to, false, "d/own", "d/sub")
}

// Guards: a folder that became a symbolic link to outside is replaced, not followed.
func TestFolderBecameSymlink(t *testing.T) {
	source := testarchive.BuiltTree(t, "dir d 0755\nfile d/f 0644 x\ndir d/sub 0755\nset . mtime=4")
	a := take(t, source)
	outside := testarchive.BuiltTree(t, "file f 0600 own\nfile own 0600\ndir sub 0700")
	before := states(t, outside)
	to := testarchive.BuiltTree(t, "symlink d "+outside)
	wantFailed(t, a.restore(nil, to, Options{}), "d")
	a.wantMirror(source, to, mirror)
	to = testarchive.BuiltTree(t, "dir d 0755\nsymlink d/sub "+outside)
	a.wantMirror(source, to, Options{Overwrite: OverwriteAlways, Delete: true})
	if diff := cmp.Diff(before, states(t, outside)); diff != "" {
		t.Errorf("something outside changed: %s", diff)
	}
	if err := unix.Access(outside, unix.R_OK); err != nil {
		t.Error(err)
	}
}

// Guards: a file system without hard links keeps what is replaced, too.
func TestBackupWithoutHardLinks(t *testing.T) {
	disk := testtree.NewDisk(t, "exfat", 16<<20)
	a := take(t, testarchive.BuiltTree(t, "file f 0755 new\ndir d 0755\nfile d/g 0755 new"))
	to := filepath.Join(disk.Path, "to")
	for _, dir := range []string{to, filepath.Join(to, "d")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"f", "d/g"} {
		if err := os.WriteFile(filepath.Join(to, name), []byte("old"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	rep := a.restore(nil, to, Options{Overwrite: OverwriteChanged, BackupSuffix: "~"})
	wantFailed(t, rep)
	for name, want := range map[string]string{"f": "new", "f~": "old", "d/g": "new", "d/g~": "old"} {
		if text, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v", name, text, err)
		}
	}
	noTemporaryNames(t, to)
}

// Guards: a file of the target that the disk cannot read any more is replaced, if what differs may be.
func TestUnreadableInTarget(t *testing.T) {
	disk := testtree.NewDisk(t, "btrfs", 128<<20)
	source := testarchive.BuiltTree(t, "file f 0644 random=100000:1\nfile g 0644 same\nset . mtime=5")
	a := take(t, source)
	to := filepath.Join(disk.Path, "to")
	a.wantMirror(source, to, Options{})
	disk.Spoil(testtree.Random(100000, 1)[:64])
	wantFailed(t, a.restore(nil, to, Options{}), "f")
	rep := a.wantMirror(source, to, Options{Overwrite: OverwriteChanged})
	if rep.Replaced != 1 || rep.Unchanged != 1 {
		t.Errorf("report %+v", rep)
	}
}

// Guards: what a restore that was killed has left beside what it was about to replace is removed by the next one, unless
// it may be that of another one under way, or the snapshot has a file of that name.
func TestLeftoversInAnExistingTree(t *testing.T) {
	const user, known = ".snapcopy-restore-0123456789abcdef-1", ".snapcopy-restore-0123456789abcdef-2"
	source := testarchive.BuiltTree(t, "dir d 0755\nfile d/f 0644 new\nfile d/"+known+" 0600 x mtime=3\ndir d/e 0755\nfile d/e/g 0644 new\n"+
		"link d/e/l d/f\nset d mtime=7\nset d/e mtime=7\nset . mtime=5")
	a := take(t, source)
	for _, opt := range []Options{{Overwrite: OverwriteChanged}, {Overwrite: OverwriteAlways, InPlace: true}} {
		for _, paths := range [][]string{nil, {"d/f", "d/e/l"}} {
			opt.InPlace = paths != nil
			to := testarchive.BuiltTree(t, "dir d 0755\nfile d/f 0644 old\nfile d/"+known+" 0600 x mtime=3\nfile d/"+user+" 0600 half\n"+
				"dir d/e 0755\nfile d/e/l 0644 old\nfile d/e/"+user+" 0600 half\nfile d/e/own 0600")
			left := leaveBehind(t, filepath.Join(to, "d"))
			leftE := leaveBehind(t, filepath.Join(to, "d/e"))
			dir, err := os.Open(to)
			if err != nil {
				t.Fatal(err)
			}
			if ok, err := fsat.LockShared(int(dir.Fd())); !ok || err != nil {
				t.Fatal(ok, err)
			}
			dry := opt
			dry.DryRun = true
			a.restore(paths, to, dry)
			a.restore(paths, to, opt)
			for _, name := range []string{"d/" + left, "d/e/" + leftE} {
				if _, err := os.Lstat(filepath.Join(to, name)); err != nil {
					t.Errorf("%v: of another restore under way: %v", paths, err)
				}
			}
			if err := dir.Close(); err != nil {
				t.Fatal(err)
			}
			testtree.Build(t, to, "write d/f OLD\nwrite d/e/l OLD")
			a.restore(paths, to, opt)
			for name, want := range map[string]bool{"d/" + left: false, "d/e/" + leftE: false, "d/" + known: true,
				"d/" + user: true, "d/e/" + user: true, "d/e/own": true} {
				if _, err := os.Lstat(filepath.Join(to, name)); (err == nil) != want {
					t.Errorf("%v: %s: %v", paths, name, err)
				}
			}
		}
	}
}

// leaveBehind makes in a folder what a restore that was killed leaves there, and gives its name.
func leaveBehind(t *testing.T, folder string) string {
	t.Helper()
	info, err := os.Stat(folder)
	if err != nil {
		t.Fatal(err)
	}
	name := leftover.Temporary(0x0123456789abcdef, info.Sys().(*syscall.Stat_t).Ino)
	if err := os.WriteFile(filepath.Join(folder, name), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
