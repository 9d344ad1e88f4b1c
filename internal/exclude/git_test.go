package exclude

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"snapcopy/internal/testtree"
)

// What git says is the specification; these tests compare with the git that is installed. For a longer run:
//
//	go test ./internal/exclude -run Git -git-lists 20000 -git-seed 7
var (
	gitLists = flag.Int("git-lists", 400, "generated pattern lists to compare with git check-ignore")
	gitWalks = flag.Int("git-walks", 12, "generated trees to compare with git ls-files")
	gitSeed  = flag.Uint64("git-seed", 1, "seed of the generated patterns and trees")
)

func newGenerator(fold bool) generator { return generator{rand.New(rand.NewPCG(*gitSeed, 0)), fold} }

// foldOrNot runs a test without and with core.ignoreCase.
func foldOrNot(t *testing.T, test func(t *testing.T, fold bool)) {
	for _, fold := range []bool{false, true} {
		t.Run(fmt.Sprintf("ignoreCase=%v", fold), func(t *testing.T) { test(t, fold) })
	}
}

// gitIn runs git in dir, shielded from the configuration of the machine.
func gitIn(t testing.TB, dir string, fold bool, stdin []byte, args ...string) string {
	t.Helper()
	ignoreCase := fmt.Sprintf("core.ignoreCase=%v", fold)
	cmd := exec.Command("git", append([]string{"-c", ignoreCase, "-c", "core.excludesFile="}, args...)...)
	cmd.Dir = dir
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
	cmd.Env = append(cmd.Env, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	// check-ignore exits with 1 if no path is ignored.
	if exit, ok := err.(*exec.ExitError); err != nil && !(ok && exit.ExitCode() == 1 && args[0] == "check-ignore") {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// newRepository skips the test where git, or a file system that holds any bytes in names, is missing.
func newRepository(t testing.TB) string {
	t.Helper()
	testtree.Need(t, "git")
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("names cannot hold any bytes on " + runtime.GOOS + ": not compared with git")
	}
	dir := t.TempDir()
	gitIn(t, dir, false, nil, "init", "-q", "--template=")
	return dir
}

// A listCase is one pattern list and the tree it is tried on, in the notation of generator.tree.
type listCase struct {
	lines string
	paths []string
}

type verdict struct {
	line    int // of the rule that decides; 0 if there is none
	pattern string
}

// askGit returns what git says about each path of each case. Every case is a folder with an ignore file of its own, so
// that one process answers all.
func askGit(t testing.TB, fold bool, cases []listCase) (verdicts [][]verdict) {
	t.Helper()
	repo := newRepository(t)
	var stdin bytes.Buffer
	for i, c := range cases {
		dir := filepath.Join(repo, strconv.Itoa(i))
		mkdir(t, dir)
		for _, path := range c.paths {
			name, isDir := strings.CutSuffix(path, "/")
			if isDir {
				mkdir(t, dir+"/"+name)
			}
			fmt.Fprintf(&stdin, "%d/%s\x00", i, name)
		}
		// Last, in case the tree has a folder that is in the way: then the test has to be changed.
		writeFile(t, dir+"/.gitignore", c.lines)
	}
	out := gitIn(t, repo, fold, stdin.Bytes(), "check-ignore", "--no-index", "--verbose", "--non-matching", "-z", "--stdin")
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i, c := range cases {
		answers := make([]verdict, 0, len(c.paths))
		for _, path := range c.paths {
			if len(fields) < 4 {
				t.Fatalf("git stopped answering at case %d, path %q", i, path)
			}
			if want := fmt.Sprintf("%d/%s", i, strings.TrimSuffix(path, "/")); fields[3] != want {
				t.Fatalf("git answered about %q, want %q", fields[3], want)
			}
			line := 0
			if fields[1] != "" {
				var err error
				if line, err = strconv.Atoi(fields[1]); err != nil {
					t.Fatal(err)
				}
			}
			answers = append(answers, verdict{line, fields[2]})
			fields = fields[4:]
		}
		verdicts = append(verdicts, answers)
	}
	return verdicts
}

func mkdir(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o777); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

// compare asks both and returns how many answers it compared and how many of them were a rule.
func compare(t testing.TB, fold bool, cases []listCase) (compared, matched int) {
	t.Helper()
	mismatches := 0
	for i, answers := range askGit(t, fold, cases) {
		c := cases[i]
		m := fromFile(t, c.lines, fold)
		for k, want := range answers {
			path, isDir := strings.CutSuffix(c.paths[k], "/")
			rule, excluded := walkTo(m, path, isDir)
			got := verdict{}
			if rule != nil {
				got = verdict{rule.Line, rule.Pattern}
			}
			compared++
			if want.line > 0 {
				matched++
			}
			if got == want && (rule == nil || excluded != strings.HasPrefix(want.pattern, "!")) {
				continue
			}
			if mismatches++; mismatches <= 20 {
				t.Errorf("path %q: git %d %q, here %d %q (excluded %v)\n%q", c.paths[k], want.line, want.pattern, got.line,
					got.pattern, excluded, strings.Split(c.lines, "\n"))
			}
		}
	}
	if mismatches > 0 {
		t.Errorf("%d of %d answers differ from git's", mismatches, compared)
	}
	return compared, matched
}

// A later git may take `**` right after a literal beginning for a plain star (see the package comment).
var (
	literalThenStars = regexp.MustCompile(`(?s)^!?/?[^*?\[\\]*[^*?\[\\/]\*\*+(/|\\/|[ \r]*($|\x00))`)
	newStars         = func(t testing.TB) bool {
		answers := askGit(t, false, []listCase{{"foo**/bar\n", []string{"foobar"}}})
		return answers[0][0].line != 1
	}
)

// withoutNewStars replaces lines that the installed git is known to treat otherwise and returns how many there were.
func withoutNewStars(lines []string) (replaced int) {
	for i, line := range lines {
		if literalThenStars.MatchString(strings.TrimPrefix(line, "\xEF\xBB\xBF")) {
			lines[i] = "#"
			replaced++
		}
	}
	return replaced
}

func TestLikeGitGenerated(t *testing.T) { foldOrNot(t, testLikeGitGenerated) }

func testLikeGitGenerated(t *testing.T, fold bool) {
	g := newGenerator(fold)
	other := newStars(t)
	n := *gitLists
	if testing.Short() {
		n /= 10
	}
	patterns, replaced, compared, matched := 0, 0, 0, 0
	for n > 0 {
		cases := make([]listCase, min(n, 500))
		n -= len(cases)
		for i := range cases {
			paths := g.tree(10 + g.IntN(30))
			lines := make([]string, 1+g.IntN(5)*g.IntN(3))
			for k := range lines {
				lines[k] = g.pattern(paths)
			}
			patterns += len(lines)
			if other {
				replaced += withoutNewStars(lines)
			}
			cases[i] = listCase{
				pick(g, "", "", "", "\xEF\xBB\xBF") + strings.Join(lines, pick(g, "\n", "\n", "\r\n")) + pick(g, "", "\n"),
				paths,
			}
		}
		c, m := compare(t, fold, cases)
		compared += c
		matched += m
	}
	t.Logf("seed %d: %d patterns, %d answers compared, %d of them a rule", *gitSeed, patterns, compared, matched)
	if replaced > 0 {
		t.Logf("%d patterns left out: the installed git reads 'foo**/bar' in another way", replaced)
	}
}

// Every byte against every class and some sets.
func TestLikeGitSets(t *testing.T) { foldOrNot(t, testLikeGitSets) }

func testLikeGitSets(t *testing.T, fold bool) {
	var paths []string
	for c := 1; c < 256; c++ {
		if c != '/' {
			paths = append(paths, "x"+string([]byte{byte(c)}))
		}
	}
	var cases []listCase
	classes := []string{
		"alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit",
		"ALPHA", "word", "", ":", "alpha ",
	}
	for _, class := range classes {
		for _, form := range []string{"x[[:%s:]]", "x[![:%s:]]", "x[^[:%s:]a-f]", "x[[:%s:]-z]", "x[+-[:%s:]]"} {
			cases = append(cases, listCase{fmt.Sprintf(form, class), paths})
		}
	}
	sets := []string{
		"]", "!]", "^]", "]-a", "a-]", "-", "!-", "--0", "a-c-e", "z-a", "a-", "\x80-\xff", "!\x80-\xff", "\x01-\xff",
		`\]`, `\\`, `\a-\c`, `!\!`, `a\-c`, `\-x`, `[-\]`, "[", "[:", ":]", "[:a", "[.a.]", "[=a=]", "[-]",
		"!!", "^^", "^!", "a^", "+--", "/", "!/", ".-0",
		"A-Z", "!A-Z", "A-z", "!A-z", "Z-b", "!Z-b", "B-B", "@-C", "Y-[", "b-y", "!b-y", "`-{", "[:upper:][:digit:]", "!1B-C",
	}
	for _, set := range sets {
		cases = append(cases, listCase{"x[" + set + "]", paths})
	}
	compared, matched := compare(t, fold, cases)
	t.Logf("%d sets, %d answers compared, %d of them a rule", len(cases), compared, matched)
}

// The hand-made cases get git's verdict too.
func TestLikeGitTable(t *testing.T) { foldOrNot(t, testLikeGitTable) }

func testLikeGitTable(t *testing.T, fold bool) {
	other := newStars(t)
	var cases []listCase
	for _, tt := range patternTests {
		if lines := []string{tt.pattern}; other && withoutNewStars(lines) > 0 {
			continue
		}
		// One case a path, because the table uses the same names for files and directories.
		for _, path := range strings.Split(tt.in+" "+tt.out, " ") {
			if path != "" {
				cases = append(cases, listCase{tt.pattern, []string{path}}, listCase{tt.pattern, []string{strings.ToUpper(path)}})
			}
		}
	}
	compared, matched := compare(t, fold, cases)
	t.Logf("%d answers compared, %d of them a rule", compared, matched)
}

// Beginnings and ends of lines that git treats specially, in all combinations.
func TestLikeGitLines(t *testing.T) { foldOrNot(t, testLikeGitLines) }

func testLikeGitLines(t *testing.T, fold bool) {
	g := newGenerator(fold)
	endings := []string{
		"", " ", "  ", "\r", " \r", "\r ", "\r\r", "\t", "\t ", `\ `, `\  `, `\\ `, `\\\ `, `\`, "/", "/ ", "/\r",
		"\x00", "\x00b", " \x00",
	}
	beginnings := []string{"", "!", "#", `\#`, `\!`, "!!", " ", "/", "//", "!/", "\xEF\xBB\xBF", `\`, "./", "\r", "\x00"}
	var cases []listCase
	for _, beginning := range beginnings {
		for _, ending := range endings {
			var paths []string
			for _, name := range []string{"a", "x/a"} {
				for _, e := range []string{"", " ", "  ", "\r", "\t", `\`} {
					for _, b := range []string{"", "!", "#", " ", "\xEF\xBB\xBF", `\`} {
						dir, base := filepath.Split(name)
						paths = append(paths, dir+b+base+e)
					}
				}
			}
			last := pick(g, "", "\n")
			cases = append(cases, listCase{"*\n" + beginning + "a" + ending + last, paths})
			cases = append(cases, listCase{beginning + "d" + ending + last, []string{"d/"}})
		}
	}
	compared, matched := compare(t, fold, cases)
	t.Logf("%d files, %d answers compared, %d of them a rule", len(cases), compared, matched)
}

// What a walk leaves out is what `git ls-files --others --ignored` lists, with single patterns and several files.
func TestLikeGitWalk(t *testing.T) { foldOrNot(t, testLikeGitWalk) }

func testLikeGitWalk(t *testing.T, fold bool) {
	g := newGenerator(fold)
	other := newStars(t)
	n := *gitWalks
	if testing.Short() {
		n /= 10
	}
	files, left := 0, 0
	for range n {
		repo := newRepository(t)
		paths := g.tree(40 + g.IntN(60))
		for _, path := range paths {
			if name, isDir := strings.CutSuffix(path, "/"); isDir {
				mkdir(t, repo+"/"+name)
			}
		}
		for _, path := range paths {
			if !strings.HasSuffix(path, "/") {
				writeFile(t, repo+"/"+path, "")
			}
		}
		for range 4 {
			m := New()
			args := []string{"ls-files", "--others", "--ignored", "-z"}
			for range g.IntN(4) {
				line := []string{strings.ReplaceAll(g.pattern(paths), "\x00", "")}
				if other {
					withoutNewStars(line)
				}
				args = append(args, "--exclude="+line[0])
				if err := m.AddRule(Rule{Pattern: line[0], Source: "--exclude", Fold: fold}); err != nil {
					t.Fatal(err)
				}
			}
			for range 1 + g.IntN(3) {
				lines := make([]string, 1+g.IntN(5))
				for k := range lines {
					lines[k] = g.pattern(paths)
				}
				if other {
					withoutNewStars(lines)
				}
				name := filepath.Join(t.TempDir(), "list")
				text := strings.Join(lines, "\n")
				writeFile(t, name, text)
				args = append(args, "--exclude-from="+name)
				if err := m.AddFile(name, strings.NewReader(text), fold); err != nil {
					t.Fatal(err)
				}
			}
			want := strings.Split(strings.TrimSuffix(gitIn(t, repo, fold, nil, args...), "\x00"), "\x00")
			if want[0] == "" {
				want = nil
			}
			got := excludedFiles(t, m, repo)
			slices.Sort(want)
			slices.Sort(got)
			files += len(paths)
			left += len(want)
			if !slices.Equal(got, want) {
				t.Errorf("%q\ngit:  %q\nhere: %q", args, want, got)
				dump(t, m)
			}
		}
	}
	t.Logf("seed %d: %d walks, %d entries, %d files left out", *gitSeed, 4*n, files, left)
}

func dump(t *testing.T, m *Matcher) {
	for _, g := range []*group{&m.single, &m.files} {
		for _, e := range g.entries {
			t.Logf("%s", &e.rule)
		}
	}
}

// excludedFiles walks the tree as a caller of Match does and returns the files it would not store.
func excludedFiles(t *testing.T, m *Matcher, root string) (paths []string) {
	t.Helper()
	var visit func(dir string, gone bool)
	visit = func(dir string, gone bool) {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			path := strings.TrimPrefix(dir+"/"+e.Name(), "/")
			if path == ".git" {
				continue
			}
			excluded := gone
			if !gone {
				_, excluded = m.Match(path, e.IsDir())
			}
			switch {
			case e.IsDir():
				visit(path, excluded)
			case excluded && e.Type()&fs.ModeType == 0:
				paths = append(paths, path)
			}
		}
	}
	visit("", false)
	return paths
}
