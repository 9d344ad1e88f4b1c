package history

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"snapcopy/index"
	"snapcopy/internal/lookup"
	"snapcopy/internal/testarchive"
)

// changes lists what Compare reports, a line each.
func reported(t rapid.TB, a, b *index.Catalog, path string) (lines []string) {
	err := Compare(a, b, path, func(c Change) error {
		line := fmt.Sprintf("%s %s", c.Kind, c.Path)
		if c.From != "" {
			line += " from " + c.From
		}
		if len(c.Fields) > 0 {
			line += " " + strings.Join(c.Fields, ",")
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestCompare(t *testing.T) {
	base := func() testarchive.Model {
		return testarchive.Model{}.File("a/x", "one").File("a/y", "two").File("b/z", "three").File("empty", "")
	}
	symlink := index.Entry{Type: index.Symlink, Mode: 0o777, Nlink: 1, Size: 1, Target: "t"}
	for _, c := range []struct {
		name string
		old  testarchive.Model
		new  testarchive.Model
		path string
		want []string
	}{
		{"equal", base(), base(), "", nil},
		{"content", base(), base().File("a/x", "ONE"), "", []string{"changed a/x"}},
		{"metadata", base(), base().Edit("a/y", func(e *index.Entry) {
			e.Mode, e.UID, e.Mtime.Nsec, e.Nlink = 0o600, 5, 6, 2
		}).Edit("a", func(e *index.Entry) { e.Mtime.Sec = 9 }), "",
			[]string{"metadata a mtime", "metadata a/y mode,owner,mtime,links"}},
		{"root", base(), base().Edit("", func(e *index.Entry) { e.GID = 7 }), "", []string{"metadata  owner"}},
		{"added folder", base(), base().File("c/d/e", "new"), "", []string{"added c", "added c/d", "added c/d/e"}},
		{"removed folder", base().File("c/d/e", "new"), base(), "", []string{"removed c", "removed c/d", "removed c/d/e"}},
		{"moved folder", base().File("c/p", "p").File("c/q", "q"), base().File("d/p", "p").File("d/q", "q"), "",
			[]string{"removed c", "added d", "moved d/p from c/p", "moved d/q from c/q"}},
		{"empty files do not move", base(), testarchive.Model{}.File("a/x", "one").File("a/y", "two").File("b/z", "three").
			File("void", ""), "", []string{"removed empty", "added void"}},
		{"one source, two copies", testarchive.Model{}.File("a", "c"), testarchive.Model{}.File("b", "c").File("x/a", "c"), "",
			[]string{"added b", "added x", "moved x/a from a"}},
		{"two sources, one left", testarchive.Model{}.File("a", "c").File("b", "c"), testarchive.Model{}.File("x", "c"), "",
			[]string{"removed b", "moved x from a"}},
		{"equal names first, then in order", testarchive.Model{}.File("a", "c").File("m", "c"), testarchive.Model{}.File("d/a", "c").File("z", "c"),
			"", []string{"added d", "moved d/a from a", "moved z from m"}},
		{"moved with metadata", testarchive.Model{}.File("a", "c"), testarchive.Model{}.File("b", "c").Edit("b",
			func(e *index.Entry) { e.Mode = 0o600 }), "", []string{"moved b from a mode"}},
		{"file becomes folder that holds it", testarchive.Model{}.File("0", "0").File("a", "c"),
			testarchive.Model{}.File("0", "0").File("a/copy", "c"), "a",
			[]string{"type_changed a mode", "moved a/copy from a"}},
		{"folder becomes symlink", testarchive.Model{}.File("a/x", "c"), testarchive.Model{}.Put("a", symlink), "",
			[]string{"type_changed a mode", "removed a/x"}},
		{"symlink target", testarchive.Model{}.Put("l", symlink), testarchive.Model{}.Put("l", symlink).Edit("l",
			func(e *index.Entry) { e.Target = "u" }), "", []string{"changed l"}},
		{"below a path", base().File("z", "z"), base().File("z", "Z").File("a/x", "ONE"), "/a/", []string{"changed a/x"}},
		{"one file", base(), base().File("a/x", "ONE"), "a/x", []string{"changed a/x"}},
		{"path only in old", base(), testarchive.Model{}.File("b/z", "three"), "a", []string{"removed a", "removed a/x", "removed a/y"}},
		{"path only in new", testarchive.Model{}.File("b/z", "three"), base(), "a/x", []string{"added a/x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			a, b := c.old.Catalog(t, dir, "old"), c.new.Catalog(t, dir, "new")
			defer testarchive.CloseAll(t, a, b)
			if got := reported(t, a, b, c.path); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// drawTree makes a small tree from few names and contents, so that paths and contents meet again in another one.
func drawTree(t *rapid.T, label string) testarchive.Model {
	m := testarchive.Model{"": {Type: index.Dir, Mode: rapid.SampledFrom([]uint32{0o755, 0o700}).Draw(t, label+" root")}}
	names := []string{"a", "b", "c.", "c"}
	for i := range rapid.IntRange(0, 12).Draw(t, label+" entries") {
		var parts []string
		for j := range rapid.IntRange(1, 3).Draw(t, fmt.Sprint(label, i, " depth")) {
			parts = append(parts, rapid.SampledFrom(names).Draw(t, fmt.Sprint(label, i, " name ", j)))
			if above := m[strings.Join(parts, "/")]; above.Type != 0 && above.Type != index.Dir {
				break
			}
		}
		path := strings.Join(parts, "/")
		if m[path].Type != 0 {
			continue
		}
		content := rapid.SampledFrom([]string{"", "1", "2", "33"}).Draw(t, fmt.Sprint(label, i, " content"))
		switch rapid.SampledFrom([]string{"file", "file", "dir", "symlink"}).Draw(t, fmt.Sprint(label, i, " type")) {
		case "file":
			m.File(path, content)
		case "dir":
			m.Put(path, index.Entry{Type: index.Dir, Mode: 0o755, UID: uint32(len(content))})
		case "symlink":
			m.Put(path, index.Entry{Type: index.Symlink, Nlink: 1, Target: "t" + content, Size: uint64(1 + len(content))})
		}
	}
	return m
}

// TestCompareAgainstModel: what is reported, a move taken for a removal and an addition, is exactly what differs; there
// are as many moves as there can be; and the order is that of the paths.
func TestCompareAgainstModel(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		old, new := drawTree(t, "old"), drawTree(t, "new")
		a, b := old.Catalog(t, dir, "old"), new.Catalog(t, dir, "new")
		defer testarchive.CloseAll(t, a, b)
		got := make(map[string]string)
		moved := make(map[string]int)
		last := ""
		err := Compare(a, b, "", func(c Change) error {
			if order := strings.ReplaceAll(c.Path, "/", "\x00"); order < last {
				t.Fatalf("%q comes after %q", c.Path, last)
			} else {
				last = order
			}
			note := func(path, what string) {
				if got[path] != "" {
					t.Fatalf("%q is reported twice: %s, %s", path, got[path], what)
				}
				got[path] = what
			}
			switch c.Kind {
			case Moved:
				if _, there := new[c.From]; !there {
					note(c.From, "removed")
				} else if new[c.From].Type == index.File {
					t.Fatalf("%q moved from %q, which is there", c.Path, c.From)
				}
				note(c.Path, "added")
				moved[string(c.New.Hash[:4])]++
				if c.Old.Hash != c.New.Hash || c.Old.Size == 0 || old[c.From].Hash != c.New.Hash {
					t.Fatalf("move %+v", c)
				}
			default:
				note(c.Path, string(c.Kind))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want, moves := differences(old, new)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
		if fmt.Sprint(moved) != fmt.Sprint(moves) {
			t.Fatalf("moves by content: got %v, want %v", moved, moves)
		}
	})
}

// differences is what Compare should find, the simple way.
func differences(old, new testarchive.Model) (kinds map[string]string, moves map[string]int) {
	kinds, moves = make(map[string]string), make(map[string]int)
	gone, came := make(map[string]int), make(map[string]int)
	for path, a := range old {
		b, there := new[path]
		switch {
		case !there:
			kinds[path] = "removed"
		case a.Type != b.Type:
			kinds[path] = "type_changed"
		case a.Hash != b.Hash || a.Target != b.Target:
			kinds[path] = "changed"
		case a.Mode != b.Mode || a.UID != b.UID:
			kinds[path] = "metadata"
		}
		if a.Type == index.File && a.Size > 0 && a.Type != b.Type {
			gone[string(a.Hash[:4])]++
		}
	}
	for path, b := range new {
		if _, there := old[path]; there {
			continue
		}
		kinds[path] = "added"
		if b.Type == index.File && b.Size > 0 {
			came[string(b.Hash[:4])]++
		}
	}
	for content, n := range came {
		if n := min(n, gone[content]); n > 0 {
			moves[content] = n
		}
	}
	return kinds, moves
}

func TestCompareBeyondTheLimitOfMoves(t *testing.T) {
	dir := t.TempDir()
	old, new := testarchive.Model{}, testarchive.Model{}
	for i := range 10 {
		old.File(fmt.Sprintf("a/%d", i), fmt.Sprint("content ", i))
		new.File(fmt.Sprintf("b/%d", i), fmt.Sprint("content ", i))
	}
	a, b := old.Catalog(t, dir, "old"), new.Catalog(t, dir, "new")
	defer testarchive.CloseAll(t, a, b)
	for _, limit := range []int{20, 12, 10, 1} {
		counts := make(map[Kind]int)
		c := comparison{old: a, new: b, moves: moves{limit: limit}, visit: func(c Change) error {
			counts[c.Kind]++
			return nil
		}}
		x, y := a.Root(), b.Root()
		start := sides{old: &x, new: &y}
		if err := errors.Join(c.findMoves(start), c.compare(start)); err != nil {
			t.Fatal(err)
		}
		moved := max(limit-10, 0)
		if counts[Moved] != moved || counts[Added] != 11-moved || counts[Removed] != 11-moved {
			t.Errorf("limit %d: %v", limit, counts)
		}
	}
}

func TestCompareErrors(t *testing.T) {
	dir := t.TempDir()
	a := testarchive.Model{}.File("a/file", "x").Catalog(t, dir, "old")
	b := testarchive.Model{}.File("a/fine", "y").Catalog(t, dir, "new")
	defer testarchive.CloseAll(t, a, b)
	stop := errors.New("enough")
	calls := 0
	if err := Compare(a, b, "", func(Change) error { calls++; return stop }); err != stop || calls != 1 {
		t.Errorf("%d calls, then %v", calls, err)
	}
	var missing *lookup.NotFoundError
	if err := Compare(a, b, "a/fime", nil); !errors.As(err, &missing) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	} else if !slices.Equal(missing.Nearest, []string{"a/fine"}) {
		t.Errorf("nearest %q", missing.Nearest)
	}
}
