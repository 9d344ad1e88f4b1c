package archive_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
	"snapcopy/internal/verify"
)

// remove removes snapshots, which has to succeed and to leave no descriptor open.
func (l *lab) remove(names ...string) *archive.RemoveReport {
	l.T.Helper()
	a := l.Open()
	before := testtree.OpenDescriptors(l.T)
	rep, err := a.Remove(context.Background(), names, archive.RemoveOptions{Threads: l.Opt.Threads})
	if err != nil {
		l.T.Fatalf("remove: %v", err)
	}
	if after := testtree.OpenDescriptors(l.T); after != before && !l.Parallel {
		l.T.Errorf("removing left %d descriptors open", after-before)
	}
	l.Close(a)
	if len(rep.Unfinished) > 0 || len(rep.Removed)+len(rep.Skipped) != len(names) {
		l.T.Errorf("report: %+v", rep)
	}
	for _, r := range rep.Removed {
		l.forget(r.Name)
	}
	return rep
}

// forget makes the lab expect that a snapshot is gone.
func (l *lab) forget(name string) {
	delete(l.Taken, name)
	l.Order = slices.DeleteFunc(l.Order, func(n string) bool { return n == name })
}

// indexed makes sure that the index finds every stored file of every snapshot where it is, and none besides.
func (l *lab) indexed() {
	l.T.Helper()
	x, err := index.OpenIndex(l.Path(archive.MetaDir, archive.IndexFile))
	if err != nil {
		l.T.Fatal(err)
	}
	all := make(map[string]map[string]index.Entry)
	held := make(map[uint64]bool)
	for _, name := range l.Order {
		all[name] = l.Entries(name)
		for _, e := range all[name] {
			if e.Type != index.File || e.Stored == 0 {
				continue
			}
			held[e.Stored] = true
			found := false
			err := x.Lookup(e.Hash, func(loc index.Location) bool {
				found = found || loc.Stored == e.Stored && l.isAt(loc, &e)
				return true
			})
			if err != nil || !found {
				l.T.Errorf("%s: the index does not find %q, %v", name, e.Name, err)
			}
		}
	}
	if x.Len() != uint64(len(held)) {
		l.T.Errorf("the index knows %d stored files, there are %d", x.Len(), len(held))
	}
	if err := x.Close(); err != nil {
		l.T.Error(err)
	}
}

func (l *lab) isAt(loc index.Location, want *index.Entry) bool {
	c, err := index.Open(l.Path(archive.MetaDir, archive.CatalogsDir, loc.Snapshot+archive.CatalogExt))
	if err != nil {
		l.T.Errorf("the index points to snapshot %s: %v", loc.Snapshot, err)
		return false
	}
	e, ok, err := c.At(loc.Dir, loc.Entry)
	if err = errors.Join(err, c.Close()); err != nil {
		l.T.Error(err)
	}
	return ok && e.Stored == want.Stored && e.Hash == want.Hash
}

// Guards: whichever snapshots are removed, all others stay what they are, on the same inodes, the index finds what they
// hold and nothing else, and nothing is left of those removed.
func TestRemove(t *testing.T) {
	testtree.NeedRoot(t)
	for _, kind := range []string{"ext4", "xfs", "btrfs", "tmpfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			if kind == "tmpfs" {
				testtree.Tmpfs(t, filepath.Dir(l.Src), "size=100m")
				if err := os.Mkdir(l.Src, 0o755); err != nil {
					t.Fatal(err)
				}
			} else {
				l, _ = onDisk(t, kind, false)
			}
			l.Parallel = true
			l.Build(archivetest.Torture(t))
			l.Run()
			for i := range 6 {
				l.Build(fmt.Sprintf("write d/far %d\nset xa mode=060%d\nfile new%d 0644 random=5000:%d", i, i, i, i))
				l.Build(fmt.Sprintf("cp d copy%d\nset . mode=0555", i))
				l.Run()
				l.Build("set . mode=0755")
			}
			free := archivetest.FreeSpace(t, l.Arch)
			for _, pick := range [][]int{{1}, {0, 3}, {3}, {0, 1}} {
				var names []string
				for _, i := range pick {
					names = append(names, l.Order[i])
				}
				rep := l.remove(names...)
				var want uint64
				for _, r := range rep.Removed {
					want += r.Files + r.Dirs + 2
				}
				if rep.Unlinked != want {
					t.Errorf("%d names unlinked, want %d", rep.Unlinked, want)
				}
				l.Intact()
				l.indexed()
				l.NothingLeft()
				l.LatestIs(l.Order[len(l.Order)-1])
			}
			if now := archivetest.FreeSpace(t, l.Arch); now <= free && kind != "btrfs" {
				t.Errorf("%d bytes free, %d before", now, free)
			}
			l.Verify()
			l.Run()
			l.indexed()
			l.Verify()
		})
	}
}

