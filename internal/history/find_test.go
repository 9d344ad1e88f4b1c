package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/testarchive"
)

// historyOf writes trees as the catalogs of snapshots 0, 1, … and opens them.
func historyOf(t rapid.TB, dir string, trees ...testarchive.Model) *History {
	var refs []archive.Snapshot
	for i, m := range trees {
		name := fmt.Sprint(i)
		testarchive.CloseAll(t, m.Catalog(t, dir, name))
		refs = append(refs, archive.Snapshot{Name: name, CatalogPath: filepath.Join(dir, name)})
	}
	h, err := OpenHistory(context.Background(), refs)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// found gives what a query finds, a line each.
func found(t rapid.TB, h *History, q Query) (lines []string) {
	err := h.Find(context.Background(), q, func(m Match) error {
		lines = append(lines, fmt.Sprintf("%s %s-%s (%d) %d", m.Path, m.First, m.Last, m.Snapshots, m.Entry.Size))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestFind(t *testing.T) {
	first := testarchive.Model{}.File("docs/a.txt", "1").File("docs/sub/B.TXT", "22").File("docs/sub/c.jpg", "333").File("a.txt", "4444")
	first.Edit("a.txt", func(e *index.Entry) { e.Mtime.Sec = 100 })
	second := maps.Clone(first).File("docs/sub/B.TXT", "55555")
	second.Put("docs/link", index.Entry{Type: index.Symlink, Target: "x", Size: 1})
	third := maps.Clone(second)
	delete(third, "a.txt")
	h := historyOf(t, t.TempDir(), first, second, second, third)
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}()
	size := func(n uint64) *uint64 { return &n }
	at := func(sec int64) *index.Time { return &index.Time{Sec: sec} }
	for _, c := range []struct {
		name string
		q    Query
		want []string
	}{
		{"name", Query{Patterns: []string{"*.txt"}}, []string{"a.txt 0-2 (3) 4", "docs/a.txt 0-3 (4) 1"}},
		{"any case", Query{Patterns: []string{"*.txt"}, FoldCase: true},
			[]string{"a.txt 0-2 (3) 4", "docs/a.txt 0-3 (4) 1", "docs/sub/B.TXT 0-3 (4) 5"}},
		{"path", Query{Patterns: []string{"docs/*.txt"}}, []string{"docs/a.txt 0-3 (4) 1"}},
		{"any depth", Query{Patterns: []string{"docs/**/c.*"}}, []string{"docs/sub/c.jpg 0-3 (4) 3"}},
		{"top", Query{Patterns: []string{"/a.txt"}}, []string{"a.txt 0-2 (3) 4"}},
		{"literal path", Query{Patterns: []string{"/docs/sub/c.jpg"}}, []string{"docs/sub/c.jpg 0-3 (4) 3"}},
		{"folders", Query{Patterns: []string{"s*/"}}, []string{"docs/sub 0-3 (4) 0"}},
		{"below a folder", Query{Patterns: []string{"docs/sub/**"}},
			[]string{"docs/sub/B.TXT 0-3 (4) 5", "docs/sub/c.jpg 0-3 (4) 3"}},
		{"but not", Query{Patterns: []string{"*.txt", "!docs/*"}}, []string{"a.txt 0-2 (3) 4"}},
		{"several", Query{Patterns: []string{"*.jpg", "link"}}, []string{"docs/link 1-3 (3) 1", "docs/sub/c.jpg 0-3 (4) 3"}},
		{"type", Query{Types: []index.Type{index.Symlink, index.Dir}},
			[]string{"docs 0-3 (4) 0", "docs/link 1-3 (3) 1", "docs/sub 0-3 (4) 0"}},
		{"large", Query{MinSize: size(3)},
			[]string{"a.txt 0-2 (3) 4", "docs/sub/B.TXT 1-3 (3) 5", "docs/sub/c.jpg 0-3 (4) 3"}},
		{"small", Query{MaxSize: size(2)}, []string{"docs/a.txt 0-3 (4) 1", "docs/sub/B.TXT 0-0 (1) 2"}},
		{"new", Query{After: at(100)}, []string{"a.txt 0-2 (3) 4"}},
		{"old", Query{Before: at(100), Types: []index.Type{index.File}},
			[]string{"docs/a.txt 0-3 (4) 1", "docs/sub/B.TXT 0-3 (4) 5", "docs/sub/c.jpg 0-3 (4) 3"}},
		{"none older", Query{Before: at(0), Types: []index.Type{index.File}}, nil},
		{"nothing", Query{Patterns: []string{"none/*"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := found(t, h, c.q); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
	stop := errors.New("enough")
	if err := h.Find(context.Background(), Query{}, func(Match) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v, want that of the visit", err)
	}
	if err := h.Find(context.Background(), Query{Patterns: []string{"a//b"}}, nil); !errors.Is(err, ErrPattern) {
		t.Errorf("error %v for a pattern that matches nothing", err)
	}
}

// TestFindAgainstModel: what is found is what looking at every entry of every snapshot finds, in the order of the paths.
func TestFindAgainstModel(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		trees := make([]testarchive.Model, rapid.IntRange(1, 5).Draw(t, "snapshots"))
		for i := range trees {
			if i > 0 && rapid.Bool().Draw(t, fmt.Sprint("same ", i)) {
				trees[i] = trees[i-1]
			} else {
				trees[i] = drawTree(t, fmt.Sprint("tree ", i))
			}
		}
		h := historyOf(t, dir, trees...)
		defer func() {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}()
		var q Query
		wants := func(string) bool { return true }
		switch rapid.IntRange(0, 3).Draw(t, "query") {
		case 1:
			q.Patterns = []string{"c*"}
			wants = func(path string) bool { return strings.HasPrefix(path[strings.LastIndexByte(path, '/')+1:], "c") }
		case 2:
			q.Patterns = []string{"a/**"}
			wants = func(path string) bool { return strings.HasPrefix(path, "a/") }
		case 3:
			q.Patterns = []string{"/b/a"}
			wants = func(path string) bool { return path == "b/a" }
		}
		var want []string
		paths := make(map[string]bool)
		for _, m := range trees {
			for path := range m {
				paths[path] = path != ""
			}
		}
		order := func(a, b string) int {
			return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
		}
		for _, path := range slices.SortedFunc(maps.Keys(paths), order) {
			if !paths[path] || !wants(path) {
				continue
			}
			first, last, n := -1, -1, 0
			for i, m := range trees {
				if _, ok := m[path]; ok {
					last = i
					n++
					if first < 0 {
						first = i
					}
				}
			}
			want = append(want, fmt.Sprintf("%s %d-%d (%d) %d", path, first, last, n, trees[last][path].Size))
		}
		if got := found(t, h, q); !slices.Equal(got, want) {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
	})
}

// TestFindAnyCase: with FoldCase the letters A to Z count as a to z, in sets, too; bytes that are no letters stay.
func TestFindAnyCase(t *testing.T) {
	const bytes = "aAzZ_1\xC3\xA9\xFF"
	matching := map[string]string{ // for each piece of a pattern, which of these it stands for
		"a": "aA", "Z": "zZ", "_": "_", "?": bytes, "\xC3": "\xC3", "\xFF": "\xFF", `\Z`: "zZ",
		"[A-z]": "aAzZ_", "[A-Z]": "aAzZ", "[Z-a]": "aAzZ_", "[!z]": "aA_1\xC3\xA9\xFF", "[[:upper:]]": "aAzZ", "[\xC3]": "\xC3",
	}
	pieces := append(slices.Sorted(maps.Keys(matching)), "*")
	var matches func(pattern []string, name string) bool
	matches = func(pattern []string, name string) bool {
		switch {
		case len(pattern) == 0:
			return name == ""
		case pattern[0] == "*":
			return matches(pattern[1:], name) || name != "" && matches(pattern, name[1:])
		}
		return name != "" && strings.IndexByte(matching[pattern[0]], name[0]) >= 0 && matches(pattern[1:], name[1:])
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SliceOfN(rapid.SampledFrom([]byte(bytes)), 1, 4)
		pattern := rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 4).Draw(t, "pattern")
		f := finder{q: &Query{Patterns: []string{strings.Join(pattern, "")}, FoldCase: true}}
		if err := f.compile(); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			e := index.Entry{Name: string(name.Draw(t, "name")), Type: index.File}
			if got, want := f.meets("", &e), matches(pattern, e.Name); got != want {
				t.Fatalf("%q, %q: %v, want %v", f.q.Patterns, e.Name, got, want)
			}
		}
	})
}

// Guards: letters beyond ASCII count whatever their case, and bytes that are no letters stay what they are.
func TestFindAnyCaseOfAnyLetter(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"Übersicht*", "übersicht.txt", true}, {"*ÉTÉ", "été", true}, {"straße", "STRAẞE", true}, {"*ΣΑΣ", "σας", false},
		{"\xff*", "\xfe", false}, {"\xffÄ", "\xffä", true}, {"\uFFFD", "\xff", false},
	} {
		f := finder{q: &Query{Patterns: []string{c.pattern}, FoldCase: true}}
		if err := f.compile(); err != nil {
			t.Fatal(err)
		}
		if got := f.meets("", &index.Entry{Name: c.name, Type: index.File}); got != c.want {
			t.Errorf("%q, %q: %v", c.pattern, c.name, got)
		}
	}
}

// A catalog that turns out to be damaged halfway is left out; what the others hold is found, once.
func TestFindDamaged(t *testing.T) {
	dir := t.TempDir()
	first := testarchive.Model{}
	for i := range 12000 { // several blocks
		first.File(fmt.Sprintf("%02d/%05d", i/300, i), fmt.Sprintf("content %d", i))
	}
	second := maps.Clone(first).File("39/new", "x").File("00/new", "y")
	testarchive.CloseAll(t, first.Catalog(t, dir, "0"), second.Catalog(t, dir, "1"))
	content, err := os.ReadFile(filepath.Join(dir, "1"))
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for at := 100; at < len(content); at += len(content) / 15 {
		damaged := slices.Clone(content)
		damaged[at] ^= 1
		if err := os.WriteFile(filepath.Join(dir, "1"), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := OpenHistory(context.Background(), []archive.Snapshot{{Name: "0", CatalogPath: filepath.Join(dir, "0")}, {Name: "1", CatalogPath: filepath.Join(dir, "1")}})
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]bool)
		err = h.Find(context.Background(), Query{Types: []index.Type{index.File}}, func(m Match) error {
			if seen[m.Path] {
				t.Errorf("%s is found twice", m.Path)
			}
			seen[m.Path] = true
			return nil
		})
		if err := errors.Join(err, h.Close()); err != nil {
			t.Fatal(err)
		}
		delete(seen, "00/new")
		delete(seen, "39/new")
		if len(seen) != 12000 {
			t.Errorf("damage at %d: %d files found, want 12000", at, len(seen))
		}
		lost += len(h.Unusable())
	}
	if lost == 0 {
		t.Error("no damage was met")
	}
}
