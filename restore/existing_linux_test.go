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

	"snapcopy/internal/exclude"
	"snapcopy/internal/leftover"
	"snapcopy/internal/outcome"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
	"snapcopy/internal/tree"
)

func needRoot(t *testing.T) {
	t.Helper()
	testtree.NeedRoot(t)
}

// mirror makes the target exactly what the snapshot holds.
var mirror = Options{Overwrite: OverwriteChanged, Delete: true}

// wantMirror restores with opt and compares the target with the source.
func (a archived) wantMirror(source, to string, opt Options) *Report {
	a.t.Helper()
	rep := a.restore(nil, to, opt)
	wantFailed(a.t, rep)
	testtree.Equal(a.t, "restored", testtree.Take(a.t, source), testtree.Take(a.t, to), 0)
	noTemporaryNames(a.t, to)
	return rep
}

func noTemporaryNames(t *testing.T, root string) {
	t.Helper()
	tree := testtree.Take(t, root)
	for path := range tree {
		if _, ok := leftover.ParseTemporary(filepath.Base(path), tree[filepath.Dir(path)].Ino); ok {
			t.Errorf("%s was left", path)
		}
	}
}

// states gives what changes with every change of an inode or a folder.
func states(t *testing.T, root string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for path := range testtree.Take(t, root) {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(root, path), &st); err != nil {
			t.Fatal(err)
		}
		all[path] = fmt.Sprint(st.Ino, st.Mode, st.Nlink, st.Uid, st.Gid, st.Size, st.Mtim, st.Ctim)
	}
	return all
}

