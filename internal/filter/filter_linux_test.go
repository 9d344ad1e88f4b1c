package filter

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"snapcopy/internal/exclude"
	"snapcopy/internal/fsat"
)

// Guards: a filter comes back from a run report as it was, names that are no text and the order of the patterns included.
func TestComesBackFromJSON(t *testing.T) {
	m := exclude.New()
	for _, p := range []string{"*.o", "!keep.o", "bad\xff", "dir/"} {
		if err := m.Add(p, "--exclude", 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.AddRule(exclude.Rule{Pattern: "*.Tmp", Source: "--iexclude", Fold: true}); err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		name, text string
		fold       bool
	}{{"one", "# no pattern\n*.x\nkeep.o\n/top\n", false}, {"two", "!b.x\n", false}, {"three", "Thumbs.db\n", true}} {
		if err := m.AddFile(f.name, strings.NewReader(f.text), f.fold); err != nil {
			t.Fatal(err)
		}
	}
	was := &Filter{Patterns: m, Caches: true, IfPresent: []string{".no", "\xfe"}, Larger: 7, OneFileSystem: true, NoDump: true}
	text, err := json.Marshal(was)
	if err != nil {
		t.Fatal(err)
	}
	var f Filter
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(&f)
	if err != nil || string(again) != string(text) {
		t.Errorf("%s\n%s, %v", text, again, err)
	}
	for _, path := range []string{"a.o", "keep.o", "d/keep.o", "bad\xff", "bad\xfe", "dir", "a.x", "b.x", "top", "d/top", "else",
		"a.tmp", "a.TMP", "THUMBS.DB"} {
		for _, dir := range []bool{false, true} {
			if a, b := was.Name(path, dir), f.Name(path, dir); a != b {
				t.Errorf("%q, folder %v: %q before and %q after", path, dir, a, b)
			}
		}
	}
	if was.Name("a.TMP", false) == "" || was.Name("d/THUMBS.DB", false) == "" || was.Name("A.O", false) != "" {
		t.Error("letters are compared otherwise than asked")
	}
	if f.IfPresent[1] != "\xfe" || !f.Caches || !f.OneFileSystem || !f.NoDump || f.Larger != 7 {
		t.Errorf("%+v", f)
	}
	if text, err := json.Marshal(new(Filter)); err != nil || string(text) != "{}" {
		t.Errorf("no filter: %s, %v", text, err)
	}
}

// Guards: each rule that looks at what an entry is says so, and the zero filter nothing.
func TestState(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("five", "12345")
	write("six", "123456")
	write("marked/.no", "")
	write("tagged/CACHEDIR.TAG", cacheTag+"\n")
	write("fake/CACHEDIR.TAG", "Signature: none")
	top, err := fsat.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer fsat.Close(top)
	full := &Filter{Caches: true, IfPresent: []string{".no"}, Larger: 5}
	for name, want := range map[string]string{"five": "", "six": "--exclude-larger-than 5",
		"marked": "--exclude-if-present .no", "tagged": "--exclude-caches", "fake": ""} {
		var st fsat.Stat
		if err := fsat.StatAt(top, name, &st); err != nil {
			t.Fatal(err)
		}
		for _, f := range []*Filter{full, {}} {
			var rule string
			var err error
			if st.Type == fsat.Directory {
				fd, openErr := fsat.OpenDir(top, name)
				if openErr != nil {
					t.Fatal(openErr)
				}
				rule, err = f.Dir(fd, &st)
				if closeErr := fsat.Close(fd); closeErr != nil {
					t.Error(closeErr)
				}
			} else {
				rule, err = f.File(top, name, &st)
			}
			if f != full {
				want = ""
			}
			if rule != want || err != nil {
				t.Errorf("%s: %q, %v, want %q", name, rule, err, want)
			}
		}
	}
}
