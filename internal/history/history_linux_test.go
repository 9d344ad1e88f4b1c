package history

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"snapcopy/index"
)

// history opens all snapshots of a series.
func (s *series) history() *History {
	s.T.Helper()
	h, err := OpenHistory(context.Background(), s.refs())
	s.Check(err)
	s.T.Cleanup(func() { s.Check(h.Close()) })
	return h
}

func day(snapshot string) string {
	return strings.TrimSuffix(strings.TrimPrefix(snapshot, "2026-11-"), "T020000Z")
}

// versionLines gives the versions of a path, a line each.
func versionLines(t *testing.T, h *History, path string) (lines []string) {
	t.Helper()
	list, err := h.Versions(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		line := fmt.Sprintf("%s %s-%s (%d) %d", v.Path, day(v.First), day(v.Last), v.Snapshots, v.Entry.Size)
		if v.From != "" {
			line += " was " + v.From
		}
		if v.Gone != "" {
			line += " gone " + day(v.Gone)
		}
		if v.To != "" {
			line += " to " + v.To
		}
		var kinds []string
		for kind, n := range v.Changes {
			kinds = append(kinds, fmt.Sprintf("%s=%d", kind, n))
		}
		slices.Sort(kinds)
		lines = append(lines, strings.Join(append([]string{line}, kinds...), " "))
	}
	return lines
}

func wantVersions(t *testing.T, h *History, path string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, versionLines(t, h, path)); diff != "" {
		t.Errorf("versions of %q (-want +got):\n%s", path, diff)
	}
}

func TestVersions(t *testing.T) {
	s := newSeries(t)
	s.File("docs/a", "1")
	s.File("docs/other", "never changes")
	s.File("x/plan", "the plan")
	s.snap() // 20
	s.snap()
	s.File("docs/a", "22")
	s.snap() // 22
	s.Mode("docs/a", 0o600)
	s.Link("docs/a", "hard") // no version of its own
	s.snap()                 // 23
	s.Check(os.Remove(s.Path("hard")))
	s.snap() // 24
	s.Check(os.Rename(s.Path("docs/a"), s.Path("b")))
	s.snap() // 25
	s.File("docs/a", "another")
	s.snap() // 26
	s.File("b", "4444")
	s.snap() // 27
	s.Check(os.Remove(s.Path("docs/a")))
	s.Check(os.Rename(s.Path("b"), s.Path("x/plan")))
	s.snap() // 28
	h := s.history()

	wantVersions(t, h, "docs/a",
		"docs/a 20-21 (2) 1",
		"docs/a 22-22 (1) 2",
		"docs/a 23-24 (2) 2 gone 25 to b",
		"docs/a 26-27 (2) 7 gone 28")
	wantVersions(t, h, "/b/",
		"docs/a 20-21 (2) 1",
		"docs/a 22-22 (1) 2",
		"docs/a 23-24 (2) 2",
		"b 25-26 (2) 2 was docs/a",
		"b 27-27 (1) 4 gone 28 to x/plan")
	wantVersions(t, h, "x/plan", "x/plan 20-27 (8) 8", "x/plan 28-28 (1) 4")
	wantVersions(t, h, "docs/other", "docs/other 20-28 (9) 13")
	wantVersions(t, h, "docs",
		"docs 20-21 (2) 0 added=3",
		"docs 22-22 (1) 0 changed=1",
		"docs 23-23 (1) 0 metadata=1",
		"docs 24-24 (1) 0 metadata=1",
		"docs 25-25 (1) 0 metadata=1 removed=1",
		"docs 26-27 (2) 0 added=1 metadata=1",
		"docs 28-28 (1) 0 metadata=1 removed=1")
	if h.Unusable() != nil {
		t.Errorf("unusable: %v", h.Unusable())
	}
}

func TestVersionsOfFolder(t *testing.T) {
	s := newSeries(t)
	s.File("old/name/x", "x")
	s.File("keep", "k")
	s.snap() // 20
	s.File("old/name/y", "y")
	s.snap() // 21
	s.Check(os.Rename(s.Path("old/name"), s.Path("new")))
	s.snap() // 22
	s.Check(os.RemoveAll(s.Path("new")))
	s.File("new", "a file now")
	s.snap() // 23
	wantVersions(t, s.history(), "new",
		"old/name 20-20 (1) 0 added=2",
		"old/name 21-21 (1) 0 added=1 metadata=1",
		"new 22-22 (1) 0 was old/name",
		"new 23-23 (1) 10")
	wantVersions(t, s.history(), "", " 20-20 (1) 0 added=5", " 21-21 (1) 0 added=1 metadata=1",
		" 22-22 (1) 0 added=1 metadata=2 moved=2 removed=1", " 23-23 (1) 0 metadata=1 removed=2 type_changed=1")
}

// Among several files with the content, the one that is gone is what a file was called before.
func TestVersionsRenameAmongCopies(t *testing.T) {
	s := newSeries(t)
	for _, name := range []string{"a/f", "b/f", "c/g"} {
		s.File(name, "same")
	}
	s.File("empty", "")
	s.snap()
	s.Check(os.Rename(s.Path("c/g"), s.Path("d")))
	s.Check(os.Rename(s.Path("b/f"), s.Path("f")))
	s.Check(os.Rename(s.Path("empty"), s.Path("void")))
	s.File("copy", "same")
	s.snap()
	h := s.history()
	wantVersions(t, h, "f", "b/f 20-20 (1) 4", "f 21-21 (1) 4 was b/f")
	wantVersions(t, h, "void", "void 21-21 (1) 0")
	wantVersions(t, h, "a/f", "a/f 20-21 (2) 4")
}

