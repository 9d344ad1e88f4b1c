package archive_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
)

// Guards: other catalogs than that of the snapshot after the one that is gone are read only for stored files that still
// have a name in one of them.
func TestForgetReadsNoMoreThanNeeded(t *testing.T) {
	for _, held := range []bool{false, true} {
		l := newLab(t)
		l.Build("file stays 0644 s\nfile gone 0644 random=5000:1\nfile g1 0644 group\nlink g2 g1\nfile old 0644 old")
		testtree.Settle()
		l.Run()
		l.Build("file only 0644 random=7000:2\nlink only2 only\nfile h1 0644 h\nlink h2 h1")
		if held {
			l.Build("mv old t")
			l.Run()
			l.Build("mv t old")
		}
		testtree.Settle()
		l.Run()
		gone := l.Order[len(l.Order)-1]
		l.Build("rm gone\nrm g1\nrm g2\nrm only\nrm only2\nrm h1\nrm h2")
		l.Build("rm old")
		l.Run()
		l.forgetting(gone, func(g *archive.Forgetter) {
			after, rest := g.Order()
			if len(after) != 1 || after[0].Name <= gone || len(rest) != len(l.Order)-2 {
				t.Errorf("after %s: %v; then %v", gone, after, rest)
			}
			if err := g.LookIn(after); err != nil {
				t.Error(err)
			}
			before := g.Left()
			if err := g.DropUnused(); err != nil {
				t.Error(err)
			}
			if before == 0 || g.Left() > 3 || g.Left() > 0 != stillHeld(t, g) {
				t.Errorf("%d stored files were left, %d have names elsewhere", before, g.Left())
			}
			if err := g.LookIn(rest); err != nil || g.Left() > 0 {
				t.Errorf("%d are not found, %v", g.Left(), err)
			}
		})
	}
}

// stillHeld reports whether a snapshot that stays has one of the stored files that are looked for.
func stillHeld(t *testing.T, g *archive.Forgetter) (held bool) {
	for _, s := range g.Snapshots() {
		c, err := s.OpenCatalog()
		if err != nil {
			t.Fatal(err)
		}
		err = c.Walk(func(_ string, _ *index.Record, e *index.Entry) error {
			held = held || e.Type == index.File && g.Wants(e.Stored)
			return nil
		})
		if err = errors.Join(err, c.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return held
}

// forgetting takes a snapshot away and hands over what is to change in the index.
func (l *lab) forgetting(name string, do func(*archive.Forgetter)) {
	l.T.Helper()
	a := l.Open()
	defer l.Close(a)
	lock, err := a.Lock()
	if err == nil {
		err = errors.Join(lock.MoveAway(name), lock.Unlock())
	}
	x, openErr := index.OpenIndex(a.IndexPath())
	if err = errors.Join(err, openErr); err != nil {
		l.T.Fatal(err)
	}
	g, err := archive.NewForgetter(l.T.Context(), a, name)
	g.Forgetting = index.Forget(x, func(n string) bool { return n == name }, a.WorkPath())
	if err == nil {
		err = g.Affected(l.T.Context(), g.Want)
	}
	if err != nil {
		l.T.Fatal(err)
	}
	do(g)
	if err := errors.Join(g.Close(), x.Close()); err != nil {
		l.T.Error(err)
	}
}

// Guards: an archive that was copied to another file system has catalogs with the inode numbers of two; then the index
// is made anew.
func TestRemoveFromCopiedArchive(t *testing.T) {
	l := newLab(t)
	l.Build("file a 0644 random=3000:1\nfile b 0644 random=4000:2\nfile c 0644 random=5000:3")
	testtree.Settle()
	l.Run()
	l.Run()
	moved := filepath.Join(filepath.Dir(l.Arch), "moved")
	if out, err := exec.Command("cp", "-a", l.Arch, moved).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := errors.Join(os.RemoveAll(l.Arch), os.Rename(moved, l.Arch)); err != nil {
		t.Fatal(err)
	}
	l.Build("mv b d")
	l.Run()
	l.remove(l.Order[0])
	l.Build("mv c e\nmv a f")
	testtree.Settle()
	if rep := l.Run(); rep.Counts.BytesStored > 0 {
		t.Errorf("stored again: %+v", rep.Counts)
	}
	l.Verify()
}

// Guards: what is needed to end a removal is never emptied away; all else is.
func TestStaying(t *testing.T) {
	const one, two = "2026-01-02T030405Z", "2026-01-03T030405Z"
	list := []string{one, one + archive.CatalogExt, one + archive.ReportExt, two + archive.CatalogExt, two + archive.ReportExt, two + archive.GoneExt,
		"2025-01-01T000000Z" + archive.OpenedExt, one + archive.GoneExt, "anything"}
	want := []string{one, one + archive.CatalogExt, one + archive.ReportExt, "2025-01-01T000000Z" + archive.OpenedExt}
	if got := archive.Staying(list); !slices.Equal(got, want) {
		t.Errorf("%q stay, want %q", got, want)
	}
}
