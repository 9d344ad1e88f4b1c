package snapshot_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// Guards: the index does not point to snapshots that were removed, so a move is found among those that are left.
func TestMoveAfterOldestSnapshotWasRemoved(t *testing.T) {
	l := newLab(t)
	l.Build("file a 0644 random=300000:1")
	first := l.Run().Snapshot
	l.Build("file b 0644 x")
	l.Run()
	for _, part := range []string{l.Path(first), l.Path(archive.MetaDir, archive.CatalogsDir, first+archive.CatalogExt), l.Path(archive.MetaDir, archive.RunsDir, first+".json")} {
		if err := os.RemoveAll(part); err != nil {
			t.Fatal(err)
		}
	}
	delete(l.Taken, first)
	if err := os.Rename(filepath.Join(l.Src, "a"), filepath.Join(l.Src, "c")); err != nil {
		t.Fatal(err)
	}
	r := l.Run()
	if r.Counts.Moved != 1 || r.Counts.BytesStored != 0 || r.IndexRebuilt == "" {
		t.Errorf("moved %d, stored %d, index: %q", r.Counts.Moved, r.Counts.BytesStored, r.IndexRebuilt)
	}
	l.Intact()
	l.Verify()
}

// Guards: a file that is put back as it was in an older snapshot, as a new inode, is a name of the file stored then.
func TestPutBackAsItWas(t *testing.T) {
	l := newLab(t)
	l.Build("file a 0644 old")
	first := l.Run().Snapshot
	path := filepath.Join(l.Src, "a")
	aside := filepath.Join(t.TempDir(), "aside")
	if err := os.Rename(path, aside); err != nil {
		t.Fatal(err)
	}
	l.Build("file a 0644 newer")
	l.Run()
	info, err := os.Stat(aside)
	if err != nil {
		t.Fatal(err)
	}
	copied := path + ".copy" // beside the other two: its inode number is that of none of them
	if err := os.WriteFile(copied, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(copied, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(copied, path); err != nil {
		t.Fatal(err)
	}
	r := l.Run()
	if r.Counts.BytesStored != 0 || r.Counts.Unchanged != 1 {
		t.Errorf("stored %d bytes, counts %+v", r.Counts.BytesStored, r.Counts)
	}
	stored, err := os.Stat(l.Path(first, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := os.Stat(l.Path(r.Snapshot, "a")); err != nil || !os.SameFile(stored, again) {
		t.Errorf("stored anew, or not at all: %v", err)
	}
	l.Intact()
	l.Verify()
}

// Guards: a file that gets a second name while it is copied leaves a snapshot that agrees with its catalog.
func TestSecondNameWhileCopied(t *testing.T) {
	l := newLab(t)
	l.Build("file a1 0644 random=3000000:1\ndir sub 0755")
	var once sync.Once
	l.Opt.Fault = func(step string) (err error) {
		if step == "write" {
			once.Do(func() { err = os.Link(filepath.Join(l.Src, "a1"), filepath.Join(l.Src, "sub", "a2")) })
		}
		return err
	}
	l.Opt.Threads = 1
	l.runChanging()
	l.Verify()
}

// Guards: an extended attribute, or anything else, of a folder without any permission is there too.
func TestFolderOfModeZero(t *testing.T) {
	testtree.NeedRoot(t)
	l := newLab(t)
	l.Build("dir none 0000\ndir empty 0700")
	l.Run()
	l.Intact()
	l.Verify()
}

// Guards: a published snapshot whose report could not be written gets one from its catalog, and a snapshot that somebody
// removed is told of, not taken for one that was never published.
func TestReportIsMadeUpFor(t *testing.T) {
	l := newLab(t)
	l.Build("file a 0644 x")
	name := l.Run().Snapshot
	report := l.Path(archive.MetaDir, archive.RunsDir, name+".json")
	if err := os.Remove(report); err != nil {
		t.Fatal(err)
	}
	l.Run()
	if _, err := os.Stat(report); err != nil {
		t.Fatal(err)
	}
	newest := l.Run().Snapshot
	if err := os.RemoveAll(l.Path(newest)); err != nil {
		t.Fatal(err)
	}
	delete(l.Taken, newest)
	l.Run()
	if _, err := os.Stat(l.Path(archive.MetaDir, archive.CatalogsDir, newest+archive.CatalogExt)); err != nil {
		t.Errorf("the last record of a published snapshot is gone: %v", err)
	}
}

// Guards: a report that waits in the work folder for space belongs to its own snapshot: a later run leaves it there, whether
// that run fails or not, and the next one puts it into its place.
func TestWaitingReportStays(t *testing.T) {
	for _, cause := range []error{nil, unix.ENOSPC} {
		l := newLab(t)
		l.Build("file a 0644 x")
		report := l.Path(archive.MetaDir, archive.RunsDir, l.Run().Snapshot+".json")
		want, err := os.ReadFile(report)
		check(t, err)
		l.Opt.Fault = func(step string) error {
			if step != "begin" {
				return nil
			}
			check(t, os.Rename(report, l.Path(archive.MetaDir, archive.WorkDir, archive.WorkReport)))
			return cause
		}
		rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
		if !errors.Is(err, cause) {
			t.Fatal(err)
		}
		if err == nil {
			l.Note(rep)
		}
		l.Opt.Fault = nil
		l.Run()
		if has, err := os.ReadFile(report); err != nil || !bytes.Equal(has, want) {
			t.Errorf("%v: %s, %v", cause, has, err)
		}
		l.NothingLeft()
	}
}

// Guards: a run that needs the place in the work folder for its own report gives the one that waits there its place first,
// and publishes nothing if that is impossible.
func TestWaitingReportIsPlacedFirst(t *testing.T) {
	for _, refused := range []bool{false, true} {
		l := newLab(t)
		l.Build("file a 0644 x")
		report := l.Path(archive.MetaDir, archive.RunsDir, l.Run().Snapshot+".json")
		want, err := os.ReadFile(report)
		check(t, err)
		work := l.Path(archive.MetaDir, archive.WorkDir, archive.WorkReport)
		l.Opt.Fault = func(step string) error {
			if step == "outcome" {
				check(t, os.Rename(report, work))
				if refused { // a link to itself, where nothing can be looked at
					check(t, os.Rename(filepath.Dir(report), filepath.Dir(report)+".away"))
					check(t, os.Symlink(archive.RunsDir, filepath.Dir(report)))
				}
			}
			return nil
		}
		l.Build("rm a") // the source is empty
		rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
		if refused {
			if err == nil {
				t.Error("the run published a snapshot")
			}
			check(t, os.Remove(filepath.Dir(report)))
			check(t, os.Rename(filepath.Dir(report)+".away", filepath.Dir(report)))
			report = work
		} else if check(t, err); len(rep.Tripwires) == 0 {
			t.Error("the run looks right")
		}
		if has, err := os.ReadFile(report); err != nil || !bytes.Equal(has, want) {
			t.Errorf("refused %v: %s, %v", refused, has, err)
		}
	}
}

// Guards: a name that a program links after all the names an inode had were seen is stored for itself and marked so.
func TestNameLinkedAfterItsGroup(t *testing.T) {
	l := newLab(t)
	l.Build("file a 0644 content\nlink b a\ndir z 0755\ndir z/y 0755")
	var once sync.Once
	l.Opt.SourceFault = func(op, name string) (err error) {
		if op == "list" && name == "z" { // the files of the top have been dealt with
			once.Do(func() { err = os.Link(filepath.Join(l.Src, "a"), filepath.Join(l.Src, "z", "c")) })
		}
		return err
	}
	l.Opt.Threads = 1
	rep := l.runChanging()
	l.Verify()
	if e := l.Entries(rep.Snapshot)["z/c"]; e.Flags&index.LinksCatalogOnly == 0 || rep.CatalogOnly.LinksChanged != 1 {
		t.Errorf("z/c has the flags %b; %d names are not held", e.Flags, rep.CatalogOnly.LinksChanged)
	}
}

// Guards: a stored file that somebody has written to is not taken for the content that was stored.
func TestStoredFileWrittenTo(t *testing.T) {
	l := newLab(t)
	l.Build("file a 0644 content\nfile b 0644 contents")
	testtree.Settle()
	first := l.Run().Snapshot
	if err := os.WriteFile(l.Path(first, "a"), []byte("CONTENT"), 0o644); err != nil {
		t.Fatal(err)
	}
	delete(l.Taken, first)
	l.Build("mv a moved")
	l.Run()
	if text, err := os.ReadFile(l.Path("latest", "moved")); err != nil || string(text) != "content" {
		t.Errorf("moved holds %q, %v", text, err)
	}
}

// Guards: changed file attributes are seen where the change time is not looked at.
func TestIgnoredChangeTimeAndAttributes(t *testing.T) {
	l := newLab(t)
	l.Opt.IgnoreCtime = true
	l.Build("file a 0644 content\nset a mtime=1.5")
	testtree.Settle()
	l.Run()
	fd, err := os.Open(filepath.Join(l.Src, "a"))
	if err != nil {
		t.Fatal(err)
	}
	err = fsat.SetAttrs(int(fd.Fd()), 0x80, 0x80)
	if closeErr := fd.Close(); closeErr != nil {
		t.Fatal(closeErr)
	}
	if fsat.IsRefused(err) {
		t.Skip("no file attributes here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	rep := l.Run()
	if e := l.Entries(rep.Snapshot)["a"]; e.Attrs != 0x80 {
		t.Errorf("attributes %#x", e.Attrs)
	}
}
