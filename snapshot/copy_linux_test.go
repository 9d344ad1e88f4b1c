package snapshot_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/fault"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// copied is a lab whose snapshots are copied into the archive of another one.
type copied struct {
	*lab
	to *lab
}

func newCopied(t *testing.T) *copied {
	t.Helper()
	return &copied{newLab(t), newLab(t)}
}

// copy copies one snapshot, and looks at what Copy promises of any.
func (c *copied) copy(name string) (*archive.Report, error) {
	c.T.Helper()
	before := testtree.OpenDescriptors(c.T)
	a := c.Open()
	s, err := a.SelectOnly(name, time.Now(), nil)
	if err != nil {
		c.T.Fatal(err)
	}
	rep, err := snapshot.Copy(c.T.Context(), a, s, c.to.Arch, c.to.Opt)
	c.Close(a)
	if after := testtree.OpenDescriptors(c.T); after != before && !c.Parallel {
		c.T.Errorf("the copy left %d descriptors open", after-before)
	}
	if err == nil {
		c.to.Note(rep)
	}
	return rep, err
}

// all copies all snapshots that the lab has taken, in their order.
func (c *copied) all() (reports []*archive.Report) {
	c.T.Helper()
	for _, name := range c.Order {
		rep, err := c.copy(name)
		if err != nil {
			c.T.Fatalf("copy %s: %v", name, err)
		}
		was := c.report(name)
		if rep.Snapshot != name || !rep.Start.Equal(was.Start) || rep.Source != was.Source {
			c.T.Errorf("%s of %s at %v became %s of %s at %v", name, was.Source, was.Start, rep.Snapshot, rep.Source, rep.Start)
		}
		if len(rep.Unfinished) > 0 || rep.PreviousUnusable != "" || rep.Incomplete != was.Incomplete {
			c.T.Errorf("report of %s: incomplete %v, unfinished %v, previous %q", name, rep.Incomplete, rep.Unfinished,
				rep.PreviousUnusable)
		}
		reports = append(reports, rep)
	}
	return reports
}

func (l *lab) report(name string) *archive.Report {
	l.T.Helper()
	a := l.Open()
	defer l.Close(a)
	rep, err := a.Reports.Read(name)
	if err != nil {
		l.T.Fatal(err)
	}
	return rep
}

// same makes sure that the catalogs of both archives say the same of the source, and, where the mirrors can hold the same,
// that those are alike, and share between snapshots what the originals share.
func (c *copied) same(mirrors bool) {
	c.T.Helper()
	for _, name := range c.Order {
		c.sameEntries(name)
		if mirrors {
			testtree.Equal(c.T, "copy of "+name, c.Taken[name], c.to.Taken[name], c.to.Without)
		}
	}
	if mirrors {
		c.sameSharing()
	}
	c.to.Intact()
	c.to.Verify()
	c.Intact()
}

// sourceFlags say something of the source; the others are of the archive.
const sourceFlags = index.Racy | index.Torn | index.Unread | index.LinksCatalogOnly | index.ZeroHash

func (c *copied) sameEntries(name string) {
	c.T.Helper()
	was, is := c.Entries(name), c.to.Entries(name)
	devices := make(map[uint32]uint32)
	for path, a := range was {
		b := is[path]
		if dev, known := devices[a.Dev]; known && dev != b.Dev {
			c.T.Errorf("%s: %q is on file system %d, others of %d are on %d", name, path, b.Dev, a.Dev, dev)
		}
		devices[a.Dev] = b.Dev
		for _, e := range []*index.Entry{&a, &b} {
			e.Flags &= sourceFlags
			e.Stored, e.Blocks, e.Xattrs, e.Child, e.Space, e.Dev = 0, 0, 0, 0, 0, 0
			e.Inodes, e.Below.Structure = index.Sum{}, 0
		}
		if a != b {
			c.T.Errorf("%s: %q was\n%+v, is\n%+v", name, path, a, b)
		}
	}
	if len(was) != len(is) {
		c.T.Errorf("%s: %d entries, the copy has %d", name, len(was), len(is))
	}
}

