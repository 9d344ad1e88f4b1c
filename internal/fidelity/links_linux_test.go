package fidelity

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
)

const linkTree = `
dir a 0755
dir a/b 0755
dir skip 0755
file a/one 0644 "first group" mtime=1000.5
link a/b/two a/one
link three a/one
link skip/left-out a/one
file whole 0600 random=1300000:1
link a/whole whole
link a/b/whole whole
file equal 0644 "first group" mtime=1000.5
file alone 0644 "one name inside"
fifo pipe 0640
link a/pipe pipe
symlink sym target
link a/sym sym
char dev 0600 5:1
link a/b/dev dev
socket sock 0600
link a/sock sock`

// Guards: whatever becomes of link groups from run to run, with names that are excluded or outside the source, the
// names inside share one inode exactly if they did in the source.
func TestLinkGroups(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		outside := filepath.Join(l.base, "outside")
		l.check(os.Mkdir(outside, 0o755))
		l.opt.Exclude = archivetest.Patterns(t, "/skip/left-out", "*.out")
		l.expect = func(tree testtree.Tree) {
			tree.Remove(func(path string) bool { return path == "skip/left-out" || strings.HasSuffix(path, ".out") })
		}
		l.stages(linkTree,
			"link ../outside/alone alone\nlink ../outside/one a/one",
			"mv whole ../outside/whole",                       // a name leaves
			"link back ../outside/whole\nlink a/b/four alone", // and another comes; a group forms
			"cp a/b/two t\nrm a/b/two\nmv t a/b/two",          // a group splits
			"rm three\nlink three equal",                      // a name goes over to another group
			"append ../outside/alone more",                    // changed by a name outside
			"set ../outside/one mode=0600 xattr.user.x=1",     // metadata too
			"rm a/b/dev\nrm a/sock\nrm a/pipe\nrm a/sym",      // groups of special files become single names
			"dir b 0755\nlink b/sock sock\nlink b/pipe pipe\nlink b/sym sym\nlink b/dev dev",
			"mv a/one a.out",         // a name that becomes excluded
			"mv a.out a/one",         // and one that no longer is
			"mv a z\nlink top z/one", // the folder with the names moves, and a name is new
			"rm top\nfile top 0644 \"first group\" mtime=1000.5\nlink z/top top", // two groups with equal content
			"swap top z/one", // which then exchange a name
			"rm z/one\nrm z/b/two\nlink z/one top",
			"rm ../outside/one\nrm skip/left-out\nrm ../outside/alone", // names outside go away
		)
	})
}

// Guards: a group of more names than ext4 allows one inode stays one file where the file system can; on ext4 its full
// 65,000 are kept, and more are told of.
func TestLargestLinkGroups(t *testing.T) {
	if testing.Short() {
		t.Skip("makes some hundred thousand names")
	}
	for kind, names := range map[string]int{"ext4": 65_000, "xfs": 65_600} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, kind)
			l.build("file f 0644 x\ndir a 0755\ndir b 0755")
			for i := range names - 1 {
				l.check(os.Link(filepath.Join(l.src, "f"), fmt.Sprintf("%s/%c/%d", l.src, 'a'+i%2, i)))
			}
			testtree.Settle()
			check := func(what, dir string) {
				t.Helper()
				var st unix.Stat_t
				l.check(unix.Stat(filepath.Join(dir, "f"), &st))
				if int(st.Nlink) < names {
					t.Errorf("%s: the file has %d names instead of %d", what, st.Nlink, names)
				}
				for _, sub := range []string{"a", "b"} {
					list, err := os.ReadDir(filepath.Join(dir, sub))
					l.check(err)
					if len(list) != (names-1)/2 && len(list) != names/2 {
						t.Errorf("%s: %d names in %s", what, len(list), sub)
					}
				}
			}
			for range 2 {
				rep := l.runUnseen()
				if rep.CatalogOnly.Links > 0 || rep.Counts.BytesStored > uint64(names) {
					t.Errorf("%d links not held; %+v", rep.CatalogOnly.Links, rep.Counts)
				}
				check("snapshot", l.path(rep.Snapshot))
			}
			to := filepath.Join(l.base, "restored")
			if rep := l.restore(l.order[0], to); rep.FailedCount > 0 || rep.CatalogOnly.Links > 0 {
				t.Errorf("restore: %+v", rep)
			}
			check("restored", to)
			if kind == "xfs" {
				l.check(os.RemoveAll(to))
				l.archiveOnExt4(names)
			}
		})
	}
}

// archiveOnExt4 makes sure that a group that this file system cannot hold is told, and whole again after a restore to
// one that can.
func (l *lab) archiveOnExt4(names int) {
	l.t.Helper()
	l.arch = filepath.Join(folderOn(l.t, "ext4"), "archive")
	rep := l.runUnseen()
	if rep.CatalogOnly.Links == 0 || rep.LinkLimit == 0 {
		l.t.Errorf("%d links not held, limit met %d times", rep.CatalogOnly.Links, rep.LinkLimit)
	}
	to := filepath.Join(l.base, "restored")
	if rep := l.restore(rep.Snapshot, to); rep.FailedCount > 0 || rep.CatalogOnly.Links > 0 {
		l.t.Errorf("restore: %+v", rep)
	}
	var st unix.Stat_t
	l.check(unix.Stat(filepath.Join(to, "f"), &st))
	if int(st.Nlink) != names {
		l.t.Errorf("restored with %d names instead of %d", st.Nlink, names)
	}
	to = filepath.Join(folderOn(l.t, "ext4"), "restored")
	for _, when := range []string{"first", "again"} { // the second time there is nothing to do
		if rep := l.restore(rep.Snapshot, to); rep.FailedCount > 0 || rep.CatalogOnly.Links == 0 {
			l.t.Errorf("restored on ext4, %s: %d failed, %d links not held", when, rep.FailedCount, rep.CatalogOnly.Links)
		}
	}
}

// Guards: equal files that were separate stay separate: in the first run, when copies come and go, and when one of them
// moves to where another was.
func TestDuplicatesStaySeparate(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		l.stages(`
			dir d 0755
			file 1 0644 "same" mtime=5.5
			file 2 0644 "same" mtime=5.5
			file d/3 0644 "same" mtime=5.5
			file big1 0644 random=1200000:1 mtime=6.5
			file big2 0644 random=1200000:1 mtime=6.5
			file d/big3 0644 random=1200000:1 mtime=6.5
			file e1 0600 mtime=5.5
			file e2 0600 mtime=5.5
			symlink s1 same
			symlink s2 same`,
			"cp d e\ncp 1 4",
			"mv d/3 5\nmv 5 d/3\nmv big1 t\nmv d/big3 big1\nmv t d/big3",
			"rm 1\nrm big2\ncp e f",
			"rm e\nmv f e\ncp big1 big2\ncp 2 1")
		for path, item := range l.last(0) {
			if item.Group != "" {
				t.Errorf("%q shares an inode with %q", path, item.Group)
			}
		}
	})
}