// A file that got its old name back is told of once.
func TestVersionsRenamedBack(t *testing.T) {
	s := newSeries(t)
	s.File("a", "content")
	s.snap()
	s.Check(os.Rename(s.Path("a"), s.Path("b")))
	s.snap()
	s.Check(os.Rename(s.Path("b"), s.Path("a")))
	s.snap()
	wantVersions(t, s.history(), "a", "a 20-20 (1) 7 gone 21 to b", "b 21-21 (1) 7 was a", "a 22-22 (1) 7 was b")
	wantVersions(t, s.history(), "b", "a 20-20 (1) 7", "b 21-21 (1) 7 was a gone 22 to a")
}

func TestVersionsOfDamaged(t *testing.T) {
	s := newSeries(t)
	s.File("f", "1")
	s.snap()
	second := s.snap()
	s.File("f", "22")
	s.snap()
	catalog := filepath.Join(s.archive, ".snapcopy", "catalogs", second+".cat")
	content, err := os.ReadFile(catalog)
	s.Check(err)
	for _, at := range []int{30, len(content) - 3} { // a record, and the footer
		damaged := slices.Clone(content)
		damaged[at] ^= 1
		s.Check(os.WriteFile(catalog, damaged, 0o600))
		h := s.history()
		wantVersions(t, h, "f", "f 20-20 (1) 1", "f 22-22 (1) 2")
		if list := h.Unusable(); len(list) != 1 || list[0].Snapshot != second {
			t.Errorf("damage at %d: unusable: %v", at, list)
		}
	}
}

// Guards: a catalog that was copied into another snapshot's place is unusable; nothing in it is taken for that snapshot.
func TestCatalogOfAnother(t *testing.T) {
	s := newSeries(t)
	s.File("f", "1")
	first := s.snap()
	s.File("f", "22")
	second := s.snap()
	s.snap()
	catalog := func(name string) string { return filepath.Join(s.archive, ".snapcopy", "catalogs", name+".cat") }
	content, err := os.ReadFile(catalog(second))
	s.Check(err)
	s.Check(os.WriteFile(catalog(first), content, 0o600))
	wantExplained(t, s.explainer(), map[string]string{"f": "unchanged with=21 since=21 snapshots=1"})

	content, err = os.ReadFile(catalog(s.snap()))
	s.Check(err)
	s.Check(os.WriteFile(catalog(second), content, 0o600))
	h := s.history()
	wantVersions(t, h, "f", "f 22-23 (2) 2")
	var unusable []string
	for _, u := range h.Unusable() {
		if !errors.Is(u.Err, index.ErrDamaged) {
			t.Errorf("%s: %v", u.Snapshot, u.Err)
		}
		unusable = append(unusable, u.Snapshot)
	}
	if !slices.Equal(unusable, []string{first, second}) {
		t.Errorf("unusable: %q", unusable)
	}
	wantExplained(t, s.explainer(), map[string]string{"f": "unchanged with=22 since=22 snapshots=1"})
	fourth := s.snap()
	s.File("f", "333")
	s.snap()
	s.Check(os.WriteFile(catalog(fourth), content, 0o600))
	wantExplained(t, s.explainer(), map[string]string{"f": "previous_unusable fields=mtime"})
}

func TestVersionsNowhere(t *testing.T) {
	s := newSeries(t)
	s.File("docs/letter", "x")
	s.File("docs/old letter", "x")
	s.File("docs/f1", "x")
	s.File("f2", "x")
	s.snap()
	s.Check(os.Remove(s.Path("docs/old letter")))
	s.snap()
	h := s.history()
	for path, want := range map[string]string{
		"docs/lettr":       `"docs/lettr" is in no snapshot; nearest: "docs/letter" (in 2 snapshots, 20 to 21)`,
		"docs/old letters": `"docs/old letters" is in no snapshot; nearest: "docs/old letter" (in snapshot 20)`,
		"docs/letter/x":    `"docs/letter/x" is in no snapshot; nearest: "docs/letter" (in 2 snapshots, 20 to 21)`,
		"docs/Lteter":      `"docs/Lteter" is in no snapshot; nearest: "docs/letter" (in 2 snapshots, 20 to 21)`,
		"Docs/letter":      `"Docs/letter" is in no snapshot; nearest: "docs/letter" (in 2 snapshots, 20 to 21)`,
		"Docs/none":        `"Docs/none" is in no snapshot; nearest: "docs" (in 2 snapshots, 20 to 21)`,
		"letter":           `"letter" is in no snapshot; nearest: "docs/letter" (in 2 snapshots, 20 to 21)`,
		"f1": `"f1" is in no snapshot; nearest: "docs/f1" (in 2 snapshots, 20 to 21), ` +
			`"f2" (in 2 snapshots, 20 to 21)`,
		"x/Letter":        `"x/Letter" is in no snapshot; nearest: "docs/letter" (in 2 snapshots, 20 to 21)`,
		"docs/old":        `"docs/old" is in no snapshot; nearest: "docs/old letter" (in snapshot 20)`,
		"docs/letter.txt": `"docs/letter.txt" is in no snapshot; nearest: "docs/letter" (in 2 snapshots, 20 to 21)`,
		"nothing like it": `"nothing like it" is in no snapshot`,
	} {
		_, err := h.Versions(context.Background(), path)
		var nowhere *NowhereError
		if !errors.As(err, &nowhere) {
			t.Errorf("%s: error %v", path, err)
			continue
		}
		if got := strings.NewReplacer("2026-11-", "", "T020000Z", "").Replace(err.Error()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if seen, ok, err := h.Seen(context.Background(), "docs/old letter"); !ok || err != nil || seen.Snapshots != 1 {
		t.Errorf("Seen = %v %v %v", seen, ok, err)
	}
}