// Guards: what a snapshot stored that is gone is found in those that share it, also where one between them does not
// have it, so that a file moved, or back again, is linked and not stored anew.
func TestRemovedSnapshotsFilesAreStillFound(t *testing.T) {
	for _, rebuilt := range []bool{false, true} {
		for gone := range 3 { // whichever it is
			l := newLab(t)
			l.Build("file moves 0644 random=2000000:1\nfile comes 0644 \"comes back\"\nfile stays 0644 random=9000:3\n" +
				"file g1 0644 group\nlink g2 g1")
			testtree.Settle()
			l.Run()
			aside := filepath.Join(filepath.Dir(l.Src), "comes")
			if err := os.Rename(filepath.Join(l.Src, "comes"), aside); err != nil {
				t.Fatal(err)
			}
			l.Run()
			if err := os.Rename(aside, filepath.Join(l.Src, "is back")); err != nil {
				t.Fatal(err)
			}
			if rep := l.Run(); rep.Counts.Moved != 1 {
				t.Fatalf("moved: %d", rep.Counts.Moved)
			}
			if rebuilt {
				a := l.Open()
				if err := a.RebuildIndex(t.Context()); err != nil {
					t.Fatal(err)
				}
				l.Close(a)
			}
			l.remove(l.Order[gone])
			l.indexed()
			l.Build("mv moves moved\nmv \"is back\" elsewhere\nmv g1 g3\nmv stays stayed")
			rep := l.Run()
			if rep.IndexRebuilt != "" {
				t.Errorf("index: %s", rep.IndexRebuilt)
			}
			if rep.Counts.BytesStored != 0 {
				t.Errorf("without the %dth: %+v", gone, rep.Counts)
			}
			l.remove(l.Order[0])
			l.remove(l.Order[0])
			l.indexed()
			l.Intact()
			l.Verify()
		}
	}
}

// Guards: a snapshot that is being read, by a process or by what a note names, stays, and the report says why; the
// others go.
func TestRemoveSkipsWhatIsRead(t *testing.T) {
	l := newLab(t)
	l.Build("file f 0644 x")
	for range 4 {
		l.Run()
	}
	a := l.Open()
	defer l.Close(a)
	list, err := a.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	hold, err := list[0].Hold()
	if err != nil {
		t.Fatal(err)
	}
	reader := archive.NewReader(list[1].Name, "/srv/tree", time.Now())
	note, err := a.Readers.Add(reader)
	if err != nil {
		t.Fatal(err)
	}
	rep := l.remove(list[0].Name, list[1].Name, list[2].Name)
	if s := rep.Skipped; len(s) != 2 || s[0].Name != list[0].Name || s[1].Name != list[1].Name || s[1].Note != note {
		t.Errorf("skipped: %+v", s)
	} else if s[0].Pin != nil || s[0].Reader != nil || s[1].Pin != nil || s[1].Reader == nil || s[1].Reader.Place != "/srv/tree" {
		t.Errorf("reasons: %+v", s)
	}
	l.Intact()
	if err := errors.Join(hold.Release(), a.Readers.Remove(reader)); err != nil {
		t.Fatal(err)
	}
	if _, err := list[2].Hold(); !errors.Is(err, archive.ErrNoSnapshot) {
		t.Errorf("hold of a removed snapshot: %v", err)
	}
	if rep, err := verify.Run(t.Context(), a, list, verify.Options{}); err != nil || rep.Snapshots != 3 || rep.Damaged > 0 {
		t.Errorf("verify of a list that is not true any more: %+v, %v", rep, err)
	}
	l.remove(list[0].Name, list[1].Name)
	l.Intact()
	l.Verify()
}