func excluding(t *testing.T, patterns ...string) *exclude.Matcher {
	t.Helper()
	m := exclude.New()
	for _, p := range patterns {
		if err := m.Add(p, "test", 0); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// kindScripts makes the entry x of every kind in two forms; "" stands for none.
var kindScripts = []struct{ name, script, other string }{
	{"nothing", "", ""},
	{"file", "file x 0644 content mtime=1000", "file x 0644 CONTENT mtime=1000"},
	{"empty folder", "dir x 0755 mtime=1000", "dir x 0700 mtime=2000"},
	{"folder", "dir x 0755\nfile x/f 0644 inner\nset x mtime=1000", "dir x 0711\nfile x/g 0644 other\nset x mtime=2000"},
	{"symlink", "symlink x target mtime=1000", "symlink x other mtime=1000"},
	{"fifo", "fifo x 0640 mtime=1000", "fifo x 0600 mtime=2000"},
	{"socket", "socket x 0640 mtime=1000", "socket x 0640 mtime=2000"},
	{"char", "char x 0640 1:3 mtime=1000", "char x 0640 1:5 mtime=1000"},
	{"block", "block x 0640 7:3 mtime=1000", "block x 0640 7:4 mtime=1000"},
}

// Guards: for each kind of entry in the snapshot and each in the target, never changes nothing that is there and says
// so, changed and always give what the snapshot has, and only a folder with contents needs leave to be deleted.
func TestEveryKindOverEveryKind(t *testing.T) {
	needRoot(t)
	for _, want := range kindScripts {
		source := testarchive.BuiltTree(t, "dir d 0755\n"+strings.ReplaceAll(want.script, " x", " d/x")+"\nset d mtime=5")
		a := take(t, source)
		for _, has := range kindScripts {
			t.Run(want.name+" over "+has.name, func(t *testing.T) {
				a := archived{a.OpenSnapshot, t}
				target := func() string {
					return testarchive.BuiltTree(t, "dir d 0755\n"+strings.ReplaceAll(has.other, " x", " d/x")+"\nset d mtime=6")
				}
				to := target()
				before := states(t, to)
				rep := a.restore(nil, to, Options{})
				taken := has.name != "nothing" && want.name != "nothing"
				bothDirs := strings.HasSuffix(has.name, "folder") && strings.HasSuffix(want.name, "folder")
				if taken && !bothDirs && (rep.FailedCount == 0 || !errors.Is(rep.Failed[0].Err, ErrExists)) {
					t.Errorf("never: %+v", rep.Failed)
				}
				if has.name != "nothing" && !bothDirs {
					after := states(t, to)
					delete(before, ".")
					delete(after, ".")
					if diff := cmp.Diff(before, after); diff != "" {
						t.Errorf("never changed what exists: %s", diff)
					}
				}
				to = target()
				rep = a.restore(nil, to, Options{Overwrite: OverwriteChanged})
				blocked := has.name == "folder" && taken && !bothDirs
				if (rep.FailedCount > 0) != blocked {
					t.Errorf("changed: %+v", rep.Failed)
				}
				if blocked && !errors.Is(rep.Failed[0].Err, ErrExists) {
					t.Error(rep.Failed[0].Err)
				}
				to = target()
				rep = a.restore(nil, to, Options{Overwrite: OverwriteChanged, BackupSuffix: ".old"})
				wantFailed(t, rep)
				if kept := taken && !bothDirs; kept != (rep.KeptAside == 1) {
					t.Errorf("kept aside %d", rep.KeptAside)
				} else if kept {
					old := testtree.Take(t, filepath.Join(to, "d"))["x.old"]
					if was := testtree.Take(t, filepath.Join(target(), "d"))["x"]; old.Type != was.Type ||
						old.Content != was.Content || old.Mtime != was.Mtime || old.Mode != was.Mode {
						t.Errorf("kept %+v, was %+v", old, was)
					}
				}
				for _, how := range []Overwrite{OverwriteChanged, OverwriteAlways} {
					a.wantMirror(source, target(), Options{Overwrite: how, Delete: true})
				}
			})
		}
	}
}

// Guards: if only metadata differs, it is set on the inode that is there, and no content is written.
func TestMetadataAloneIsSetInPlace(t *testing.T) {
	needRoot(t)
	const file = "file f 0640 content owner=12:34 mtime=1000.5 xattr.user.a=1 xattr.user.b=2 acl=u:77:r\n" +
		"dir d 0750 owner=12:34 mtime=1000.5 xattr.user.a=1 default=u:77:rx\n" +
		"set . mtime=5"
	source := testarchive.BuiltTree(t, file)
	a := take(t, source)
	for _, change := range []string{"set f mode=0600", "set f owner=12:0", "set f owner=0:34", "set f mtime=1000.6",
		"set f xattr.user.a=3", "set f xattr.user.c=3", "unset f user.b", "noacl f", "set f acl=u:78:rw",
		"set f xattr.trusted.x=1", "set d mode=0700", "set d owner=1:2", "set d mtime=5", "set d xattr.user.a=9",
		"set d xattr.user.z=9", "unset d user.a", "noacl d", "set d default=u:78:r", "set d acl=u:78:r",
		"set f owner=0:0 mode=0444 mtime=1 xattr.user.n=9 acl=g:3:r"} {
		t.Run(change, func(t *testing.T) {
			a := archived{a.OpenSnapshot, t}
			to := testarchive.BuiltTree(t, file+"\n"+change)
			before := testtree.Take(t, to)
			rep := a.wantMirror(source, to, mirror)
			after := testtree.Take(t, to)
			for _, name := range []string{"f", "d"} {
				if before[name].Ino != after[name].Ino {
					t.Errorf("%s is another inode", name)
				}
			}
			if rep.BytesWritten+rep.BytesCloned != 0 || rep.Metadata != 1 || rep.Unchanged+rep.Metadata > 2 {
				t.Errorf("report %+v", rep)
			}
			if rep := a.wantMirror(source, to, mirror); rep.Metadata != 0 || rep.Files != 0 {
				t.Errorf("the second time: %+v", rep)
			}
		})
	}
}

// Guards: metadata that is only on the target's top folder goes.
func TestTopFolderIsMirrored(t *testing.T) {
	source := testarchive.BuiltTree(t, "file f 0644 x\nset . mode=0750 mtime=99 xattr.user.a=1")
	a := take(t, source)
	a.wantMirror(source, testarchive.BuiltTree(t, "file g 0644 x\nset . mode=0711 xattr.user.b=1 default=u:77:rwx acl=u:77:r"), mirror)
}

// Guards: equal size and time do not hide other content; where inode and change time are as recorded, nothing is read.
func TestContentIsComparedUnlessTheInodeIsAsRecorded(t *testing.T) {
	source := testarchive.BuiltTree(t, "file f 0644 content mtime=1000\nfile g 0644 content mtime=1000\nset . mtime=7")
	testtree.Settle()
	a := take(t, source)
	to := testarchive.BuiltTree(t, "file f 0644 tnetnoc mtime=1000\nfile g 0644 content mtime=1000")
	if rep := a.wantMirror(source, to, mirror); rep.Replaced != 1 || rep.Unchanged != 1 {
		t.Errorf("report %+v", rep)
	}
	wantFailed(t, a.restore(nil, testarchive.BuiltTree(t, "file f 0644 tnetnoc mtime=1000"), Options{}), "f")

	// In place: reading would move the access time on a file system that keeps it, so ask for what was opened.
	atime := func() string {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(source, "f"), &st); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(st.Atim)
	}
	before := atime()
	rep := a.restore(nil, source, mirror)
	if rep.Unchanged != 2 || rep.Files != 0 || rep.Metadata != 0 || before != atime() {
		t.Errorf("report %+v, access time %s, was %s", rep, atime(), before)
	}
	reads := countOpens(t, filepath.Join(source, "f"), func() { a.restore(nil, source, mirror) })
	if reads != 0 {
		t.Errorf("an unchanged file was opened %d times", reads)
	}
	reads = countOpens(t, filepath.Join(to, "f"), func() { a.restore(nil, to, mirror) })
	if reads == 0 {
		t.Error("a file on another inode was not read")
	}
}

// countOpens tells how often a file is opened meanwhile.
func countOpens(t *testing.T, path string, do func()) (n int) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	do()
	buf := make([]byte, 4096)
	got, err := unix.Read(fd, buf)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	return max(got, 0) / unix.SizeofInotifyEvent
}

