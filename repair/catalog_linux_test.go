package repair_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/fault"
	"snapcopy/internal/jsonfile"
	"snapcopy/internal/testtree"
	"snapcopy/internal/tree"
	"snapcopy/repair"
	"snapcopy/snapshot"
)

func (l *lab) rebuild(name string, opt repair.CatalogOptions) (*repair.Rebuilt, error) {
	l.T.Helper()
	a := l.Open()
	defer l.Close(a)
	before := testtree.OpenDescriptors(l.T)
	made, err := repair.RebuildCatalog(l.T.Context(), a, name, opt)
	if after := testtree.OpenDescriptors(l.T); after != before {
		l.T.Errorf("%d descriptors are left open", after-before)
	}
	return made, err
}

// Guards: a catalog made anew says of each entry what the lost one said, but for what only the source's inode tells; the next
// run reads everything, and shares it.
func TestRebuildCatalog(t *testing.T) {
	for _, which := range []int{0, 1, 2} {
		l := newLab(t)
		name := l.Order[which]
		was := l.Entries(name)
		path := filepath.Join(l.Arch, archive.MetaDir, archive.CatalogsDir, name+archive.CatalogExt)
		if which == 1 {
			l.must(os.Remove(path))
		} else {
			l.must(os.Truncate(path, 500))
		}
		made, err := l.rebuild(name, repair.CatalogOptions{Threads: 2})
		l.must(err)
		if (made.Aside == "") != (which == 1) || made.NoReport || len(made.Damaged)+len(made.Unreadable) > 0 {
			t.Errorf("%+v", made)
		}
		l.same()
		l.inodes()
		compareEntries(t, was, l.Entries(name))
		rep := l.Run()
		if rep.Counts.BytesStored > 0 || which == 2 && rep.Counts.BytesRead == 0 {
			t.Errorf("the next run: %+v", rep.Counts)
		}
		l.Verify()
		if _, err := l.rebuild(name, repair.CatalogOptions{}); !errors.Is(err, repair.ErrCatalogSound) {
			t.Errorf("a sound catalog: %v", err)
		}
	}
}

// Guards: a file that the disk does not return once is in the new catalog, as the sound catalog would not be made again.
func TestRebuildReadsAgain(t *testing.T) {
	l := newLab(t)
	name := l.Order[2]
	was := l.Entries(name)
	l.must(os.Remove(filepath.Join(l.Arch, archive.MetaDir, archive.CatalogsDir, name+archive.CatalogExt)))
	failed := false
	made, err := l.rebuild(name, repair.CatalogOptions{Threads: 1, Fault: func(step string) error {
		if step != "read a stored file" {
			return nil
		}
		if failed = !failed; failed { // the first time, of each file
			return unix.EIO
		}
		return nil
	}})
	l.must(err)
	if len(made.Damaged)+len(made.Unreadable) > 0 {
		t.Errorf("%+v", made)
	}
	compareEntries(t, was, l.Entries(name))
	l.Verify()
}

// compareEntries compares the entries of a catalog that was made anew with those of the lost one.
func compareEntries(t *testing.T, was, is map[string]index.Entry) {
	t.Helper()
	for path, e := range was {
		got, has := is[path]
		const known = tree.Type | tree.Body | tree.OfInode | tree.Nlink | tree.Stored
		if d := tree.Diff(&e, &got) & known; !has || e.Type != index.Dir && d != 0 || got.Flags&index.Racy == 0 {
			t.Errorf("%s: %+v, was %+v", path, got, e)
		}
	}
	if len(is) != len(was) {
		t.Errorf("%d entries, were %d", len(is), len(was))
	}
}

// Guards: damage in the folder is not taken for the truth where another catalog knows the stored file.
func TestRebuildCatalogOfDamagedFolder(t *testing.T) {
	l := newLab(t)
	l.must(rot(l.Path(l.Order[1], "kept")))
	l.must(os.WriteFile(l.Path(l.Order[1], "d/e/f"), []byte("edited in place"), 0))
	l.must(unix.Setxattr(l.Path(l.Order[1], "twin1"), "user.evil", []byte("x"), 0))
	l.must(os.Chmod(l.Path(l.Order[1], "none"), 0o711))
	l.must(os.Remove(filepath.Join(l.Arch, archive.MetaDir, archive.CatalogsDir, l.Order[1]+archive.CatalogExt)))
	rep := l.repair(l.found())
	if rep.Unrepaired > 0 {
		t.Errorf("%+v", l.items)
	}
	l.same()
	l.inodes()
}

// Guards: a catalog made anew does not tear a link group of which a neighbouring catalog knows some names only, although the
// content or the metadata of its stored file are damaged.
func TestRebuildCatalogOfHalfKnownGroup(t *testing.T) {
	for _, wound := range []struct {
		name string
		make func(path string) error
	}{
		{"content", rot},
		{"metadata", func(path string) error { return os.Chmod(path, 0o640) }},
		{"nothing", func(string) error { return nil }},
	} {
		t.Run(wound.name, func(t *testing.T) {
			l := newLab(t)
			l.Build("file h1 0600 random=9000:7\nlink h2 h1\nlink d/h3 h1\nset d mtime=5.5")
			testtree.Settle()
			l.Run()
			l.Build("mv h2 h4\nmv d/h3 locked-h5\nset d mtime=5.5")
			testtree.Settle()
			l.Run()
			newest := l.Order[len(l.Order)-1]
			was := l.Entries(newest)
			l.must(wound.make(l.Path(newest, "h1")))
			l.must(os.Remove(filepath.Join(l.Arch, archive.MetaDir, archive.CatalogsDir, newest+archive.CatalogExt)))
			made, err := l.rebuild(newest, repair.CatalogOptions{Threads: 2})
			l.must(err)
			if want := 3; wound.name != "nothing" && len(made.Damaged) != want {
				t.Errorf("damaged are %q, want all %d names", made.Damaged, want)
			}
			is := l.Entries(newest)
			for _, name := range []string{"h1", "h4", "locked-h5"} {
				a, b, before := is["h1"], is[name], was[name]
				if tree.GroupKeyOf(&a) != tree.GroupKeyOf(&b) || b.Hash != before.Hash || b.Mode != before.Mode {
					t.Errorf("%s is %+v, h1 %+v", name, b, a)
				}
			}
			if rep := l.repair(l.found()); rep.Unrepaired > 0 {
				t.Errorf("%+v", l.items)
			}
			l.same()
			l.inodes()
		})
	}
}

