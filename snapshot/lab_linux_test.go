package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
	"snapcopy/internal/verify"
)

// lab is a source and an archive for one test.
type lab struct {
	t         *testing.T
	src, arch string
	opt       Options
	parallel  bool                     // other tests run meanwhile
	without   testtree.Field           // what this archive cannot hold
	taken     map[string]testtree.Tree // each snapshot as it was when it was published
	order     []string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	dir := t.TempDir()
	l := &lab{t: t, src: filepath.Join(dir, "source"), arch: filepath.Join(dir, "archive"),
		taken: make(map[string]testtree.Tree)}
	if err := os.Mkdir(l.src, 0o755); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) build(script string) {
	l.t.Helper()
	testtree.Build(l.t, l.src, script)
}

// run takes a snapshot, which has to be complete, equal the source and leave no descriptor open.
func (l *lab) run() *archive.Report {
	l.t.Helper()
	before := descriptors(l.t)
	rep, err := Run(context.Background(), l.src, l.arch, l.opt)
	if err != nil {
		l.t.Fatalf("run: %v", err)
	}
	if after := descriptors(l.t); after != before && !l.parallel {
		l.t.Errorf("the run left %d descriptors open", after-before)
	}
	if rep.Incomplete || len(rep.Failed) > 0 || len(rep.Unfinished) > 0 || rep.PreviousUnusable != "" {
		l.t.Errorf("report of %s: incomplete %v, failed %v, unfinished %v, previous %q", rep.Snapshot, rep.Incomplete,
			rep.Failed, rep.Unfinished, rep.PreviousUnusable)
	}
	l.note(rep)
	testtree.Equal(l.t, "snapshot "+rep.Snapshot+" against the source", testtree.Take(l.t, l.src), l.taken[rep.Snapshot],
		l.without)
	return rep
}

// note records a published snapshot, so that intact can tell whether it ever changes.
func (l *lab) note(rep *archive.Report) {
	l.t.Helper()
	l.taken[rep.Snapshot] = testtree.Take(l.t, l.path(rep.Snapshot))
	l.order = append(l.order, rep.Snapshot)
}

func (l *lab) path(name string, elem ...string) string {
	return filepath.Join(append([]string{l.arch, name}, elem...)...)
}

// intact makes sure that each snapshot still is what it was, on the same inodes, and that there are no others.
func (l *lab) intact() {
	l.t.Helper()
	names, err := os.ReadDir(l.arch)
	if err != nil {
		l.t.Fatal(err)
	}
	found := 0
	for _, n := range names {
		if _, isSnapshot := archive.ParseName(n.Name()); !isSnapshot {
			if n.Name() != archive.MetaDir && n.Name() != archive.LatestLink && n.Name() != "lost+found" {
				l.t.Errorf("archive holds %q", n.Name())
			}
			continue
		}
		found++
		was, known := l.taken[n.Name()]
		if !known {
			l.t.Errorf("snapshot %s came out of nowhere", n.Name())
			continue
		}
		is := testtree.Take(l.t, l.path(n.Name()))
		testtree.Equal(l.t, "snapshot "+n.Name()+" against itself when it was new", was, is, 0)
		for path, item := range was {
			if is[path].Ino != item.Ino {
				l.t.Errorf("snapshot %s: %q is another inode now", n.Name(), path)
			}
		}
	}
	if found != len(l.taken) {
		l.t.Errorf("%d snapshots, %d were published", found, len(l.taken))
	}
}

// verify makes sure that Verify finds nothing.
func (l *lab) verify() {
	l.t.Helper()
	for _, d := range l.damage(verify.Options{}) {
		l.t.Errorf("verify: %s %q: %v", d.Snapshot, d.Path, d.Err)
	}
}

func (l *lab) damage(opt verify.Options) (found []verify.Damage) {
	l.t.Helper()
	a := l.open()
	defer l.close(a)
	list, err := a.Snapshots()
	if err != nil {
		l.t.Fatal(err)
	}
	opt.Damage = func(d verify.Damage) { found = append(found, d) }
	rep, err := verify.Run(context.Background(), a, list, opt)
	if err != nil {
		l.t.Fatalf("verify: %v", err)
	}
	if got := rep.Damaged + rep.Unreadable; got != uint64(len(found)) {
		l.t.Errorf("verify counts %d findings and tells %d", got, len(found))
	}
	return found
}

func (l *lab) open() *archive.Archive {
	l.t.Helper()
	a, err := archive.Open(l.arch)
	if err != nil {
		l.t.Fatal(err)
	}
	return a
}

func (l *lab) close(a *archive.Archive) {
	l.t.Helper()
	if err := a.Close(); err != nil {
		l.t.Error(err)
	}
}

// shared makes sure that paths have the same inode in the last two snapshots, or (want false) another.
func (l *lab) shared(want bool, paths ...string) {
	l.t.Helper()
	n := len(l.order)
	for _, p := range paths {
		was, now := l.taken[l.order[n-2]][p], l.taken[l.order[n-1]][p]
		if was.Ino == 0 || now.Ino == 0 || (was.Ino == now.Ino) != want {
			l.t.Errorf("%q: inode %d before, %d now; shared should be %v", p, was.Ino, now.Ino, want)
		}
	}
}

