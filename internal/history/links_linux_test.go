package history

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"snapcopy/internal/testtree"
)

// linkLines keeps the changes that name hard links.
func linkLines(lines []string) (kept []string) {
	for _, l := range lines {
		if strings.HasSuffix(l, "links") {
			kept = append(kept, l)
		}
	}
	return kept
}

// groups makes files of the same content and metadata, one for each list of names.
func (s *series) groups(lists ...[]string) {
	for _, names := range lists {
		for i, n := range names {
			if i > 0 {
				s.Link(names[0], n)
				continue
			}
			s.File(n, "content")
			s.Mtime(n, 5, 6)
		}
	}
}

// remake takes names away and makes groups of them anew.
func (s *series) remake(lists ...[]string) {
	for _, n := range slices.Concat(lists...) {
		s.Check(os.Remove(s.Path(n)))
	}
	s.groups(lists...)
}

// wantLinks takes a snapshot and expects both comparisons to name links for these paths, and nothing else for files.
func (s *series) wantLinks(paths ...string) {
	s.T.Helper()
	testtree.Settle()
	live, _ := s.liveChanges("", LiveOptions{})
	unstable, _ := s.liveChanges("", LiveOptions{IgnoreCtime: true, IgnoreInode: true})
	s.snap()
	var want []string
	for _, p := range paths {
		want = append(want, fmt.Sprintf("metadata %q links", p))
	}
	for name, got := range map[string][]string{"snapshots": s.between(""), "live": live, "live, unstable": unstable} {
		if diff := cmp.Diff(want, linkLines(got)); diff != "" {
			s.T.Errorf("%s: got (+), want (-):\n%s", name, diff)
		}
	}
}

// Guards: link groups that have exchanged names differ in their links, although each has as many names as before.
func TestExchangedLinks(t *testing.T) {
	s := newSeries(t)
	s.groups([]string{"a", "b"}, []string{"c", "d"}, []string{"x/1", "y/1"}, []string{"x/2", "y/2"}, []string{"x/3", "y/3", "z/3"}, []string{"e"})
	testtree.Settle()
	s.snap()
	s.wantLinks()
	s.remake([]string{"a", "d"}, []string{"c", "b"})
	s.wantLinks("b", "d")
	// in one of two folders: nothing has changed in the other, which the comparison skips
	s.Check(os.Rename(s.Path("y/1"), s.Path("y/t")))
	s.Check(os.Rename(s.Path("y/2"), s.Path("y/1")))
	s.Check(os.Rename(s.Path("y/t"), s.Path("y/2")))
	s.wantLinks("y/1", "y/2")
	s.remake([]string{"e"}) // another inode, without other names
	s.wantLinks()
	s.remake([]string{"y/3", "x/3", "z/3"}, []string{"x/1", "y/2"}) // other inodes in the same groups
	s.wantLinks()
	s.File("b", "another content") // of both names of its group
	s.remake([]string{"d", "c"}, []string{"b", "a"})
	s.wantLinks("b", "d")
}

// Guards: if all inode numbers have changed, as on a new disk, no link group differs.
func TestLinksOnNewDisk(t *testing.T) {
	s := newSeries(t)
	s.groups([]string{"x/1", "y/1"}, []string{"x/2", "y/2"}, []string{"x/3", "y/3", "z/3"})
	testtree.Settle()
	s.snap()
	s.Check(exec.Command("cp", "-a", s.Root, s.Root+".new").Run())
	s.Check(os.Rename(s.Root, s.Root+".old"))
	s.Check(os.Rename(s.Root+".new", s.Root))
	s.File("y/new", "so that this folder is compared")
	s.wantLinks()
}

// groupsOf returns the link groups of a tree, each name with the first one of its group.
func (s *series) groupsOf(names []string) map[string]string {
	first, of := make(map[uint64]string), make(map[string]string)
	for _, n := range names {
		info, err := os.Lstat(s.Path(n))
		s.Check(err)
		ino := inodeOf(info)
		if first[ino] == "" {
			first[ino] = n
		}
		of[n] = first[ino]
	}
	return of
}

// Guards: for random groups in several folders, some of which are made anew, both comparisons name the links that differ,
// and none if the groups are the same.
func TestRandomLinks(t *testing.T) {
	s := newSeries(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	var names []string
	for _, dir := range []string{"", "x", "y", "y/z"} {
		for i := range 5 {
			names = append(names, path.Join(dir, fmt.Sprint("f", i)))
		}
	}
	random := func(names []string) [][]string {
		lists := make([][]string, 1+r.IntN(len(names)))
		for _, n := range names {
			i := r.IntN(len(lists))
			lists[i] = append(lists[i], n)
		}
		return lists
	}
	s.groups(random(names)...)
	testtree.Settle()
	s.snap()
	for range 12 {
		before := s.groupsOf(names)
		dirs := []string{".", "x", "y", "y/z"}[r.IntN(4):]
		var some []string
		for _, n := range names {
			if slices.Contains(dirs, path.Dir(n)) && r.IntN(2) == 0 {
				some = append(some, n)
			}
		}
		if len(some) > 0 {
			s.remake(random(some)...)
		}
		testtree.Settle()
		live, _ := s.liveChanges("", LiveOptions{})
		s.snap()
		after, got := s.groupsOf(names), linkLines(s.between(""))
		parted := 0
		for _, a := range names {
			for _, b := range names {
				if (before[a] == before[b]) != (after[a] == after[b]) {
					parted++
					told := func(n string) bool { return slices.Contains(got, fmt.Sprintf("metadata %q links", n)) }
					if !told(a) && !told(b) {
						t.Errorf("%s and %s are no longer, or only now, of one group, and neither is told: %q", a, b, got)
					}
				}
			}
		}
		if parted == 0 && len(got) > 0 {
			t.Errorf("the groups are the same, and told are %q", got)
		}
		if (len(got) > 0) != (len(linkLines(live)) > 0) {
			t.Errorf("two snapshots: %q, live: %q", got, linkLines(live))
		}
	}
}

func inodeOf(info os.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }
