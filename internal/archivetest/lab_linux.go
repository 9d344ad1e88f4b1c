package archivetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/exclude"
	"snapcopy/internal/testtree"
	"snapcopy/internal/verify"
	"snapcopy/snapshot"
)

// Lab is a source and an archive for one test.
type Lab struct {
	T         *testing.T
	Src, Arch string
	Opt       snapshot.Options
	Parallel  bool                     // other tests run meanwhile
	Without   testtree.Field           // fields that this archive cannot store
	Taken     map[string]testtree.Tree // state of each snapshot at its publishing
	Order     []string
}

func New(t *testing.T) *Lab {
	t.Helper()
	dir := t.TempDir()
	l := &Lab{T: t, Src: filepath.Join(dir, "source"), Arch: filepath.Join(dir, "archive"),
		Taken: make(map[string]testtree.Tree)}
	if err := os.Mkdir(l.Src, 0o755); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *Lab) Build(script string) {
	l.T.Helper()
	testtree.Build(l.T, l.Src, script)
}

// Run takes a snapshot, which has to be complete, equal the source and leave no descriptor open.
func (l *Lab) Run() *archive.Report {
	l.T.Helper()
	before := testtree.OpenDescriptors(l.T)
	rep, err := snapshot.Run(context.Background(), l.Src, l.Arch, l.Opt)
	if err != nil {
		l.T.Fatalf("run: %v", err)
	}
	if after := testtree.OpenDescriptors(l.T); after != before && !l.Parallel {
		l.T.Errorf("the run left %d descriptors open", after-before)
	}
	if rep.Incomplete || len(rep.Failed) > 0 || len(rep.Unfinished) > 0 || rep.PreviousUnusable != "" {
		l.T.Errorf("report of %s: incomplete %v, failed %v, unfinished %v, previous %q", rep.Snapshot, rep.Incomplete,
			rep.Failed, rep.Unfinished, rep.PreviousUnusable)
	}
	l.Note(rep)
	testtree.Equal(l.T, "snapshot "+rep.Snapshot+" against the source", testtree.Take(l.T, l.Src), l.Taken[rep.Snapshot],
		l.Without)
	return rep
}

// Note records a published snapshot, so that Intact can tell whether it ever changes.
func (l *Lab) Note(rep *archive.Report) {
	l.T.Helper()
	l.Taken[rep.Snapshot] = testtree.Take(l.T, l.Path(rep.Snapshot))
	l.Order = append(l.Order, rep.Snapshot)
}

func (l *Lab) Path(name string, elem ...string) string {
	return filepath.Join(append([]string{l.Arch, name}, elem...)...)
}

// Intact checks that each snapshot is unchanged, on the same inodes, and that no other snapshot exists.
func (l *Lab) Intact() {
	l.T.Helper()
	names, err := os.ReadDir(l.Arch)
	if err != nil {
		l.T.Fatal(err)
	}
	found := 0
	for _, n := range names {
		if _, isSnapshot := archive.ParseName(n.Name()); !isSnapshot {
			if n.Name() != archive.MetaDir && n.Name() != archive.LatestLink && n.Name() != "lost+found" {
				l.T.Errorf("archive contains %q", n.Name())
			}
			continue
		}
		found++
		was, known := l.Taken[n.Name()]
		if !known {
			l.T.Errorf("snapshot %s came out of nowhere", n.Name())
			continue
		}
		is := testtree.Take(l.T, l.Path(n.Name()))
		testtree.Equal(l.T, "snapshot "+n.Name()+" against itself when it was new", was, is, 0)
		for path, item := range was {
			if is[path].Ino != item.Ino {
				l.T.Errorf("snapshot %s: %q is another inode now", n.Name(), path)
			}
		}
	}
	if found != len(l.Taken) {
		l.T.Errorf("%d snapshots, %d were published", found, len(l.Taken))
	}
}

// Verify makes sure that Verify finds nothing.
func (l *Lab) Verify() {
	l.T.Helper()
	for _, d := range l.Damage(verify.Options{}) {
		l.T.Errorf("verify: %s %q: %v", d.Snapshot, d.Path, d.Err)
	}
}

func (l *Lab) Damage(opt verify.Options) (found []verify.Damage) {
	l.T.Helper()
	a := l.Open()
	defer l.Close(a)
	list, err := a.Snapshots()
	if err != nil {
		l.T.Fatal(err)
	}
	opt.Damage = func(d verify.Damage) { found = append(found, d) }
	rep, err := verify.Run(context.Background(), a, list, opt)
	if err != nil {
		l.T.Fatalf("verify: %v", err)
	}
	if got := rep.Damaged + rep.Unreadable; got != uint64(len(found)) {
		l.T.Errorf("verify counts %d findings and tells %d", got, len(found))
	}
	return found
}

func (l *Lab) Open() *archive.Archive {
	l.T.Helper()
	a, err := archive.Open(l.Arch)
	if err != nil {
		l.T.Fatal(err)
	}
	return a
}

func (l *Lab) Close(a *archive.Archive) {
	l.T.Helper()
	if err := a.Close(); err != nil {
		l.T.Error(err)
	}
}

// Shared makes sure that paths have the same inode in the last two snapshots, or (want false) another.
func (l *Lab) Shared(want bool, paths ...string) {
	l.T.Helper()
	n := len(l.Order)
	for _, p := range paths {
		was, now := l.Taken[l.Order[n-2]][p], l.Taken[l.Order[n-1]][p]
		if was.Ino == 0 || now.Ino == 0 || (was.Ino == now.Ino) != want {
			l.T.Errorf("%q: inode %d before, %d now; shared should be %v", p, was.Ino, now.Ino, want)
		}
	}
}

// AllShared makes sure that the last two snapshots share everything but their folders.
func (l *Lab) AllShared() {
	l.T.Helper()
	for p, item := range l.Taken[l.Order[len(l.Order)-1]] {
		if item.Type != "dir" {
			l.Shared(true, p)
		}
	}
}

func (l *Lab) Counts(rep *archive.Report, want string) {
	l.T.Helper()
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
		l.T.Errorf("counts of %s: %s; want %s", rep.Snapshot, s, want)
	}
}

// Fails runs a snapshot that has to fail with target.
func (l *Lab) Fails(target error) error {
	l.T.Helper()
	before := testtree.OpenDescriptors(l.T)
	_, err := snapshot.Run(context.Background(), l.Src, l.Arch, l.Opt)
	if !errors.Is(err, target) {
		l.T.Errorf("run: %v; want %v", err, target)
	}
	if after := testtree.OpenDescriptors(l.T); after != before && !l.Parallel {
		l.T.Errorf("the failed run left %d descriptors open", after-before)
	}
	return err
}

// Entries reads the catalog of a snapshot.
func (l *Lab) Entries(name string) map[string]index.Entry {
	l.T.Helper()
	c, err := index.Open(filepath.Join(l.Arch, archive.MetaDir, archive.CatalogsDir, name+archive.CatalogExt))
	if err != nil {
		l.T.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			l.T.Error(err)
		}
	}()
	all := make(map[string]index.Entry)
	var read func(dir string, pos uint64)
	read = func(dir string, pos uint64) {
		rec, err := c.ReadDir(pos)
		if err != nil {
			l.T.Fatal(err)
		}
		for _, e := range rec.Entries() {
			all[index.Join(dir, e.Name)] = *e
			if e.Type == index.Dir {
				read(index.Join(dir, e.Name), e.Child)
			}
		}
	}
	read("", c.Root().Child)
	return all
}

// Torture is a script for testtree.Build: one of everything that file systems can store.
func Torture(t testing.TB) string {
	t.Helper()
	return testtree.Shared(t, "tree.txt")
}

// Main runs the tests of a package, or the job for which one of them has started the test program. It ends the
// process.
func Main(m *testing.M) {
	if job := os.Getenv("SNAPSHOT_TEST_JOB"); job != "" {
		os.Exit(helper(job))
	}
	os.Exit(m.Run())
}

// NothingLeft checks that the archive's own folder has only files of its snapshots.
func (l *Lab) NothingLeft() {
	l.T.Helper()
	l.nothingBut(func(string) bool { return false })
}

// OnlyUnfinished is NothingLeft after a run that has published nothing, and may leave files to the next one.
func (l *Lab) OnlyUnfinished() {
	l.T.Helper()
	l.nothingBut(func(path string) bool {
		return strings.HasPrefix(path, archive.WorkDir+"/unfinished-") || strings.HasPrefix(path, "trash/unfinished-")
	})
}

// nothingBut is NothingLeft that does not look into folders that may stay.
func (l *Lab) nothingBut(mayStay func(path string) bool) {
	l.T.Helper()
	err := filepath.WalkDir(l.Path(archive.MetaDir), func(path string, e os.DirEntry, err error) error {
		rel := strings.TrimPrefix(strings.TrimPrefix(path, l.Path(archive.MetaDir)), "/")
		if err == nil && mayStay(rel) {
			return filepath.SkipDir
		}
		if err != nil || e.IsDir() {
			if err == nil && strings.Count(rel, "/") > 0 {
				l.T.Errorf("left: %s", rel)
			}
			return err
		}
		if !l.belongs(rel) {
			l.T.Errorf("left: %s", rel)
		}
		return nil
	})
	if err != nil {
		l.T.Error(err)
	}
}

// belongs reports whether a file, by its path in the archive's own folder, belongs there while nothing is under way.
func (l *Lab) belongs(path string) bool {
	known := false
	switch dir, name := filepath.Split(path); dir {
	case "":
		known = name == archive.ArchiveFile || name == archive.LockFile || name == archive.IndexFile || name == "verified"
	case archive.CatalogsDir + "/":
		_, known = l.Taken[strings.TrimSuffix(name, archive.CatalogExt)]
	case archive.RunsDir + "/":
		_, known = l.Taken[strings.TrimSuffix(name, ".json")]
		known = known || archive.IsUnpublished(name) // of a run that was made to fail
	}
	return known
}

// FaultTree and faultEdits make a run that goes through every step there is, some of them several times.
const FaultTree = `
dir d 0755 mtime=5.5
dir d/e 0700
file d/e/f 0644 "f"
file kept 0644 "kept" mtime=1.5
file changed 0644 "before"
file big 0644 random=1200000:1
file meta 0644 "meta"
file moves 0644 "moves" mtime=2.5
file g1 0644 "group"
link d/g2 g1
symlink s kept
fifo p 0600
`

func Patterns(t *testing.T, lines ...string) *exclude.Matcher {
	t.Helper()
	m := exclude.New()
	for i, line := range lines {
		if err := m.Add(line, "test", i+1); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// Adopt takes on the snapshots that another process has published; the source has not changed meanwhile.
func (l *Lab) Adopt() (found int) {
	l.T.Helper()
	if _, err := os.Stat(l.Path(archive.MetaDir, archive.ArchiveFile)); err != nil {
		return 0
	}
	a := l.Open()
	defer l.Close(a)
	list, err := a.Snapshots()
	if err != nil {
		l.T.Fatal(err)
	}
	want := testtree.Take(l.T, l.Src)
	for _, s := range list {
		if _, known := l.Taken[s.Name]; !known {
			l.Note(&archive.Report{Snapshot: s.Name})
			testtree.Equal(l.T, "snapshot "+s.Name, want, l.Taken[s.Name], l.Without)
			found++
		}
	}
	return found
}

var ErrStopped = errors.New("stopped")

// Judged takes a snapshot that is measured against a base line and sets off tripwires.
func (l *Lab) Judged(base string, want ...archive.Tripwire) *archive.Report {
	l.T.Helper()
	rep, err := snapshot.Run(l.T.Context(), l.Src, l.Arch, l.Opt)
	if err != nil {
		l.T.Fatalf("run: %v", err)
	}
	l.Note(rep)
	got := ""
	if rep.Baseline != nil {
		got = rep.Baseline.Snapshot
	}
	if got != base {
		l.T.Errorf("%s is measured against %q; want %q", rep.Snapshot, got, base)
	}
	if !slices.Equal(rep.Tripwires, want) {
		l.T.Errorf("%s sets off %q; want %q (%+v)", rep.Snapshot, rep.Tripwires, want, rep.Baseline)
	}
	return rep
}

// Nightly makes each run of l take place a day after the one before.
func (l *Lab) Nightly() {
	at := time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)
	l.Opt.Now = func() time.Time { return at.AddDate(0, 0, len(l.Order)) }
}

// LatestIs makes sure that "latest" points at the newest snapshot.
func (l *Lab) LatestIs(name string) {
	l.T.Helper()
	if target, err := os.Readlink(l.Path(archive.LatestLink)); err != nil || target != name {
		l.T.Errorf("latest: %s, %v; want %s", target, err, name)
	}
}