// Guards: what the snapshot has as a file of its own does not stay linked to something else, and nothing is written
// through that link.
func TestForeignHardLinkIsReplaced(t *testing.T) {
	needRoot(t)
	source := testarchive.BuiltTree(t, "file f 0600 content owner=1:1 mtime=1000 xattr.user.a=1\nfile g 0600 other mtime=1000\nlink h g")
	a := take(t, source)
	for _, same := range []string{"content owner=1:1 mtime=1000 xattr.user.a=1", "content mtime=5", "else"} {
		folder := testarchive.BuiltTree(t, "dir to 0755\nfile out 0644 "+same+"\nlink to/f out\nfile out2 0644 other\nlink to/g out2\n"+
			"link to/h out2")
		before := testtree.Take(t, folder)
		a.wantMirror(source, filepath.Join(folder, "to"), mirror)
		after := testtree.Take(t, folder)
		for _, name := range []string{"out", "out2"} {
			b, c := before[name], after[name]
			b.Group, c.Group = "", ""
			if diff := cmp.Diff(b, c); diff != "" {
				t.Errorf("the file outside changed: %s", diff)
			}
		}
	}
}

// Guards: link groups come out right, whatever is joined or apart in the target.
func TestLinkGroupsOverEveryState(t *testing.T) {
	needRoot(t)
	const meta = " mtime=1000"
	source := testarchive.BuiltTree(t, "dir p 0755\ndir q 0755\nfile a 0644 one"+meta+"\nlink p/b a\nlink q/c a\n"+
		"file x 0644 one"+meta+"\nlink p/y x\nfile s 0644 one"+meta+"\nset p mtime=1\nset q mtime=1\nset . mtime=1")
	a := take(t, source)
	const apart = "file a 0644 one" + meta + "\nfile p/b 0644 one" + meta + "\nfile q/c 0644 one" + meta + "\n"
	const second = "file x 0644 one" + meta + "\nlink p/y x\nfile s 0644 one" + meta + "\n"
	const folders = "dir p 0755\ndir q 0755\n"
	for name, script := range map[string]string{
		"as it is":           folders + "file a 0644 one" + meta + "\nlink p/b a\nlink q/c a\n" + second,
		"apart":              folders + apart + second,
		"apart, old times":   folders + apart + second + "set a mtime=5\nset p/b mtime=5\nset q/c mtime=6",
		"first has old time": folders + apart + second + "set a mtime=5",
		"last has old time":  folders + apart + second + "set q/c mtime=5",
		"joined, old time":   folders + "file a 0644 one\nlink p/b a\nlink q/c a\n" + second,
		"groups merged":      folders + "file a 0644 one" + meta + "\nlink p/b a\nlink q/c a\nlink x a\nlink p/y a\nlink s a",
		"crossed": folders + "file a 0644 one" + meta + "\nlink p/y a\nfile x 0644 one" + meta +
			"\nlink p/b x\nlink q/c x\nlink s x",
		"with a foreign name":  folders + "file a 0644 one" + meta + "\nlink p/b a\nlink q/c a\nlink foreign a\n" + second,
		"one is missing":       folders + "file a 0644 one" + meta + "\nlink q/c a\n" + second,
		"first is missing":     folders + "file p/b 0644 one" + meta + "\nlink q/c p/b\n" + second,
		"only the last":        folders + "file q/c 0644 one" + meta + "\n" + second,
		"other content":        folders + "file a 0644 two" + meta + "\nlink p/b a\nlink q/c a\n" + second,
		"one of other content": folders + "file a 0644 two" + meta + "\nfile p/b 0644 one" + meta + "\nlink q/c p/b\n" + second,
		"symlinks":             folders + "symlink a x\nsymlink p/b ../x\nlink q/c p/b\n" + second,
		"a folder":             folders + "dir a 0755\nfile a/in 0644\n" + second,
		"swapped kinds":        "file p 0644\nfile q 0644 x\nlink r q\n",
	} {
		t.Run(name, func(t *testing.T) {
			a := archived{a.OpenSnapshot, t}
			for _, threads := range []int{1, 4} {
				for _, how := range []Overwrite{OverwriteChanged, OverwriteAlways} {
					to := testarchive.BuiltTree(t, script)
					a.wantMirror(source, to, Options{Overwrite: how, Delete: true, Threads: threads})
					if rep := a.wantMirror(source, to, mirror); rep.Files+rep.Metadata != 0 {
						t.Errorf("the second time: %+v", rep)
					}
				}
			}
		})
	}
}