// Guards: what must not be removed is not, and nothing else either; looking changes nothing.
func TestRemoveRefuses(t *testing.T) {
	l := newLab(t)
	l.Build("file f 0644 x")
	l.Run()
	l.Run()
	a := l.Open()
	defer l.Close(a)
	lock, err := a.Lock()
	if err != nil {
		t.Fatal(err)
	}
	_, locked := a.Remove(t.Context(), l.Order[:1], archive.RemoveOptions{})
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(archivetest.ErrStopped)
	_, none := a.Remove(t.Context(), []string{l.Order[0], "2001-01-01T000000Z"}, archive.RemoveOptions{})
	_, last := a.Remove(t.Context(), l.Order, archive.RemoveOptions{})
	_, stopped := a.Remove(ctx, l.Order[:1], archive.RemoveOptions{})
	rep, dry := a.Remove(t.Context(), l.Order, archive.RemoveOptions{DryRun: true, AllowLast: true,
		Freed: func(_ context.Context, names []string) (uint64, bool) { return uint64(len(names)), true }})
	for _, c := range []struct{ got, want error }{
		{locked, archive.ErrLocked}, {none, archive.ErrNoSnapshot}, {last, archive.ErrLastComplete}, {stopped, archivetest.ErrStopped}, {dry, nil},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
	if len(rep.Removed) != 2 || rep.Removed[0].Files != 1 || rep.Freed == nil || *rep.Freed != 2 {
		t.Errorf("dry run: %+v", rep)
	}
	l.Intact()
	l.NothingLeft()

	rep, err = a.Remove(t.Context(), l.Order, archive.RemoveOptions{AllowLast: true})
	if err != nil || len(rep.Removed) != 2 {
		t.Errorf("%+v, %v", rep, err)
	}
	if _, err := os.Lstat(l.Path(archive.LatestLink)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("latest: %v", err)
	}
	for _, name := range slices.Clone(l.Order) {
		l.forget(name)
	}
	l.Intact()
	l.NothingLeft()
	l.Run()
	l.Verify()
}

// Guards: a folder without write permission can be taken away by its owner, and keeps its mode if it is not after all.
func TestRemoveWithoutPrivileges(t *testing.T) {
	testtree.NeedRoot(t) // which drops its privileges
	l := newLab(t)
	l.Build("dir d 0555\nfile d/f 0444 x\ndir e 0000\nset . mode=0555")
	above := filepath.Dir(l.Src)
	if err := errors.Join(os.Chmod(above, 0o777), os.Chmod(filepath.Dir(above), 0o755)); err != nil {
		t.Fatal(err)
	}
	run := archivetest.Job{Source: l.Src, Archive: l.Arch}
	for range 3 {
		if out := run.Run(t, true); out.Report == nil || out.Report.Counts.Failed != 1 {
			t.Fatalf("run: %+v", out)
		}
	}
	a := l.Open()
	list, err := a.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Remove(t.Context(), []string{list[0].Name}, archive.RemoveOptions{}); !errors.Is(err, archive.ErrLastComplete) {
		t.Errorf("incomplete snapshots are none to rely on: %v", err)
	}
	l.Close(a)
	mode := func(name string) uint32 {
		var st unix.Stat_t
		if err := unix.Stat(l.Path(name), &st); err != nil {
			t.Fatal(err)
		}
		return st.Mode & 0o7777
	}
	name := list[1].Name
	for _, step := range []string{"note of the mode", "open the folder", "take away the folder"} {
		out := archivetest.Job{Archive: l.Arch, Remove: []string{name}, CrashAt: step}.Run(t, true)
		if out.Err == "" {
			t.Fatalf("no step %q", step)
		}
		if out := run.Run(t, true); out.Err != "" || mode(name) != 0o555 {
			t.Errorf("after a crash at %q: mode %o, %s", step, mode(name), out.Err)
		}
	}
	if out := (archivetest.Job{Archive: l.Arch, Remove: []string{name, list[0].Name}}).Run(t, true); out.Err != "" {
		t.Error(out.Err)
	}
	for _, gone := range []string{l.Path(name), l.Path(list[0].Name), l.Path(archive.MetaDir, archive.TrashDir, name+archive.GoneExt)} {
		if _, err := os.Lstat(gone); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", gone, err)
		}
	}
	verify := archivetest.Job{Source: l.Src, Archive: l.Arch, Verify: true}
	if out := verify.Run(t, true); len(out.Damaged) > 0 || out.Err != "" {
		t.Errorf("verify: %+v", out)
	}
}

// Guards: what speaks against removing is asked when nobody else can change the archive, and nothing goes then.
func TestRemoveChecks(t *testing.T) {
	l := newLab(t)
	l.Build("file a 0644 a")
	l.Run()
	l.Run()
	a := l.Open()
	defer l.Close(a)
	refused := errors.New("refused")
	_, err := a.Remove(t.Context(), l.Order[:1], archive.RemoveOptions{Check: func() error {
		if _, err := a.Lock(); !errors.Is(err, archive.ErrLocked) {
			t.Errorf("the archive can be locked: %v", err)
		}
		return refused
	}})
	if !errors.Is(err, refused) {
		t.Error(err)
	}
	l.Intact()
	l.Verify()
}