// sameSharing makes sure that names that are one stored file in the original archive are one in the other.
func (c *copied) sameSharing() {
	c.T.Helper()
	copyOf, first := make(map[uint64]uint64), make(map[uint64]string)
	was, is := make(map[uint64]int64), make(map[uint64]int64)
	for _, name := range c.Order {
		for path, item := range c.Taken[name] {
			if item.Type == "dir" {
				continue
			}
			twin := c.to.Taken[name][path]
			if ino, known := copyOf[item.Ino]; known && ino != twin.Ino && item.Type == "file" {
				c.T.Errorf("%s: %q shares a stored file with %q, its copy does not", name, path, first[item.Ino])
			}
			first[item.Ino] = name + "/" + path
			copyOf[item.Ino] = twin.Ino
			was[item.Ino], is[twin.Ino] = item.Size, twin.Size
		}
	}
	sum := func(sizes map[uint64]int64) (n int64) {
		for _, size := range sizes {
			n += size
		}
		return n
	}
	if len(is) > len(was) || sum(is) > sum(was) {
		c.T.Errorf("%d stored files with %d bytes became %d with %d", len(was), sum(was), len(is), sum(is))
	}
}

// again makes sure that a second copy of everything copies nothing.
func (c *copied) again() {
	c.T.Helper()
	for _, name := range c.Order {
		if _, err := c.copy(name); !errors.Is(err, snapshot.ErrCopied) {
			c.T.Errorf("second copy of %s: %v", name, err)
		}
	}
	c.to.Intact()
}

// Guards: all that root can put into a source arrives in a copy of its snapshots, and what two of them share is shared.
func TestCopyKeepsEverything(t *testing.T) {
	testtree.NeedRoot(t)
	for i, e := range edits {
		if i%4 > 0 && !strings.Contains(e.name, "link") {
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			c := newCopied(t)
			c.Parallel, c.to.Parallel, c.to.Opt.Threads = true, true, 1+i%4
			c.Build(archivetest.Torture(t))
			testtree.Settle()
			c.Run()
			c.Build(e.script)
			testtree.Settle()
			c.Run()
			c.Run()
			for i, rep := range c.all() {
				if i == 2 && rep.Counts.BytesRead+rep.Counts.BytesStored > 0 {
					t.Errorf("nothing changed, and yet the copy has read something: %+v", rep.Counts)
				}
			}
			c.same(true)
			c.again()
		})
	}
}

// Guards: a set of snapshots of a source with any history has the same history in the archive that it is copied to.
func TestCopyHistory(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1))
			c := newCopied(t)
			c.Parallel, c.to.Parallel = true, true
			// Which of several names of a stored file is found by its hash depends on the order in which folders are finished.
			c.Opt.Threads, c.to.Opt.Threads = 1, 1
			c.Build(plain)
			if testtree.Root() {
				c.Build(archivetest.Torture(t))
			}
			var read uint64
			for range 6 {
				if random.IntN(2) == 0 {
					testtree.Settle() // otherwise entries are racy
				}
				c.Run()
				for range random.IntN(12) {
					c.Build(c.randomEdit(random))
				}
			}
			for _, rep := range c.all() {
				read += rep.Counts.BytesRead
			}
			c.same(true)
			c.again()
			stored := make(map[uint64]int64)
			var size int64
			for _, name := range c.Order {
				for _, item := range c.Taken[name] {
					if item.Type == "file" && stored[item.Ino] == 0 {
						stored[item.Ino] = item.Size
						size += item.Size
					}
				}
			}
			if int64(read) > size {
				t.Errorf("%d bytes were read, the archive has %d", read, size)
			}
		})
	}
}

const plain = `
dir home 0755
dir home/q 0700 mtime=5.5
file home/a 0644 "aaaa" mtime=1000.25
file home/b 0600 random=300000:9 xattr.user.note="hello"
file home/q/sparse 0640 "head" at=900000:tail hole=500000
link home/q/a2 home/a
symlink home/link "to\xffwhere"
fifo home/pipe 0600
file "home/odd\nname\xfe" 0644 "odd"
`