// Guards: a dry run changes nothing, and tells what the run does.
func TestDryRunTellsWhatIsDone(t *testing.T) {
	needRoot(t)
	source := testarchive.BuiltTree(t, torturedTarget+"file new 0644 n\ndir newdir 0755\nfile newdir/f 0644 x\nlink newdir/l newdir/f\n"+
		"file f2d 0644 x\nfile d2 0644 x\nset changed mtime=7")
	a := take(t, source)
	for _, opt := range []Options{{}, {Overwrite: OverwriteChanged}, mirror, {Overwrite: OverwriteAlways, Delete: true},
		{Overwrite: OverwriteChanged, Delete: true, BackupSuffix: ".bak"},
		{Overwrite: OverwriteChanged, Delete: true, Exclude: excluding(t, "keep", "d/f")}} {
		for _, to := range []string{testarchive.BuiltTree(t, torturedTarget+"dir f2d 0755\nfile f2d/x 0644\ndir d2 0755\n"+
			"write changed CHANGE\ndir extra 0755\nfile extra/x 0644\n"+
			"dir extra/in 0500\nfile extra/in/keep 0644\ndir gone 0755\nfile gone/x 0644\nfile another 0600\nsymlink z nowhere"),
			filepath.Join(testarchive.TempDir(t), "missing")} {
			items := func(opt Options) (list []string, rep *Report) {
				opt.Item = func(i outcome.Item) { list = append(list, fmt.Sprint(i.Path, " ", i.Action, " ", i.Err)) }
				rep, err := Run(context.Background(), a.OpenSnapshot, nil, to, opt)
				if err != nil {
					t.Fatal(err)
				}
				slices.Sort(list)
				return list, rep
			}
			_, err := os.Lstat(to)
			var before map[string]string
			if err == nil {
				before = states(t, to)
			}
			dry := opt
			dry.DryRun = true
			would, wouldRep := items(dry)
			if err == nil {
				if diff := cmp.Diff(before, states(t, to)); diff != "" {
					t.Errorf("a dry run changed the target: %s", diff)
				}
			} else if _, err := os.Lstat(to); err == nil {
				t.Error("a dry run made the target")
			}
			did, didRep := items(opt)
			if diff := cmp.Diff(did, would); diff != "" {
				t.Errorf("%+v: a dry run tells something else (-did +would): %s", opt, diff)
			}
			didRep.BytesWritten, didRep.BytesCloned, didRep.DryRun = didRep.BytesWritten+didRep.BytesCloned, 0, true
			didRep.Failed, wouldRep.Failed = nil, nil
			if diff := cmp.Diff(didRep, wouldRep); diff != "" {
				t.Errorf("%+v: a dry run counts something else (-did +would): %s", opt, diff)
			}
		}
	}
}

