package fidelity

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/outcome"
	"snapcopy/internal/testtree"
	"snapcopy/internal/verify"
	"snapcopy/restore"
	"snapcopy/snapshot"
)

// disks are the file systems that the tests share, made when the first test asks for one.
var disks = map[string]*sharedDisk{
	// ea_inode lets a file have extended attributes of more than a block.
	"ext4":  {size: 768 * mib, options: []string{"-O", "ea_inode", "-N", "100000"}},
	"xfs":   {size: 768 * mib},
	"btrfs": {size: 768 * mib},
}

const mib = 1 << 20

type sharedDisk struct {
	size    int64
	options []string

	once   sync.Once
	folder string
	disk   *testtree.Disk
	err    error
}

func (s *sharedDisk) get(t *testing.T, kind string) *testtree.Disk {
	t.Helper()
	s.once.Do(func() {
		if s.folder, s.err = os.MkdirTemp("", "fidelity"); s.err == nil {
			s.disk, s.err = testtree.MakeDisk(s.folder, kind, s.size, s.options...)
		}
	})
	var impossible *testtree.ImpossibleError
	if errors.As(s.err, &impossible) {
		t.Skip(s.err)
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.disk
}

func (s *sharedDisk) remove() (err error) {
	if s.disk != nil {
		err = s.disk.Unmount()
	}
	if err == nil && s.folder != "" { // never with something mounted in it
		err = os.RemoveAll(s.folder)
	}
	return err
}

func TestMain(m *testing.M) {
	if text := os.Getenv(jobVariable); text != "" {
		os.Exit(doJob(text))
	}
	status := m.Run()
	for _, disk := range disks {
		if err := disk.remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

// onEach runs a test on each of the file systems that can hold everything, with source, archive and restored tree
// there.
func onEach(t *testing.T, test func(t *testing.T, l *lab)) {
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, newLab(t, kind))
		})
	}
}

// lab is a source and an archive, and the trees that were in the source when the snapshots were taken.
type lab struct {
	t             *testing.T
	kind          string
	base          string // on the file system under test
	src, arch, to string // to: the folder that restored trees are made in
	opt           snapshot.Options
	without       testtree.Field      // what the archive cannot hold
	ignore        testtree.Field      // what is not compared at all
	expect        func(testtree.Tree) // turns the source's tree into what the snapshot has to be; nil: it is that
	want, taken   map[string]testtree.Tree
	order         []string
}

func newLab(t *testing.T, kind string) *lab {
	t.Helper()
	return labAt(t, kind, folderOn(t, kind))
}

// folderOn makes a folder on a file system of some kind for one test.
func folderOn(t *testing.T, kind string) string {
	t.Helper()
	base, err := os.MkdirTemp(disks[kind].get(t, kind).Path, strings.ReplaceAll(t.Name(), "/", "-")+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(base); err != nil {
			t.Error(err)
		}
	})
	return base
}

func labAt(t *testing.T, kind, base string) *lab {
	t.Helper()
	l := &lab{
		t: t, kind: kind, base: base, src: filepath.Join(base, "source"), arch: filepath.Join(base, "archive"), to: base,
		want: make(map[string]testtree.Tree), taken: make(map[string]testtree.Tree),
	}
	l.opt.AllowClockBack = true // many snapshots in a second get names that are far ahead of the clock
	l.check(os.Mkdir(l.src, 0o755))
	return l
}

func (l *lab) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) build(script string) {
	l.t.Helper()
	testtree.Build(l.t, l.src, script)
}

func (l *lab) path(elem ...string) string { return filepath.Join(append([]string{l.arch}, elem...)...) }

// run takes a snapshot, which has to be complete and equal the source.
func (l *lab) run() *archive.Report {
	l.t.Helper()
	rep := l.runChanging()
	if rep.Incomplete || len(rep.Failed) > 0 {
		l.t.Errorf("snapshot %s: incomplete %v, failed %v", rep.Snapshot, rep.Incomplete, rep.Failed)
	}
	want := testtree.Take(l.t, l.src)
	if l.expect != nil {
		l.expect(want)
	}
	l.want[rep.Snapshot] = want
	testtree.Equal(l.t, "snapshot "+rep.Snapshot+" against the source", want, l.taken[rep.Snapshot], l.without|l.ignore)
	return rep
}

// runChanging takes a snapshot of a source that need not be the same afterwards.
func (l *lab) runChanging() *archive.Report {
	l.t.Helper()
	rep, err := snapshot.Run(l.t.Context(), l.src, l.arch, l.opt)
	if err != nil {
		l.t.Fatalf("run: %v", err)
	}
	if len(rep.Unfinished) > 0 || rep.PreviousUnusable != "" {
		l.t.Errorf("snapshot %s: unfinished %v, previous %q", rep.Snapshot, rep.Unfinished, rep.PreviousUnusable)
	}
	l.note(rep)
	return rep
}

// runUnseen takes a snapshot of a tree that is too large to be compared.
func (l *lab) runUnseen() *archive.Report {
	l.t.Helper()
	rep, err := snapshot.Run(l.t.Context(), l.src, l.arch, l.opt)
	if err != nil || rep.Incomplete {
		l.t.Fatalf("run: %v; %+v", err, rep)
	}
	l.order = append(l.order, rep.Snapshot)
	return rep
}