// allShared makes sure that the last two snapshots share everything but their folders.
func (l *lab) allShared() {
	l.t.Helper()
	for p, item := range l.taken[l.order[len(l.order)-1]] {
		if item.Type != "dir" {
			l.shared(true, p)
		}
	}
}

func (l *lab) counts(rep *archive.Report, want string) {
	l.t.Helper()
	c := &rep.Counts
	var got []string
	for _, part := range []struct {
		name string
		n    uint64
	}{{"new", c.New}, {"changed", c.Changed}, {"moved", c.Moved}, {"unchanged", c.Unchanged}, {"deleted", c.Deleted},
		{"failed", c.Failed}, {"vanished", c.Vanished}, {"excluded", c.Excluded}} {
		if part.n > 0 {
			got = append(got, fmt.Sprint(part.n, " ", part.name))
		}
	}
	if s := strings.Join(got, ", "); s != want {
		l.t.Errorf("counts of %s: %s; want %s", rep.Snapshot, s, want)
	}
}

// fails runs a snapshot that has to fail with target.
func (l *lab) fails(target error) error {
	l.t.Helper()
	before := descriptors(l.t)
	_, err := Run(context.Background(), l.src, l.arch, l.opt)
	if !errors.Is(err, target) {
		l.t.Errorf("run: %v; want %v", err, target)
	}
	if after := descriptors(l.t); after != before && !l.parallel {
		l.t.Errorf("the failed run left %d descriptors open", after-before)
	}
	return err
}

func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func needRoot(t *testing.T) {
	t.Helper()
	testtree.NeedRoot(t)
}

// entries reads the catalog of a snapshot.
func (l *lab) entries(name string) map[string]index.Entry {
	l.t.Helper()
	c, err := index.Open(filepath.Join(l.arch, archive.MetaDir, archive.CatalogsDir, name+archive.CatalogExt))
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			l.t.Error(err)
		}
	}()
	all := make(map[string]index.Entry)
	var read func(dir string, pos uint64)
	read = func(dir string, pos uint64) {
		rec, err := c.ReadDir(pos)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, e := range rec.Entries() {
			all[join(dir, e.Name)] = *e
			if e.Type == index.Dir {
				read(join(dir, e.Name), e.Child)
			}
		}
	}
	read("", c.Root().Child)
	return all
}

var settle = testtree.Settle

// torture has one of everything that file systems can hold.
const torture = `
dir d 0750 mtime=1000000000.123456789 owner=1234:2345
dir d/empty 0700 mtime=1.000000001
dir d/sticky 1777
dir d/setgid 2755 owner=0:77
file d/setgid/f 0644 "group"
dir d/readonly 0555 mtime=1500000000.5
file f0 0644 mtime=0.0
file f1 0000 "x" mtime=-12345.678000000
file suid 4755 "#!" owner=12:34
file sgid 2755 "#!" owner=12:34
file d/far 0600 "future" mtime=4102444800.999999999
file big 0644 random=3000000:1 mtime=1234567890.987654321
file big2 0644 random=1048576:2
file edge 0644 random=1048575:3
file sparse 0644 "head" at=5000000:middle hole=3000000
file allhole 0600 hole=2000000
file tailhole 0600 random=100000:4 hole=300000
file zeros 0600 at=0:"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
file "name with\nnewline" 0644 "n"
file "invalid\xff\xfeutf8" 0644 "u"
file " " 0644 "space"
file "-rf" 0644 "dash"
file "..." 0644 "dots"
dir "dir\n\xff" 0755
file "dir\n\xff/inner" 0644 "i"
symlink s1 f0 mtime=1111111111.222222222 owner=5:6
symlink s2 /nowhere/at/all
symlink d/s3 ../d
symlink "s\x01" "tar\nget\xff"
fifo p 0640 mtime=123.456
socket sock 0711
char null 0666 1:3
block blk 0660 7:200 owner=0:6
file xa 0644 "xattr" xattr.user.note="hello" xattr.user.bin="\x00\xff\n" xattr.user.empty= xattr.trusted.t="root"
file acl 0640 "acl" acl=u:7:rwx,g:8:r
dir dacl 0750 acl=u:9:rx default=u:10:rwx,g:11:r
file dacl/plain 0600 "no ACL inherited"
dir dacl/sub 0700
file cap 0755 "cap" xattr.security.capability="\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
set s1 xattr.trusted.link="on a link"
set p xattr.trusted.pipe="on a pipe"
file g1 0644 "group of three" xattr.user.g="1"
link d/g2 g1
link d/empty2 g1
symlink ls1 target
link ls2 ls1
fifo lp1 0600
link d/lp2 lp1
file same1 0644 "same content" mtime=1000.5
file same2 0644 "same content" mtime=1000.5
file same3 0644 "same content" mtime=1000.5
dir x 0755
file x/e1 0644 mtime=5.0
file x/e2 0644 mtime=5.0
`

func TestMain(m *testing.M) {
	if job := os.Getenv("SNAPSHOT_TEST_JOB"); job != "" {
		os.Exit(helper(job))
	}
	os.Exit(m.Run())
}