// torturedTarget has some of every kind.
const torturedTarget = `
	dir d 0755
	file d/f 0640 content owner=1:2 mtime=5 xattr.user.a=1
	link d/g d/f
	file changed 0644 content mtime=7
	symlink l d
	fifo p 0600
	char c 0600 1:3
	dir e 0700
`

func TestResultOfAnImmutableTarget(t *testing.T) {
	needRoot(t)
	source := testarchive.BuiltTree(t, "file f 0644 new\nfile g 0644 same mtime=5\ndir d 0755\nfile d/f 0644 x\nset . mtime=5")
	a := take(t, source)
	to := testarchive.BuiltTree(t, "file f 0644 old\nfile g 0600 same mtime=5\nfile extra 0644 x\ndir d 0755\nset . mtime=5")
	b := testarchive.Builder{T: t, Root: to}
	locked := []string{"f", "g", "extra", "d"}
	if !chattr(t, "+i", to, locked) {
		t.Skip("no immutable files on this file system")
	}
	t.Cleanup(func() { chattr(t, "-i", to, locked) })
	rep := a.restore(nil, to, mirror)
	wantFailed(t, rep, "f", "extra", "d/f")
	if rep.CatalogOnly.Modes != 1 { // of g
		t.Errorf("not held: %+v", rep.CatalogOnly)
	}
	for _, f := range rep.Failed {
		if !strings.Contains(f.Err.Error(), "immutable") {
			t.Errorf("%s: %v", f.Path, f.Err)
		}
	}
	if text, err := os.ReadFile(b.Path("f")); err != nil || string(text) != "old" {
		t.Errorf("f holds %q, %v", text, err)
	}
	noTemporaryNames(t, to)
}

func chattr(t *testing.T, change, dir string, names []string) bool {
	t.Helper()
	program := testtree.Need(t, "chattr")
	for _, name := range names {
		if out, err := exec.Command(program, change, filepath.Join(dir, name)).CombinedOutput(); err != nil {
			t.Logf("chattr %s: %v: %s", change, err, out)
			return false
		}
	}
	return true
}

// Guards: somebody else's file with the right content does not become a file of another owner, or one that runs with
// more privileges: he may have it open.
func TestForeignInodeGetsNoPrivileges(t *testing.T) {
	needRoot(t)
	source := testarchive.BuiltTree(t, "file suid 04755 x mtime=5\nfile owned 0644 x mtime=5\nfile own-suid 04755 x owner=7:7 mtime=5\n"+
		"file capable 0755 x owner=7:7 mtime=5\nfile same 0600 x owner=7:7 mtime=5")
	testarchive.Builder{T: t, Root: source}.Xattr("capable", tree.Capability, testarchive.NetBind)
	a := take(t, source)
	to := testarchive.BuiltTree(t, "file suid 0755 x owner=7:7 mtime=5\nfile owned 0644 x owner=7:7 mtime=5\n"+
		"file own-suid 0755 x owner=7:7 mtime=5\nfile capable 0755 x owner=7:7 mtime=5\nfile same 0644 x owner=7:7 mtime=5")
	before := testtree.Take(t, to)
	a.wantMirror(source, to, mirror)
	for path, it := range testtree.Take(t, to) {
		if kept := it.Ino == before[path].Ino; kept != (path == "same" || path == ".") {
			t.Errorf("%s: the inode was kept: %v", path, kept)
		}
	}
}

// Guards: what was compared is what gets the metadata.
func TestReplacedWhileItIsUpdated(t *testing.T) {
	source := testarchive.BuiltTree(t, "file f 0600 content mtime=5")
	a := take(t, source)
	for _, how := range []string{"mv f away\nfile f 0644 CONTENT mtime=6", "write f CONTENT", "link g f"} {
		to := testarchive.BuiltTree(t, "file f 0644 content mtime=6")
		rep := a.restore(nil, to, Options{Overwrite: OverwriteChanged, Fault: once("update", 1, func() error {
			testtree.Build(t, to, how)
			return nil
		})})
		wantFailed(t, rep, "f")
		if mode := testtree.Take(t, to)["f"].Mode; mode != 0o644 {
			t.Errorf("%s: mode %o", how, mode)
		}
	}
}