// note records a published snapshot, so that intact can tell whether it ever changes.
func (l *lab) note(rep *archive.Report) {
	l.t.Helper()
	l.taken[rep.Snapshot] = testtree.Take(l.t, l.path(rep.Snapshot))
	l.order = append(l.order, rep.Snapshot)
}

// intact makes sure that every snapshot still is what it was, on the same inodes.
func (l *lab) intact() {
	l.t.Helper()
	seen := make(testtree.Seen)
	for _, name := range l.order {
		was, is := l.taken[name], testtree.TakeAll(l.t, l.path(name), seen)
		testtree.Equal(l.t, "snapshot "+name+" against itself when it was new", was, is, l.ignore)
		for path, item := range was {
			if is[path].Ino != item.Ino {
				l.t.Errorf("snapshot %s: %q is another inode now", name, path)
			}
		}
	}
}

// restored makes sure that a restore of a snapshot gives what the source was, and lets look at it.
func (l *lab) restored(name string, look func(tree testtree.Tree)) {
	l.t.Helper()
	to := filepath.Join(l.to, "restored")
	rep := l.restore(name, to)
	if rep.FailedCount > 0 || rep.CatalogOnly != (outcome.CatalogOnlyCounts{}) {
		l.t.Errorf("restore of %s: failed %v, not held %+v", name, rep.Failed, rep.CatalogOnly)
	}
	got := testtree.Take(l.t, to)
	if want := l.want[name]; want != nil {
		testtree.Equal(l.t, "restored "+name+" against the source", want, got, l.ignore)
	}
	if look != nil {
		look(got)
	}
	l.check(testtree.MakeWritable(to))
	l.check(os.RemoveAll(to))
}

func (l *lab) restore(name, to string) *restore.Report {
	l.t.Helper()
	c := l.catalog(name)
	rep, err := restore.Run(l.t.Context(), archive.OpenSnapshot{Catalog: c, Snapshot: archive.Snapshot{Dir: l.path(name)}}, nil, to, restore.Options{})
	if err = errors.Join(err, c.Close()); err != nil {
		l.t.Fatalf("restore of %s: %v", name, err)
	}
	return rep
}

func (l *lab) catalog(name string) *index.Catalog {
	l.t.Helper()
	c, err := index.Open(l.path(".snapcopy", "catalogs", name+".cat"))
	l.check(err)
	return c
}

// entries reads the catalog of a snapshot.
func (l *lab) entries(name string) map[string]index.Entry {
	l.t.Helper()
	c := l.catalog(name)
	all := make(map[string]index.Entry)
	l.check(errors.Join(c.Walk(func(dir string, _ *index.Record, e *index.Entry) error {
		all[strings.TrimPrefix(dir+"/"+e.Name, "/")] = *e
		return nil
	}), c.Close()))
	return all
}

// verify makes sure that the program itself finds no damage.
func (l *lab) verify() {
	l.t.Helper()
	a, err := archive.Open(l.arch)
	l.check(err)
	list, err := a.Snapshots()
	l.check(err)
	if len(list) != len(l.order) {
		l.t.Errorf("%d snapshots, %d were published", len(list), len(l.order))
	}
	_, err = verify.Run(l.t.Context(), a, list, verify.Options{Damage: func(d verify.Damage) {
		l.t.Errorf("verify: %s %q: %v", d.Snapshot, d.Path, d.Err)
	}})
	l.check(errors.Join(err, a.Close()))
	l.blocks()
}

// later goes through the second and the third stage: nothing has touched the snapshots, and each can be restored.
func (l *lab) later() {
	l.t.Helper()
	l.intact()
	l.verify()
	for _, name := range l.order {
		l.restored(name, nil)
	}
}

// stages goes through all of them for a tree and some edits of it, with a snapshot after each.
func (l *lab) stages(tree string, edits ...string) {
	l.t.Helper()
	l.build(tree)
	testtree.Settle()
	l.run()
	for _, script := range edits {
		l.build(script)
		l.run()
		if l.t.Failed() {
			l.t.Fatalf("after %.300s", script)
		}
	}
	testtree.Settle()
	l.run()
	rep := l.run()
	if c := rep.Counts; c.Unchanged != c.Files || c.BytesRead > 0 {
		l.t.Errorf("nothing changed, but: %+v", c)
	}
	l.allShared()
	l.later()
}

// allShared makes sure that the last two snapshots share everything but their folders.
func (l *lab) allShared() {
	l.t.Helper()
	for path, item := range l.last(0) {
		if was := l.last(1)[path]; item.Type != "dir" && was.Ino != item.Ino {
			l.t.Errorf("%q: inode %d before, %d now", path, was.Ino, item.Ino)
		}
	}
}

// last is the tree of the newest snapshot, or of one some before it.
func (l *lab) last(before int) testtree.Tree { return l.taken[l.order[len(l.order)-1-before]] }

// shared makes sure that paths have the same inode in the last two snapshots, or (want false) another.
func (l *lab) shared(want bool, paths ...string) {
	l.t.Helper()
	for _, p := range paths {
		was, is := l.last(1)[p], l.last(0)[p]
		if was.Ino == 0 || is.Ino == 0 || (was.Ino == is.Ino) != want {
			l.t.Errorf("%q: inode %d before, %d now; shared should be %v", p, was.Ino, is.Ino, want)
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	testtree.NeedRoot(t)
}
