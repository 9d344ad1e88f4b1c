package exclude

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fromLines returns a matcher that read text as a pattern file called "f".
func fromLines(t testing.TB, text string) *Matcher {
	t.Helper()
	return fromFile(t, text, false)
}

func fromFile(t testing.TB, text string, fold bool) *Matcher {
	t.Helper()
	m := New()
	if err := m.AddFile("f", strings.NewReader(text), fold); err != nil {
		t.Fatal(err)
	}
	return m
}

// walkTo decides about path as a walk from the top does: an excluded ancestor settles it.
func walkTo(m *Matcher, path string, isDir bool) (rule *Rule, excluded bool) {
	for i := range len(path) {
		if path[i] == '/' {
			if rule, excluded = m.Match(path[:i], true); excluded {
				return rule, true
			}
		}
	}
	return m.Match(path, isDir)
}

// Paths that end in '/' are directories; in and out are separated by spaces.
var patternTests = []struct{ pattern, in, out string }{
	{"a", "a a/ x/a x/y/a", "b aa x/b"},
	{"/a", "a a/", "x/a"},
	{"a/", "a/ x/a/", "a x/a"},
	{"/a/", "a/", "a x/a/"},
	{"x/a", "x/a x/a/", "a y/x/a x/aa"},
	{"/x/a", "x/a", "y/x/a"},
	{"x/a/", "x/a/", "x/a"},

	{"*", "a a/ .a x/a", ""},
	{"*.o", "a.o .o x/a.o a.b.o .a.o", "o a.oo a.o.c"},
	{"*.tar.gz", "a.tar.gz .tar.gz", "a.gz tar.gz"},
	{"*a", "a ba x/ba", "ab"},
	{"a*", "a ab x/ab", "ba"},
	{"*a*b*", "ab xaxbx", "ba"},
	{"x/*", "x/a x/a/", "x y/x/a x/a/b"},
	{"x/*.c", "x/a.c x/.c", "x/y/a.c"},
	{"*/a", "x/a", "a x/y/a"},
	{"*/*/a", "x/y/a", "x/a x/y/z/a"},
	{"x*/a", "x/a xy/a", "x/y/a xa"},
	{"x/*y/*z", "x/y/z x/ay/az", "x/z x/a/y/z"},

	{"**/a", "a x/a x/y/a a/", "aa xa x/ya"},
	{"**/x/a", "x/a y/x/a z/y/x/a", "a xx/a yx/a"},
	{"x/**", "x/a x/a/ x/a/b", "x x/ y/x/a"},
	{"x/**/", "x/a/ x/a/b/", "x/ x/a"},
	{"x/**/a", "x/a x/y/a x/y/z/a", "xa a x/aa x/ya y/x/a"},
	{"**/x/**/a", "x/a y/x/z/a x/x/a", "a ya/a"},
	{"**", "a x/a x/", ""},
	{"**/", "x/ x/y/", "a x/a"},
	{"/**", "a x/a x/", ""},
	{"/**/a", "a x/a x/y/a", "b"},
	{"***/a", "a x/a", "xa"},
	{"x/***/a", "x/a x/y/a", "xa"},
	{"**/**/a", "a x/a", "xa"},
	{"x/**/**/a", "x/a x/y/a x/y/z/a", "a"},
	{"**a", "a ba x/ba", "ab"},
	{"**/*a", "a ba x/ba", "ab"},
	{"x/**a", "x/a x/ba", "x/y/a"},
	{"x/a**", "x/a x/ab x/ab/c", "x/y/a"},
	{"x**/a", "x/a xy/a xa x/y/a", "ax ya"},
	{"/x**", "x xy", "y/x"},
	{`x/**\/a`, "x/y/a x/y/z/a", "x/a"},
	{`**\/a`, "x/a x/y/a", "a"},
	{`x\/**/a`, "x/a x/y/a", "xa"},
	{"x/**/*.c", "x/a.c x/y/z/a.c", "a.c"},
	{"x/**/y/**/*a*b", "x/y/ab x/q/y/r/aabb x/y/y/y/ab", "x/ab y/x/y/ab"},

	{"?", "a x/b", "ab"},
	{"a?c", "abc a.c", "ac abbc"},
	{"x?a", "xya", "x/a"},
	{"x/?", "x/a", "x/ab x/a/b"},

	{"[ab]", "a b x/a", "c ab"},
	{"[a-c]x", "ax bx cx", "dx -x"},
	{"[!a-c]x", "dx -x", "ax x"},
	{"[^a-c]x", "dx ^x", "ax"},
	{"[a^]", "a ^", "b"},
	{"[a!]", "a !", "b"},
	{"[]]", "]", "[ a"},
	{"[]a]", "] a", "[ a]"},
	{"[!]]", "a [", "]"},
	{"[]-a]", "] ^ _ ` a", "b ["},
	{"[--0]", "- 0", "1 +"},
	{"[a-]", "a -", "b"},
	{"[-a]", "a -", "b"},
	{"[!-]", "a", "-"},
	{"[a-c-e]", "a b c - e", "d"},
	{"[c-a]", "c", "a b -"},
	{`[\]]`, "]", `\`},
	{`[\-x]`, "- x", `\ y`},
	{`[a\-c]`, "a - c", `b \`},
	{`[\a-\c]`, "a b c", `d \`},
	{`[[-\]]`, `[ \ ]`, "a"},
	{"[[:alpha:]]", "a Z", "1 _ é"},
	{"[[:alpha:][:digit:]_]", "a 1 _", "- :"},
	{"[![:alpha:]]", "1 _", "a"},
	{"[[:digit:]-z]", "0 - z", "a"},
	{"[[:upper:]]", "A", "a"},
	{"[[:xdigit:]][[:xdigit:]]", "0a Ff", "0g 0"},
	{"a[[:punct:]]b", "a.b a-b a[b", "aab a/b"},
	{"[[:foo:]]", "", "a f : [f] ["},
	{"[[::]]", "", "a : [ :]"},
	{"[[:]", "[ :", "a ]"},
	{"[[:a]", "[ : a", "]"},
	{"[[:alpha]", "[ : a l p h", "b"},
	{"[[:]]", "[] :]", "[ :"},
	{"[a", "", "a [a"},
	{"[", "", "["},
	{"a[", "", "a["},
	{"[]", "", "[] ]"},
	{"[!]", "", "[!] a"},
	{`[a\]`, "", `a [a\]`},
	{"[a-", "", "a [a-"},
	{"x[/]a", "", "x/a"},
	{"x[!b]a", "xca", "x/a xba"},
	{"x[.-0]a", "x.a x0a", "x/a"},

	{`\a`, "a", `\a`},
	{`\*`, "*", "a"},
	{`\?`, "?", "a"},
	{`\[a]`, "[a]", "a"},
	{`\\`, `\`, "a"},
	{`a\`, "", `a a\`},
	{`a\/`, "", `a/ a\/`},
	{`\!a`, "!a", `a \!a`},
	{`\#a`, "#a", `a \#a`},
	{`\/a`, "", "a"},
	{`x\/a`, "x/a", "xa y/x/a"},
	{"#a", "", "a #a"},
	{"a#", "a#", "a"},
	{" a", "", "a"},
	{"a\t", "a\t", "a"},

	{"./a", "", "a x/a"},
	{"x/../a", "", "a x/a"},
	{"x//a", "", "x/a"},
	{"//a", "", "a"},
	{"/", "", "a x/"},
	{"//", "", "a x/"},
	{"!", "", "a !"},
	{"", "", "a"},

	{"é", "é x/é", "e"},
	{"?", "\xff", "é"},
	{"??", "é", "\xff"},
	{"[\xc3]\xa9", "é", "e"},
	{"\xff*", "\xff \xff\xfe", "\xfe"},
	{"[\x80-\xff]", "\xff \x80", "é a"},
	{"[!a]", "\xff", "é a"},
}

func TestPatterns(t *testing.T) {
	for _, tt := range patternTests {
		m := fromLines(t, tt.pattern)
		check := func(paths string, want bool) {
			for path := range strings.FieldsFuncSeq(paths, func(r rune) bool { return r == ' ' }) {
				name, isDir := strings.CutSuffix(path, "/")
				if rule, got := m.Match(name, isDir); got != want {
					t.Errorf("pattern %q, path %q: excluded = %v, want %v (rule %v)", tt.pattern, path, got, want, rule)
				}
			}
		}
		check(tt.in, true)
		check(tt.out, false)
	}
}

func TestLinesOfAFile(t *testing.T) {
	tests := []struct{ line, want string }{
		{"a", "a"},
		{"a ", "a"},
		{"a   ", "a"},
		{`a\ `, `a\ `},
		{`a\  `, `a\ `},
		{`a\\ `, `a\\`},
		{`a\\\ `, `a\\\ `},
		{`a \ `, `a \ `},
		{"a\t ", "a\t"},
		{" a", " a"},
		{"a\r", "a"},
		{"a \r", "a"},
		{"a\r\r", "a\r"},
		{"a\r ", "a\r"},
		{`a\ ` + "\r", `a\ `},
		{"a\x00b", "a"},
		{"a  \x00b", "a"},
		{"#a", ""},
		{" #a", " #a"},
		{"", ""},
		{"  ", ""},
		{"\r", ""},
		{"\x00a", ""},
	}
	for _, tt := range tests {
		for _, ending := range []string{"", "\n"} {
			m := fromLines(t, "x\n"+tt.line+ending)
			m.files.entries = m.files.entries[1:]
			want := []Rule{}
			if tt.want != "" {
				want = append(want, Rule{Pattern: tt.want, Source: "f", Line: 2})
			}
			got := []Rule{}
			for _, e := range m.files.entries {
				got = append(got, e.rule)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("line %q (-want +got):\n%s", tt.line+ending, diff)
			}
		}
	}
}

func TestByteOrderMark(t *testing.T) {
	m := fromLines(t, "\xEF\xBB\xBF#a\n\xEF\xBB\xBFb\n")
	for path, want := range map[string]bool{"#a": false, "\xEF\xBB\xBF#a": false, "b": false, "\xEF\xBB\xBFb": true} {
		if _, got := m.Match(path, false); got != want {
			t.Errorf("%q: excluded = %v, want %v", path, got, want)
		}
	}
}

func TestLastMatchDecides(t *testing.T) {
	m := fromLines(t, "*.o\n!keep.o\nsub/keep.o\n!*/\nbuild/\n/x/*\n!/x/y\n!gone/in.o\ngone/\n")
	tests := []struct {
		path     string
		isDir    bool
		excluded bool
		line     int // 0: no rule
	}{
		{"a.o", false, true, 1},
		{"keep.o", false, false, 2},
		{"sub/keep.o", false, true, 3},
		{"a.o", true, false, 4},
		{"build", true, true, 5},
		{"build", false, false, 0},
		{"build/keep.o", false, true, 5},
		{"x", true, false, 4},
		{"x/a", false, true, 6},
		{"x/y", false, false, 7},
		{"x/y/a", false, false, 0},
		{"gone/in.o", false, true, 9},
		{"a", false, false, 0},
	}
	for _, tt := range tests {
		rule, excluded := walkTo(m, tt.path, tt.isDir)
		line := 0
		if rule != nil {
			line = rule.Line
		}
		if excluded != tt.excluded || line != tt.line {
			t.Errorf("%s (dir %v): excluded %v by %v, want %v by line %d", tt.path, tt.isDir, excluded, rule,
				tt.excluded, tt.line)
		}
	}
}

func TestPrecedenceOfGroups(t *testing.T) {
	m := New()
	add := func(pattern string) {
		if err := m.Add(pattern, "--exclude", 0); err != nil {
			t.Fatal(err)
		}
	}
	addFile := func(name, text string) {
		if err := m.AddFile(name, strings.NewReader(text), false); err != nil {
			t.Fatal(err)
		}
	}
	add("a")
	add("!b")
	addFile("one", "!a\nb\nc\nd\n")
	addFile("two", "!c\n")
	add("!b")
	add("b*")
	tests := []struct {
		path, rule string
		excluded   bool
	}{
		{"a", "--exclude 'a'", true},
		{"b", "--exclude 'b*'", true},
		{"c", "two:1: !c", false},
		{"d", "one:4: d", true},
		{"", "", false},
		{"e", "", false},
	}
	for _, tt := range tests {
		rule, excluded := m.Match(tt.path, false)
		got := ""
		if rule != nil {
			got = rule.String()
		}
		if got != tt.rule || excluded != tt.excluded {
			t.Errorf("%s: %v by %q, want %v by %q", tt.path, excluded, got, tt.excluded, tt.rule)
		}
	}
}

func TestAddIsVerbatim(t *testing.T) {
	for _, pattern := range []string{"#a", "a ", "a\r"} {
		m := New()
		if err := m.Add(pattern, "--exclude", 0); err != nil {
			t.Fatal(err)
		}
		if _, excluded := m.Match(pattern, false); !excluded {
			t.Errorf("%q does not match itself", pattern)
		}
	}
	if err := New().Add("a\x00b", "--exclude", 0); err == nil {
		t.Error("NUL byte accepted")
	}
}

func TestRuleString(t *testing.T) {
	tests := []struct {
		rule Rule
		want string
	}{
		{Rule{Pattern: "*.o", Source: "--exclude"}, "--exclude '*.o'"},
		{Rule{Pattern: "it's", Source: "--exclude"}, `--exclude 'it'\''s'`},
		{Rule{Pattern: "a\n\xff", Source: "--exclude"}, `--exclude "a\n\xff"`},
		{Rule{Pattern: "!*.o", Source: "exclude.txt", Line: 3}, "exclude.txt:3: !*.o"},
		{Rule{Pattern: "\x1b[2J", Source: "exclude.txt", Line: 3}, `exclude.txt:3: "\x1b[2J"`},
		{Rule{Pattern: "é\uFFFD", Source: "exclude.txt", Line: 3}, "exclude.txt:3: é\uFFFD"},
	}
	for _, tt := range tests {
		if got := tt.rule.String(); got != tt.want {
			t.Errorf("%#v: %s, want %s", tt.rule, got, tt.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	m := fromLines(t, "ok\n\n#\n[a\n!x[[:foo:]]\na\\\n./a\nx//y\n!\n/\nok\x00more\n[a]/./b\n")
	if err := m.Add("../a", "--exclude", 0); err != nil {
		t.Fatal(err)
	}
	if err := m.Add("", "--exclude", 0); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"f:4: [a: never matches: a '[' is not closed",
		"f:5: !x[[:foo:]]: never matches: [:foo:] is not a character class",
		`f:6: a\: never matches: it ends in a single backslash`,
		"f:7: ./a: never matches: no path has the component '.'; patterns are relative to the root of the tree",
		"f:8: x//y: never matches: no path has two slashes in a row",
		"f:9: !: never matches: it names nothing",
		"f:10: /: never matches: it names nothing",
		"f:11: pattern is cut off at a NUL byte",
		"--exclude '../a': never matches: no path has the component '..'; patterns are relative to the root of the tree",
	}
	if diff := cmp.Diff(want, m.Warnings()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestEmpty(t *testing.T) {
	var m Matcher
	if !m.Empty() {
		t.Error("zero value is not empty")
	}
	if err := m.AddFile("f", strings.NewReader("# nothing\n\n[a\n"), false); err != nil || !m.Empty() {
		t.Errorf("not empty after a file without patterns that can match; error %v", err)
	}
	if err := m.Add("a", "--exclude", 0); err != nil || m.Empty() {
		t.Errorf("empty after Add; error %v", err)
	}
	if m := fromLines(t, "a"); m.Empty() {
		t.Error("empty after AddFile")
	}
}

func TestFailedReadAddsNothing(t *testing.T) {
	m := New()
	broken := iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("a\nb\n")))
	err := m.AddFile("list", broken, false)
	if !errors.Is(err, iotest.ErrTimeout) || !strings.HasPrefix(err.Error(), "read list: ") {
		t.Errorf("error = %v", err)
	}
	if !m.Empty() {
		t.Error("patterns were added")
	}
}

func TestEndlessFileIsRefused(t *testing.T) {
	if _, err := readAtMost(endless{}, 1<<16); err == nil {
		t.Error("no error")
	}
	if data, err := readAtMost(strings.NewReader("four"), 4); err != nil || string(data) != "four" {
		t.Errorf("a file of exactly the limit: %q, error %v", data, err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// These patterns take exponential time in matchers that backtrack without limits.
func TestTimeIsBounded(t *testing.T) {
	deep := strings.TrimSuffix(strings.Repeat("a/", 2000), "/")
	long := strings.Repeat("a", 4000)
	mixed := strings.TrimSuffix(strings.Repeat("aaaaaaaa/", 450), "/")
	// They end in "[b]" because a pattern that ends in "b" is settled by the last byte of the path.
	patterns := []string{
		strings.Repeat("a*", 60) + "[b]",
		strings.Repeat("*a", 60) + "*[b]",
		strings.Repeat("**/a/", 60) + "[b]",
		strings.Repeat("**/*a*a*a/", 40) + "[b]",
		"/" + strings.Repeat("a*a*a*/", 40) + "**/[b]",
		"**/" + strings.Repeat("*a*a*/", 40) + "[b]",
		"**/" + strings.Repeat("*a*/", 300) + "[b]",
		strings.Repeat("**/", 200) + "[b]/c",
		strings.Repeat("**/", 200) + "*[b]/?",
		strings.Repeat(`**\/`, 200) + "[b]",
		"/" + strings.Repeat("[a-z]*", 60) + "/**/[b]",
		strings.Repeat("*?", 60) + "[b]",
	}
	slowest := time.Duration(0)
	for _, pattern := range patterns {
		m := fromLines(t, pattern)
		for _, path := range []string{deep, long, mixed} {
			start := time.Now()
			if _, excluded := m.Match(path, false); excluded {
				t.Errorf("%.40q… excludes %.20q…", pattern, path)
			}
			// Single-digit milliseconds in truth; the limit only has to tell that from centuries.
			took := time.Since(start)
			slowest = max(slowest, took)
			if took > 3*time.Second {
				t.Errorf("%.40q… on %.20q… took %v", pattern, path, took)
			}
		}
	}
	t.Logf("slowest: %v", slowest)
}

func TestMatchAllocatesNothing(t *testing.T) {
	for _, fold := range []bool{false, true} {
		m := fromFile(t, manyPatterns, fold)
		for _, path := range []string{"usr/share/doc/a.html", "node_modules", "src/x/y.o", "a/b/c/d/e/f.tmp"} {
			if n := testing.AllocsPerRun(100, func() { m.Match(path, false) }); n != 0 {
				t.Errorf("%s: %v allocations", path, n)
			}
		}
	}
}

func TestConcurrentMatch(t *testing.T) {
	m := fromLines(t, manyPatterns)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if _, excluded := m.Match("src/x/y.o", false); !excluded {
					t.Error("not excluded")
				}
			}
		})
	}
	wg.Wait()
}

// Letters are equal whatever their case, in every place of a pattern; all else counts as it is.
func TestFold(t *testing.T) {
	for _, tt := range []struct{ pattern, in, out string }{
		{"Thumbs.db", "thumbs.db THUMBS.DB x/Thumbs.DB", "thumbs_db thumbs"},
		{"*.TMP", "a.tmp a.Tmp x/.TMP", "a.tmpp"},
		{"/Cache/", "cache/ CACHE/", "cache x/cache/"},
		{"Cache/*.o", "cache/a.O CACHE/B.o", "cache/x/a.o"},
		{"**/Target/**/Debug", "target/debug x/TARGET/y/DEBUG", "target"},
		{"*.[JP]PG", "a.jpg a.JPG a.PpG", "a.gpg"},
		{"[A-Z]x", "ax AX", "1x"},
		{"[!A-Z]x", "1x _X", "ax AX"},
		{"[!A]x", "bx BX", "ax AX"},
		{"[A-z]x", "zx ZX _x", "1x {x"},
		{"[Z-b]x", "zx Zx ax Ax bx BX _x", "cx yx"},
		{"[[:upper:]]x", "ax AX", "1x"},
		{"[![:lower:]]x", "1x", "ax AX"},
		{`\README\*`, "readme* README*", "README1"},
		{"é", "é", "É"},
		{"[\xC3]", "\xC3", "\xE3"},
	} {
		m := fromFile(t, tt.pattern, true)
		for path := range strings.SplitSeq(tt.in+" "+tt.out, " ") {
			name, isDir := strings.CutSuffix(path, "/")
			want := strings.Contains(" "+tt.in+" ", " "+path+" ")
			if _, got := m.Match(name, isDir); got != want {
				t.Errorf("%q, path %q: excluded %v", tt.pattern, path, got)
			}
		}
	}
}

// The last match decides, whichever kind it is of; patterns with a line after those without.
func TestFoldAmongOthers(t *testing.T) {
	m := New()
	for i, r := range []Rule{
		{Pattern: "*.o"}, {Pattern: "!KEEP.O", Fold: true}, {Pattern: "Keep.o"}, {Pattern: "x*", Fold: true}, {Pattern: "!X[1]"},
		{Pattern: "README", Fold: true, Line: 1}, {Pattern: "!README", Line: 2}, {Pattern: "!a.o", Fold: true, Line: 3},
	} {
		r.Source = "r" + string(rune('0'+i))
		if err := m.AddRule(r); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"a.o": "r0", "A.O": "r7", "keep.o": "r1", "KEEP.O": "r1", "Keep.o": "r2", "xa": "r3", "Xa": "r3", "X1": "r4", "x1": "r3",
		"readme": "r5", "README": "r6", "other": "",
	} {
		got := ""
		if rule, _ := m.Match(path, false); rule != nil {
			got = rule.Source
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// A rule is unmatched only if none of the paths matches its pattern, whatever decided about them.
func TestUnmatched(t *testing.T) {
	for _, tt := range []struct{ patterns, paths, want string }{
		{"*.o *.tmpp /chache/", "a.o", "*.tmpp /chache/"},
		{"*.o *.o *.o", "a.o", ""},
		{"*.o *.O", "a.o", "*.O"},
		{"a a/", "a", "a/"},
		{"a a/ a a/", "a/", ""},
		{"a* b* ab abc", "ab", "b* abc"},
		{"ab a* ?b !ab !x", "ab", "!x"},
		{"x/a /x/a **/a x/*", "x/a", ""},
		{"x x/a", "x/", "x/a"},
		{"a?c a?c [", "abc", ""}, // the last one is in Warnings
		{"a", "", "a"},
	} {
		m := New()
		for p := range strings.FieldsSeq(tt.patterns) {
			for _, line := range []int{0, 1} { // single ones decide before those of files
				if err := m.AddRule(Rule{Pattern: p, Source: "s", Line: line}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for path := range strings.FieldsSeq(tt.paths) {
			name, isDir := strings.CutSuffix(path, "/")
			m.Match(name, isDir)
		}
		var got []string
		for _, r := range m.Unmatched() {
			got = append(got, r.Pattern)
		}
		if diff := cmp.Diff(strings.Fields(tt.want+" "+tt.want), got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s; %s (-want +got):\n%s", tt.patterns, tt.paths, diff)
		}
	}
}
