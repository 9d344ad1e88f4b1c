package history

import (
	"errors"
	"strings"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"

	"github.com/google/go-cmp/cmp"
)

func TestGlob(t *testing.T) {
	s := newSeries(t)
	testtree.Build(t, s.Root, `
		file a.txt 0644
		file b.md 0644
		file "[x]" 0644
		file "odd\xff\xfename" 0644
		file "new\nline" 0644
		file é 0644
		file .hidden 0644
		file "back\\slash" 0644
		dir d 0755
		file d/a.txt 0644
		dir d/e 0755
		file d/e/a.txt 0644
		file d/e/z 0644
		symlink d/loop .
		dir f 0755
		dir f/d 0755
		file f/d/a.txt 0644`)
	s.snap()
	catalog, err := index.Open(s.refs()[0].CatalogPath)
	s.Check(err)
	defer testarchive.CloseAll(t, catalog)
	for _, c := range []struct{ pattern, want string }{
		{"a.txt", ""}, // no pattern
		{"", ""},
		{"*.txt", "a.txt d/a.txt d/e/a.txt f/d/a.txt"}, // without a slash: in all folders
		{"/*.txt", "a.txt"},
		{"./*.txt", "a.txt"},
		{"*.txt/", ""}, // folders
		{"[df]/", ""},  // brackets alone make no pattern: names have them
		{"[df]*/", "d f"},
		{"*", ".hidden [x] a.txt b.md back\\slash d f new\nline odd\xff\xfename é"},
		{"?", "d f"}, // a folder brings what is in it
		{"??", "é"},  // bytes
		{"[a-b].*", "a.txt b.md d/a.txt d/e/a.txt f/d/a.txt"},
		{"!*.txt", ""},
		{"[^a].*", "b.md"},
		{`\[x\]`, ""},
		{`\[x*`, "[x]"},
		{`[[]x?`, "[x]"},
		{`back\\*`, `back\slash`},
		{"odd??name", "odd\xff\xfename"},
		{"odd*name", "odd\xff\xfename"},
		{"new?line", "new\nline"},
		{"*/a.txt", "d/a.txt"},
		{"*/*/a.txt", "d/e/a.txt f/d/a.txt"},
		{"**/a.txt", "a.txt d/a.txt d/e/a.txt f/d/a.txt"},
		{"d/**/a.txt", "d/a.txt d/e/a.txt"},
		{"**/d/**/*.txt", "d/a.txt d/e/a.txt f/d/a.txt"},
		{"f/**/?.txt", "f/d/a.txt"},
		{"d/e/*", "d/e/a.txt d/e/z"},
		{"nothing/*", ""},
		{"a.txt/*", ""},
		{"e?", ""},
		{"**/**/z", "d/e/z"},
		{"d/**", "d/a.txt d/e d/loop"},
		{"d/loop/*", ""}, // links are not followed
		{"d/x**", ""},
		{"d/e**", "d/e"}, // within a name it is *
		{"nothing*", ""},
	} {
		found, err := Glob(catalog, c.pattern)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
		}
		if diff := cmp.Diff(c.want, strings.Join(found, " ")); diff != "" {
			t.Errorf("%q: (-want +got) %s", c.pattern, diff)
		}
	}
	for _, bad := range []string{"[*", "../*", "a/[?", "**/[a-", `*\`} {
		if _, err := Glob(catalog, bad); !errors.Is(err, ErrPattern) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
