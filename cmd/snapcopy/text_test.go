package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
)

func TestName(t *testing.T) {
	for in, want := range map[string]string{
		"plain":        "plain",
		"with space":   "with space",
		"größe":        "größe",
		`back\slash`:   `back\slash`,
		"":             `""`,
		" lead":        `" lead"`,
		"trail ":       `"trail "`,
		`"quoted"`:     `"\"quoted\""`,
		"new\nline":    `"new\nline"`,
		"\x1b[31m":     `"\x1b[31m"`,
		"bad\xff":      `"bad\xff"`,
		"\u202egnp.sh": `"\u202egnp.sh"`,
	} {
		if got := name(in); got != want {
			t.Errorf("name(%q) = %s, want %s", in, got, want)
		}
	}
}

// Two names never look the same, and nothing that is printed is a control character.
func TestNameProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.SliceOfN(rapid.SampledFrom([]byte("a\"\\ \n\x1b\xff\xc3\xa4")), 0, 6)
		x, y := string(bytes.Draw(t, "x")), string(bytes.Draw(t, "y"))
		if x != y && name(x) == name(y) {
			t.Fatalf("%q and %q both print as %s", x, y, name(x))
		}
		for _, s := range []string{name(x), printable(x)} {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\n\x1b") {
				t.Fatalf("%q prints as %q", x, s)
			}
		}
	})
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{"4096": 4096, "100M": 100e6, "1.5GiB": 3 << 29, "1 KiB": 1024} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0", "-1", "-1M", "x", "1Q", "99999EiB", "16EiB"} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", in, got)
		}
	}
}

func TestDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0.0 s": 0, "0.4 s": 400 * time.Millisecond, "9.9 s": 9940 * time.Millisecond, "10 s": 9960 * time.Millisecond,
		"59 s": 59 * time.Second, "1 min 0 s": time.Minute, "2 h 5 min": 125 * time.Minute, "0 s": -time.Second,
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%v) = %s, want %s", d, got, want)
		}
	}
	for want, d := range map[string]time.Duration{"0:05": 5 * time.Second, "1:01:01": 3661 * time.Second} {
		if got := clock(d); got != want {
			t.Errorf("clock(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	got := table([][]string{{"A", "B", "C"}, {"größe", "1", ""}, {"x", "1,000", "y"}}, false, true)
	want := "A          B  C\ngröße      1\nx      1,000  y\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Guards: columns stand one below the other on a terminal, where some letters take two places and accents none.
func TestTableWithWideLetters(t *testing.T) {
	got := table([][]string{{"NAME", "B"}, {"写真", "1"}, {"e\u0301te\u0301", "2"}, {"…·–", "3"}})
	want := "NAME  B\n写真  1\ne\u0301te\u0301   2\n…·–   3\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Guards: a table fits a narrow terminal, by leaving out columns in the order given, and says so; nothing is left out
// where there is no terminal.
func TestNarrowTable(t *testing.T) {
	rows := [][]string{{"NAME", "ONE", "TWO", "STATE"}, {"snapshot", "1,000", "2", "complete"}, {"x"}}
	for width, want := range map[int]string{
		0:   "NAME        ONE  TWO  STATE\nsnapshot  1,000    2  complete\nx\n",
		30:  "NAME        ONE  TWO  STATE\nsnapshot  1,000    2  complete\nx\n",
		29:  "NAME        ONE  STATE\nsnapshot  1,000  complete\nx\nLeft out, as the terminal is too narrow: TWO.\n",
		20:  "NAME      STATE\nsnapshot  complete\nx\nLeft out, as the terminal is too narrow: TWO, ONE.\n",
		5:   "NAME      STATE\nsnapshot  complete\nx\nLeft out, as the terminal is too narrow: TWO, ONE.\n",
		200: "NAME        ONE  TWO  STATE\nsnapshot  1,000    2  complete\nx\n",
	} {
		a, out, errOut := testApp(t)
		a.term.outWidth = func() int { return width }
		if err := errors.Join(a.printTable(rows, []string{"TWO", "ONE"}, false, true, true), a.term.flush()); err != nil {
			t.Fatal(err)
		}
		if got := out.String() + errOut.String(); got != want {
			t.Errorf("width %d:\n%swant\n%s", width, got, want)
		}
	}
}

func TestPathCandidates(t *testing.T) {
	for _, c := range []struct {
		arg, source string
		want        []string
	}{
		{"a/b", "/home/me", []string{"a/b"}},
		{"/a/b/", "/home/me", []string{"a/b"}},
		{"./a//b", "/home/me", []string{"a/b"}},
		{".", "/home/me", []string{""}},
		{"/", "/home/me", []string{""}},
		{".hidden", "/home/me", []string{".hidden"}},
		{"./.hidden", "/home/me", []string{".hidden"}},
		{"...", "/home/me", []string{"..."}},
		{"/home/me/a", "/home/me", []string{"home/me/a", "a"}},
		{"/home/me", "/home/me", []string{"home/me", ""}},
		{"/home/mean", "/home/me", []string{"home/mean"}},
		{"/etc/x", "/", []string{"etc/x", "etc/x"}},
		{"a/../b", "/s", []string{"b"}},
		{"bad\xff", "/s", []string{"bad\xff"}},
		{`"dir/bad\xff"`, "/s", []string{`"dir/bad\xff"`, "dir/bad\xff"}},
		{`"/s/new\nline/"`, "/s", []string{`"/s/new\nline/"`, "s/new\nline", "new\nline"}},
		{`"half`, "/s", []string{`"half`}},
	} {
		got, err := pathCandidates(c.arg, c.source)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("pathCandidates(%q, %q) = %q, %v, want %q", c.arg, c.source, got, err, c.want)
		}
	}
	for _, arg := range []string{"", "..", "../a", "a/../../b"} {
		if got, err := pathCandidates(arg, "/s"); statusOf(err) != statusUsage {
			t.Errorf("pathCandidates(%q) = %q, %v, want wrong usage", arg, got, err)
		}
	}
}

func TestSplitPlace(t *testing.T) {
	dir := t.TempDir()
	makeArchive := func(name string) string {
		path := filepath.Join(dir, name)
		a, err := archive.Create(path, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain, at, longer := makeArchive("plain"), makeArchive("me@host"), makeArchive("plain@more")
	for _, d := range []string{"folder", "plain@whole"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ arg, archive, selector string }{
		{plain, plain, ""},
		{plain + "@latest", plain, "latest"},
		{plain + "/@latest~1", plain + "/", "latest~1"},
		{plain + "@2026-11-20 18:00", plain, "2026-11-20 18:00"},
		{plain + "@whole", plain + "@whole", ""}, // exists as a whole
		{at, at, ""},
		{at + "@3d", at, "3d"},
		{plain + "@a@b", plain, "a@b"},
		{longer + "@latest", longer, "latest"},
		{filepath.Join(dir, "folder@latest"), filepath.Join(dir, "folder"), "latest"},
		{filepath.Join(dir, "none@latest"), filepath.Join(dir, "none@latest"), ""},
		{"@latest", "@latest", ""},
	} {
		archive, selector, err := splitPlace(c.arg)
		if err != nil || archive != c.archive || selector != c.selector {
			t.Errorf("splitPlace(%q) = %q, %q, %v, want %q, %q", c.arg, archive, selector, err, c.archive, c.selector)
		}
	}
	if _, _, err := splitPlace(plain + "@"); statusOf(err) != statusUsage {
		t.Errorf("an empty selector gave %v, want wrong usage", err)
	}
}

func TestModeString(t *testing.T) {
	for want, e := range map[string]index.Entry{
		"-rw-r--r--":  {Type: index.File, Mode: 0o644},
		"-rwsr-Sr-t":  {Type: index.File, Mode: 0o7745},
		"drwxrwxrwt":  {Type: index.Dir, Mode: 0o1777},
		"lrwxrwxrwx":  {Type: index.Symlink, Mode: 0o777},
		"c---------+": {Type: index.CharDevice, XattrHash: index.Hash{1}},
	} {
		if got := modeString(&e); got != want {
			t.Errorf("modeString(%o) = %s, want %s", e.Mode, got, want)
		}
	}
}

// Guards: a word that a person is told to type reaches the program as it was meant.
func TestShellWord(t *testing.T) {
	bash := testtree.Need(t, "bash")
	for _, s := range []string{"/plain/path-1.2", "", "with space", "it's", "a\\b", "$HOME", "new\nline", "bad\xff 'x'\\", "ä ö", "*?[", "-n", "~"} {
		got, err := exec.Command(bash, "-c", "printf %s "+shellWord(s)).Output()
		if s == "-n" { // printf takes it for a flag
			got, err = exec.Command(bash, "-c", "printf -- '--%s' "+shellWord(s)).Output()
			got = bytes.TrimPrefix(got, []byte("--"))
		}
		if err != nil || string(got) != s {
			t.Errorf("%q as %s: %q, %v", s, shellWord(s), got, err)
		}
	}
}