// randomEdit is a line that changes something in or below the folder home of the source.
func (l *lab) randomEdit(random *rand.Rand) string {
	tree := testtree.Take(l.T, l.Src)
	var files, dirs []string
	for path, item := range tree {
		switch {
		case path != "home" && !strings.HasPrefix(path, "home/"):
		case item.Type == "dir":
			dirs = append(dirs, path)
		case item.Type == "file":
			files = append(files, path)
		}
	}
	slices.Sort(files)
	slices.Sort(dirs)
	pick := func(list []string) string { return list[random.IntN(len(list))] }
	fresh := strconv.Quote(pick(dirs) + fmt.Sprintf("/n%d\xff", random.Uint32()))
	if len(files) == 0 {
		return "file " + fresh + " 0644 again"
	}
	file := strconv.Quote(pick(files))
	switch random.IntN(14) {
	case 0:
		return fmt.Sprintf("file %s 0644 random=%d:%d", fresh, random.IntN(2_000_000), random.IntN(4))
	case 1:
		return "append " + file + " more"
	case 2:
		return fmt.Sprintf("set %s mode=%04o", file, 0o600+random.IntN(0o200))
	case 3:
		return fmt.Sprintf("set %s mtime=%d.%d", file, random.IntN(1<<31), random.IntN(1e9))
	case 4:
		return fmt.Sprintf("set %s xattr.user.n=%d", file, random.IntN(3))
	case 5:
		return "mv " + file + " " + fresh
	case 6:
		return "rm " + file
	case 7:
		return "link " + fresh + " " + file
	case 8:
		return "cp " + file + " " + fresh
	case 9:
		return fmt.Sprintf("set %s acl=u:%d:r", file, random.IntN(9))
	case 10:
		return fmt.Sprintf("file %s 0600 x at=%d:y hole=%d", fresh, random.IntN(3_000_000), random.IntN(1_000_000))
	case 11:
		return "dir " + fresh + " 0755"
	case 12:
		return "symlink " + fresh + " " + file
	}
	return "rm " + file + "\nfifo " + file + " 0600"
}

// Guards: a stored file that has suffered is told by its name, is in no copy, and keeps nothing else from being copied.
func TestCopyOfDamage(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"altered": func(path string) error { return alter(path, []byte("bbbb")) },
		"shorter": func(path string) error { return alter(path, []byte("a")) },
		"gone":    os.Remove,
		"a pipe": func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Mkdir(path, 0o700)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCopied(t)
			c.Build("file a 0644 aaaa\nfile b 0644 other\nfile big 0644 random=3000000:1\ndir d 0755\nfile d/c 0644 more")
			testtree.Settle()
			c.Run()
			for _, path := range []string{"a", "big"} {
				if err := damage(c.Path(c.Order[0], path)); err != nil {
					t.Fatal(err)
				}
			}
			rep, err := c.copy(c.Order[0])
			if err != nil {
				t.Fatal(err)
			}
			c.to.Counts(rep, "2 new, 2 failed")
			if !rep.Incomplete || len(rep.Failed) != 2 || rep.Failed[0].Path != "a" || rep.Failed[1].Path != "big" {
				t.Errorf("incomplete: %v; failed: %v", rep.Incomplete, rep.Failed)
			}
			is := c.to.Taken[rep.Snapshot]
			if len(is) != 4 || is["b"].Size != 5 || is["d/c"].Size != 4 {
				t.Errorf("the copy holds %v", is)
			}
			c.to.Intact()
			c.to.Verify()
		})
	}
}

