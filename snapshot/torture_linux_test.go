package snapshot_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// Guards: a snapshot equals its source in everything, the next one of an unchanged source shares every stored file.
func TestEverythingIsKept(t *testing.T) {
	testtree.NeedRoot(t)
	for _, threads := range []int{1, 2, 7} {
		t.Run(fmt.Sprint(threads, " threads"), func(t *testing.T) {
			l := newLab(t)
			l.Opt.Threads = threads
			l.Build(archivetest.Torture(t))
			testtree.Settle()
			first := l.Run()
			if first.Counts.New != first.Counts.Files || first.Counts.Files == 0 {
				t.Errorf("first run: %+v", first.Counts)
			}
			second := l.Run()
			l.AllShared()
			if c := second.Counts; c.Unchanged != c.Files || c.BytesRead != 0 || c.BytesStored != 0 || c.Contents != 0 {
				t.Errorf("nothing changed, but: %+v", c)
			}
			l.Intact()
			l.Verify()
		})
	}
}

// Guards: entries too fresh to be trusted are read again, found equal and linked all the same.
func TestFreshFilesAreLinkedToo(t *testing.T) {
	testtree.NeedRoot(t)
	l := newLab(t)
	l.Build(archivetest.Torture(t))
	l.Run()
	l.Run()
	l.AllShared()
	l.Verify()
}

// edit is a change to the torture tree and what has to come of it.
type edit struct {
	name, script string
	counts       string   // "" : not looked at
	shared       []string // must be on the inode of the snapshot before
	separate     []string // must be on another
}

const rest = "f0 big sparse xa acl cap g1 d/g2 d/empty2 ls1 p sock null x/e1 same3"

var edits = []edit{
	{name: "content", script: `write d/far "other text"`, counts: "1 changed, 42 unchanged", separate: []string{"d/far"}},
	{name: "append to a large file", script: `append big "x"`, counts: "1 changed, 42 unchanged", separate: []string{"big"}},
	{name: "mode only", script: `set edge mode=0600`, counts: "1 changed, 42 unchanged", separate: []string{"edge"}},
	{name: "owner only", script: `set f0 owner=3:4`, counts: "1 changed, 42 unchanged", separate: []string{"f0"}},
	{name: "time only", script: `set big mtime=77.7`, counts: "1 changed, 42 unchanged", separate: []string{"big"}},
	{name: "xattr only", script: `set xa xattr.user.note="bye"`, counts: "1 changed, 42 unchanged", separate: []string{"xa"}},
	{name: "xattr removed", script: `unset xa user.note`, counts: "1 changed, 42 unchanged", separate: []string{"xa"}},
	{name: "ACL only", script: `set acl acl=u:7:r`, counts: "1 changed, 42 unchanged", separate: []string{"acl"}},
	{name: "default ACL of a folder", script: `set dacl default=u:12:r`, counts: "43 unchanged"},
	{name: "folder's metadata", script: `set d/empty mode=0711 xattr.user.d="1" mtime=9.9`, counts: "43 unchanged"},
	{name: "symbolic link", script: "rm s2\nsymlink s2 elsewhere", counts: "1 changed, 42 unchanged", separate: []string{"s2"}},
	{name: "pipe's mode", script: `set p mode=0600`, counts: "1 changed, 42 unchanged", separate: []string{"p"}},
	{name: "touched and set back", script: `set big2 mode=0600
		set big2 mode=0644`, counts: "43 unchanged", shared: []string{"big2"}},
	{name: "moved file", script: "mv big d/big", counts: "1 moved, 42 unchanged"},
	{name: "moved small file", script: "mv d/far far", counts: "1 moved, 42 unchanged"},
	{name: "moved folder", script: "mv d moved", counts: ""},
	{name: "swapped names", script: "mv big t\nmv big2 big\nmv t big2"},
	{name: "copies", script: "cp big big3\ncp d d3\ncp same1 same4", shared: []string{"big", "d/far", "d/g2", "same1"}},
	{name: "removed", script: "rm d\nrm f0\nrm same2", counts: "35 unchanged, 8 deleted"},
	{name: "file becomes folder", script: "rm big\ndir big 0755\nfile big/f 0644 \"f\""},
	{name: "folder becomes file", script: "rm d\nfile d 0644 \"d\""},
	{name: "file becomes link, link becomes pipe, pipe becomes file", script: `rm f0
		symlink f0 x
		rm s2
		fifo s2 0600
		rm p
		file p 0600 "now a file"`},
	{name: "link group split", script: "cp d/g2 t\nrm d/g2\nmv t d/g2", shared: []string{"xa"}},
	{name: "link group shrinks", script: "rm d/g2", shared: []string{"g1", "d/empty2"}},
	{name: "link group grows", script: "link another g1\nlink d/x g1", shared: []string{"g1", "d/g2", "d/empty2"}},
	{name: "link group changed in place", script: `append d/g2 "more"`, separate: []string{"g1", "d/g2", "d/empty2"}},
	{name: "separate files joined", script: "rm same2\nlink same2 same1", counts: ""},
	{name: "two groups exchange a name", script: "file h1 0644 \"h\"\nrm d/g2\nlink d/g2 h1"},
	{name: "linked pipes split", script: "rm lp1\nfifo lp1 0600"},
	{name: "links of links split", script: "rm ls2\nsymlink ls2 target"},
	{name: "hole filled", script: `set sparse at=100000:x`, separate: []string{"sparse"}},
	{name: "top folder", script: `set . mode=0711 xattr.user.top="1" mtime=3.25`},
	{name: "top folder that nobody may enter", script: `set . mode=0000`},
}