// Guards: a catalog that is written a second time, because there was no space at first, says the same.
func TestRebuildCatalogMakesRoom(t *testing.T) {
	l := newLab(t)
	name := l.Order[2]
	was := l.Entries(name)
	l.must(os.Remove(filepath.Join(l.Arch, archive.MetaDir, archive.CatalogsDir, name+archive.CatalogExt)))
	lacks := true
	made, err := l.rebuild(name, repair.CatalogOptions{Threads: 2, Fault: func(step string) error {
		if step == "old catalog" && lacks {
			lacks = false
			return unix.ENOSPC
		}
		return nil
	}})
	l.must(err)
	if lacks || len(made.Damaged)+len(made.Unreadable) > 0 {
		t.Errorf("%v, %+v", lacks, made)
	}
	l.same()
	l.inodes()
	compareEntries(t, was, l.Entries(name))
}

// Guards: a catalog that could not be read when damage was looked for, and can be read afterwards, is not replaced; and the
// snapshot, in which nobody has looked for damage, does not count as sound.
func TestCatalogReadAtTheSecondTry(t *testing.T) {
	l := newLab(t)
	rep := l.repair(repair.Options{Catalogs: l.Order[:1], Verified: l.Order})
	if rep.Unexamined != 1 || rep.Repaired+rep.Unrepaired+rep.Sound != 0 {
		t.Errorf("%+v", rep)
	}
	l.same()
}

// Guards: a process that dies while it makes a catalog anew leaves the damaged one or none, and another one makes it.
func TestRebuildCatalogCrashes(t *testing.T) {
	l := newLab(t)
	path := filepath.Join(l.Arch, archive.MetaDir, archive.CatalogsDir, l.Order[1]+archive.CatalogExt)
	for _, at := range []string{"new catalog", "old catalog", "catalog"} {
		l.must(os.WriteFile(path, []byte("damaged"), 0o600))
		crash := func(step string) error {
			if step == at {
				return fault.ErrCrash
			}
			return nil
		}
		if _, err := l.rebuild(l.Order[1], repair.CatalogOptions{Fault: crash}); !errors.Is(err, fault.ErrCrash) {
			t.Errorf("%s: %v", at, err)
		}
		_, err := l.rebuild(l.Order[1], repair.CatalogOptions{})
		l.must(err)
		l.same()
	}
}

// Guards: a stored file that somebody has edited in place is not linked to by the run that comes across it, which stores it
// anew; a repair then mends the earlier snapshots.
func TestEditedInPlace(t *testing.T) {
	l := &lab{Lab: archivetest.New(t)}
	l.Build("file a 0644 content\nfile b 0644 other")
	testtree.Settle()
	l.Run()
	l.must(os.WriteFile(l.Path(l.Order[0], "a"), []byte("edited in place"), 0))
	l.Opt.Recheck = 1
	rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
	l.must(err)
	if rep.AlteredCount != 1 || rep.Counts.BytesStored != 7 {
		t.Errorf("%d altered, %d bytes stored", rep.AlteredCount, rep.Counts.BytesStored)
	}
	l.Note(rep)
	if report := l.repair(l.found()); report.Unrepaired > 0 || report.Repaired != 1 {
		t.Errorf("%+v", report)
	}
	l.same()
}

// Guards: a lost catalog comes from a copy of the archive, and with it the damage of the snapshot's folder is found. A catalog
// from before a path was forgotten is not taken.
func TestCatalogFromCopy(t *testing.T) {
	for _, forgotten := range []bool{false, true} {
		l := newLab(t)
		name := l.Order[1]
		other := l.copied()
		l.must(os.Remove(l.Path(archive.MetaDir, archive.CatalogsDir, name+archive.CatalogExt)))
		l.must(os.RemoveAll(l.Path(name, "d/once")))
		l.must(os.Chmod(l.Path(name, "changes"), 0o711))
		opt := repair.Options{From: []*archive.Archive{other}}
		a := l.Open()
		if forgotten {
			report, err := a.Reports.Read(name)
			l.must(err)
			report.ForgottenIn = []archive.LeftOutItem{{}}
			l.must(jsonfile.Write(l.Path(archive.MetaDir, "runs", name+".json"), report))
		}
		opt.Tell = func(item *repair.Item) error {
			if is := item.Origin.Kind == repair.FromCopy; item.What == repair.OfCatalog && is == forgotten {
				t.Errorf("forgotten %v: %+v", forgotten, item.Origin)
			}
			return nil
		}
		rep, err := repair.Catalogs(t.Context(), a, opt)
		l.must(errors.Join(err, a.Close()))
		if rep.Repaired != 2 {
			t.Errorf("%+v", rep)
		}
		found := l.found()
		found.From = opt.From
		if rep := l.repair(found); rep.Unrepaired > 0 {
			t.Errorf("%+v", l.items)
		}
		if l.Verify(); !forgotten {
			l.same()
			l.inodes()
		}
	}
}