// alter changes the content of a stored file.
func alter(path string, content []byte) error {
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

// Guards: what the archive of a snapshot could not hold is in its catalog, and so in the copy; what the target cannot hold
// is in the copy's catalog.
func TestCopyBetweenFileSystems(t *testing.T) {
	testtree.NeedRoot(t)
	const script = `
		dir d 0750 owner=3:4 xattr.user.d="1"
		file d/f 4711 "text" mtime=1234567.123456789 owner=1:2 xattr.user.note="hello" acl=u:7:rwx
		link d/g d/f
		symlink s d/f
		fifo p 0640
		char null 0666 1:3
		file sparse 0644 "head" at=400000:tail hole=500000`
	for _, from := range []string{"tmpfs", "vfat", "xfs"} {
		for _, to := range []string{"ext4", "vfat", "btrfs"} {
			t.Run(from+" to "+to, func(t *testing.T) {
				t.Parallel()
				c := newCopied(t)
				c.Parallel, c.to.Parallel = true, true
				for _, side := range []struct {
					l    *lab
					kind string
				}{{c.lab, from}, {c.to, to}} {
					if side.kind == "tmpfs" {
						testtree.Tmpfs(t, filepath.Dir(side.l.Arch), "size=100m")
						check(t, os.Mkdir(side.l.Src, 0o755))
						continue
					}
					disk, _ := onDisk(t, side.kind, false)
					side.l.Arch, side.l.Opt.AllowCopies = disk.Arch, side.kind == "vfat"
				}
				for _, edit := range []string{script, "append d/f more\nset sparse mode=0600", "mv d e"} {
					c.Build(edit)
					testtree.Settle()
					rep, err := snapshot.Run(t.Context(), c.Src, c.Arch, c.Opt)
					if err != nil || rep.Incomplete {
						t.Fatalf("%v, %+v", err, rep)
					}
					c.Note(rep)
				}
				c.all()
				c.same(from != "vfat" && to != "vfat")
				if to != "vfat" {
					last := c.Order[len(c.Order)-1]
					testtree.Equal(t, "the copy against the source", testtree.Take(t, c.Src), c.to.Taken[last], 0)
				}
				c.again()
			})
		}
	}
}

// Guards: a copy takes no other snapshot's name, does not make "latest" point to what is older, and an archive is not
// copied into itself.
func TestCopyNames(t *testing.T) {
	c := newCopied(t)
	c.Build("file a 0644 a")
	c.Run()
	c.Build("append a b")
	c.Run()
	if _, err := c.copy(c.Order[1]); err != nil {
		t.Fatal(err)
	}
	check(t, os.Mkdir(c.to.Path("x"), 0o700))
	if _, err := c.copy(c.Order[0]); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(c.to.Path(archive.LatestLink)); err != nil || target != c.Order[1] {
		t.Errorf("latest is %s, %v", target, err)
	}
	check(t, os.Remove(c.to.Path("x")))
	c.same(true)
	c.again()
	c.to.Arch = c.Arch
	if _, err := c.copy(c.Order[0]); !errors.Is(err, snapshot.ErrInsideArchive) {
		t.Errorf("into itself: %v", err)
	}
	other := newLab(t)
	other.Src = c.Src
	other.Opt.Now = func() (now time.Time) { now, _ = archive.ParseName(c.Order[0]); return now }
	other.Run()
	c.to = other
	rep, err := c.copy(c.Order[0])
	if err != nil || rep.Snapshot == c.Order[0] || rep.CopiedFrom.Snapshot != c.Order[0] {
		t.Errorf("a copy beside another snapshot of that name: %v, %+v", err, rep)
	}
	if _, err := c.copy(c.Order[0]); !errors.Is(err, snapshot.ErrCopied) {
		t.Errorf("again: %v", err)
	}
}

// Guards: what the run of a snapshot could not read, and what it was told to leave out, is told of its copy.
func TestCopyOfIncomplete(t *testing.T) {
	c := newCopied(t)
	c.Build("file a 0644 aaaa\nfile b.tmp 0644 b\nfile big 0644 random=5000:1")
	c.Opt.Exclude, c.Opt.ExcludeLarger = archivetest.Patterns(t, "*.tmp"), 4096
	c.at("write", -1, `append a "x"`)
	was, err := snapshot.Run(t.Context(), c.Src, c.Arch, c.Opt)
	if err != nil || !was.Incomplete {
		t.Fatalf("%v, %+v", err, was)
	}
	c.Note(was)
	rep := c.all()[0]
	if !slices.Equal(rep.Failed, was.Failed) || !slices.Equal(rep.LeftOut, was.LeftOut) || rep.LeftOutCount != was.LeftOutCount ||
		rep.Filters.Larger != 4096 || rep.Filters.Name("x.tmp", false) == "" || rep.Counts.Excluded != 2 {
		t.Errorf("was %+v, is %+v", was, rep)
	}
	c.same(true)
}

// Guards: what looked wrong about a run looks wrong about its copy, and for the same reason.
func TestCopyOfTripwire(t *testing.T) {
	c := newCopied(t)
	c.Build("dir d 0755\nfile a.tmp 0644 a\ndir many 0755")
	for i := range 150 {
		c.Build(fmt.Sprintf("file many/%d.tmp 0644 %d", i, i))
	}
	testtree.Settle()
	c.Run()
	c.Opt.Exclude = archivetest.Patterns(t, "*.tmp")
	was, err := snapshot.Run(t.Context(), c.Src, c.Arch, c.Opt)
	if err != nil || len(was.Tripwires) == 0 {
		t.Fatalf("%v, %+v", err, was)
	}
	c.Note(was)
	is := c.all()[1]
	if !slices.Equal(is.Tripwires, was.Tripwires) || is.Baseline == nil || is.Baseline.LeftOut != 151 || is.Baseline.Deleted > 0 {
		t.Errorf("tripwires were %v, are %v; base line %+v", was.Tripwires, is.Tripwires, is.Baseline)
	}
}

// Guards: a copy is judged as the original run was, by its limits, by what waited then, and by the place of its source.
func TestCopyIsJudgedAlike(t *testing.T) {
	c := newCopied(t)
	c.Build("dir many 0755")
	for i := range 120 {
		c.Build(fmt.Sprintf("file many/%d 0644 %d", i, i))
	}
	testtree.Settle()
	var were []*archive.Report
	run := func() {
		t.Helper()
		rep, err := snapshot.Run(t.Context(), c.Src, c.Arch, c.Opt)
		if err != nil {
			t.Fatal(err)
		}
		c.Note(rep)
		were = append(were, rep)
	}
	run()
	c.Opt.Limits = &archive.Limits{MaxDeleted: 1, MaxChanged: 1, MinFiles: 100}
	for i := range 115 {
		c.Build(fmt.Sprintf("rm many/%d", i))
	}
	run() // looks right, by its limits
	c.Opt.Limits = nil
	c.Build("mv many away")
	c.Opt.Exclude = archivetest.Patterns(t, "*")
	run() // empty
	c.Opt.Exclude = archivetest.Patterns(t, "11[6-9]")
	run() // one of few files, while another run waits
	for i, is := range c.all() {
		was := were[i]
		if !slices.Equal(is.Tripwires, was.Tripwires) || is.State != was.State || *is.Limits != *was.Limits || *is.Place != *was.Place {
			t.Errorf("%s: %s, %+v, %+v; its copy: %s, %+v, %+v", was.Snapshot, was.State, *was.Limits, *was.Place, is.State, *is.Limits, *is.Place)
		}
	}
	if were[1].State != archive.StateComplete || len(were[2].Tripwires) == 0 || len(were[3].Tripwires) == 0 {
		t.Errorf("the states were %s, %s, %s", were[1].State, were[2].State, were[3].State)
	}
}

// Guards: a copy that is cut short leaves nothing, and can be made then.
func TestCopyIsCutShort(t *testing.T) {
	c := newCopied(t)
	c.Build(plain)
	testtree.Settle()
	c.Run()
	c.Build("append home/a more\nmv home/b home/c")
	c.Run()
	broken := errors.New("broken")
	for _, step := range []string{"begin", "mkdir", "create", "write", "link", "metadata", "sync", "catalog", "publish"} {
		c.to.Opt.Fault = func(name string) error {
			if name == step {
				return broken
			}
			return nil
		}
		which := c.Order[min(len(c.to.Order), 1)]
		if _, err := c.copy(which); !errors.Is(err, broken) {
			t.Errorf("%s fails: %v", step, err)
		}
		c.to.Opt.Fault = nil
		if step == "create" {
			if _, err := c.copy(c.Order[0]); err != nil {
				t.Fatal(err)
			}
		}
		c.to.Intact()
	}
	if _, err := c.copy(c.Order[1]); err != nil {
		t.Fatal(err)
	}
	c.same(true)
	c.again()
}

// Guards: the process that copies a snapshot older than the newest one of the target dies at any step, or one step of
// publishing fails: the next run of the target makes the copy complete, or leaves no trace of it.
func TestCopyOfOlderCrashes(t *testing.T) {
	older := func(t *testing.T, parallel bool) *copied {
		c := newCopied(t)
		c.Parallel, c.to.Parallel, c.to.Opt.Threads = parallel, parallel, 2
		c.Opt.ExcludeLarger = 1 << 20
		c.Build(plain + "set . mode=0500")
		testtree.Settle()
		c.Run()
		c.Build("append home/a more\nmv home/b home/c")
		c.Run()
		if _, err := c.copy(c.Order[1]); err != nil {
			t.Fatal(err)
		}
		c.to.Build("file other 0644 other")
		return c
	}
	c := older(t, false)
	var order []string
	c.to.Opt.Fault = func(step string) error {
		if !slices.Contains(order, step) {
			order = append(order, step)
		}
		return nil
	}
	c.to.Opt.Threads = 1
	if rep, err := c.copy(c.Order[0]); err != nil || len(rep.Unfinished) > 0 {
		t.Fatal(err, rep)
	}
	for _, step := range order {
		for _, dies := range []bool{true, false} {
			t.Run(fmt.Sprint(step, " ", dies), func(t *testing.T) {
				t.Parallel()
				c := older(t, true)
				var met, crashed atomic.Bool
				c.to.Opt.Fault = func(name string) error {
					if name == step && met.CompareAndSwap(false, true) || dies && crashed.Load() {
						crashed.Store(true)
						return fault.ErrCrash
					}
					return nil
				}
				_, err := c.copy(c.Order[0])
				published := slices.Contains(afterPublish, step) || step == "empty"
				if published != (err == nil) || err != nil && !errors.Is(err, fault.ErrCrash) {
					t.Fatalf("the copy says %v", err)
				}
				c.to.Opt.Fault = nil
				a := c.to.Open()
				lost, err := a.WithoutFolder()
				if c.to.Close(a); err != nil || len(lost) > 0 {
					t.Errorf("before the next run, it seems that a person has removed the folders of %q, %v", lost, err)
				}
				if top, ok := c.to.Taken[c.Order[0]]["."]; ok { // the mode is set by a step, too
					top.Mode = c.Taken[c.Order[0]]["."].Mode
					c.to.Taken[c.Order[0]]["."] = top
				}
				if rep := c.to.Run(); len(rep.Findings) > 0 {
					t.Errorf("the next run says %v", rep.Findings)
				}
				c.to.NothingLeft()
				c.to.Verify()
				_, err = c.copy(c.Order[0])
				if published != errors.Is(err, snapshot.ErrCopied) || !published && err != nil {
					t.Errorf("copied again: %v", err)
				}
				if rep := c.to.report(c.Order[0]); rep.CopiedFrom == nil || rep.Filters.Larger != 1<<20 {
					t.Errorf("the report has no origin, or not its filters: %+v", rep)
				}
				c.to.Intact()
				for _, name := range c.Order {
					testtree.Equal(t, "copy of "+name, c.Taken[name], c.to.Taken[name], 0)
				}
			})
		}
	}
}

// Guards: names of one inode that are several stored files, because the links changed during the run, stay so.
func TestCopyOfPartedLinks(t *testing.T) {
	c := newCopied(t)
	c.Build("file a 0644 a\nlink b a\nfile m 0644 m\nfile y 0644 y\nfile z 0644 z")
	testtree.Settle()
	c.at("create", 1, "rm y\nlink y a\nrm z\nlink z a")
	rep := c.runChanging()
	if rep.CatalogOnly.LinksChanged == 0 {
		t.Errorf("the links did not change during the run: %+v", rep.CatalogOnly)
	}
	c.all()
	for _, l := range []*lab{c.lab, c.to} {
		if is := l.Taken[rep.Snapshot]; is["a"].Ino != is["b"].Ino || is["a"].Ino == is["z"].Ino {
			t.Errorf("a and b are to be one stored file, without z: %v", is)
		}
	}
	c.same(true)
}