// Guards: whatever is edited, the next snapshot equals the source, shares what did not change and nothing else, and the
// snapshots before stay what they were.
func TestEdits(t *testing.T) {
	testtree.NeedRoot(t)
	for i, e := range edits {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.Parallel, l.Opt.Threads = true, 1+i%4
			l.Build(archivetest.Torture(t))
			testtree.Settle()
			l.Run()
			l.Build(e.script)
			rep := l.Run()
			if e.counts != "" {
				l.Counts(rep, e.counts)
			}
			l.Shared(true, e.shared...)
			l.Shared(false, e.separate...)
			for _, p := range strings.Fields(rest) {
				if !strings.Contains(e.script, strings.Split(p, "/")[0]) && !slices.Contains(e.separate, p) {
					l.Shared(true, p)
				}
			}
			l.Intact()
			l.Run()
			l.AllShared()
			l.Intact()
			l.Verify()
		})
	}
}

// Guards: a change that size and modification time do not betray is found by the change time.
func TestForgedTimeIsFound(t *testing.T) {
	l := newLab(t)
	l.Build(`
		file small 0644 "before" mtime=1000.25
		file big 0644 random=2000000:1 mtime=1000.25
		file swapped 0644 "one" mtime=1000.25`)
	testtree.Settle()
	l.Run()
	l.Build(`
		write small "after!"
		set small mtime=1000.25
		set big random=2000000:2 mtime=1000.25
		file t 0644 "two" mtime=1000.25
		mv t swapped`)
	l.Counts(l.Run(), "3 changed")
	l.Shared(false, "small", "big", "swapped")
	l.Intact()
	l.Verify()
}

// Guards: a change made in the same tick of the clock as the scan is found by the next run.
func TestRacyChangeIsFound(t *testing.T) {
	for round := range 20 {
		l := newLab(t)
		l.Build(`file f 0644 "00000"`)
		stop := make(chan struct{})
		l.Opt.Fault = func(step string) error {
			if step == "sync" { // everything was looked at
				var st unix.Stat_t
				if err := unix.Stat(l.Src+"/f", &st); err != nil {
					return err
				}
				if err := os.WriteFile(l.Src+"/f", []byte(fmt.Sprintf("%05d", round+1)), 0o644); err != nil {
					return err
				}
				close(stop)
				return unix.UtimesNano(l.Src+"/f", []unix.Timespec{st.Atim, st.Mtim})
			}
			return nil
		}
		rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
		if err != nil {
			t.Fatal(err)
		}
		<-stop
		l.Note(rep)
		l.Opt.Fault = nil
		l.Run()
		l.Intact()
	}
}

// Guards: equal files that were separate never become names of one inode, however often they are copied about.
func TestCopiesStaySeparate(t *testing.T) {
	l := newLab(t)
	l.Build(`
		dir a 0755
		file a/1 0644 "same" mtime=5.5
		file a/2 0644 "same" mtime=5.5
		file a/big 0644 random=1500000:1 mtime=5.5`)
	testtree.Settle()
	l.Run()
	for _, script := range []string{"cp a b", "cp b c\ncp a d", "mv a z\ncp z y", "rm b\ncp c b", "mv c/1 c/9\ncp c/9 c/1"} {
		l.Build(script)
		testtree.Settle()
		l.Run()
		l.Run()
		l.AllShared()
	}
	l.Intact()
	l.Verify()
}

// Guards: what did not change keeps its stored file, although a copy of it appears that could be linked to it.
func TestCopyDoesNotTakeTheStoredFile(t *testing.T) {
	l := newLab(t)
	l.Opt.Threads = 1
	l.Build(`
		dir m 0755
		file q 0644 random=2000000:9 mtime=5.5`)
	testtree.Settle()
	l.Run()
	l.Build("cp q b")
	l.Run()
	l.Shared(true, "q")
	l.Build("mv q m/q")
	l.Counts(l.Run(), "1 moved, 1 unchanged")
	l.Verify()
}

// Guards: a new, deep tree beside old folders does not make the run lose sight of what the previous snapshot has there.
func TestDeepNewTreeBesideOldFolders(t *testing.T) {
	l := newLab(t)
	l.Opt.Threads = 1
	l.Build(`
		dir top 0755
		dir top/mid 0755
		dir top/mid/z 0755
		file top/mid/z/f 0644 "kept"
		dir top/z 0755
		file top/z/f 0644 "kept too"`)
	testtree.Settle()
	l.Run()
	deep := l.Src + "/top/mid/a" + strings.Repeat("/d", 150)
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if rep := l.Run(); rep.Missing > 0 {
		t.Errorf("%d stored files were not found", rep.Missing)
	}
	l.Shared(true, "top/mid/z/f", "top/z/f")
	l.Verify()
}
