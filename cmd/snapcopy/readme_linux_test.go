package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"snapcopy/internal/testtree"
)

var updateReadme = flag.Bool("update-readme", false, "write what the commands of README.md print into it, where it differs")

// readme is the file whose examples are run.
const readme = "../../README.md"

// Guards: the examples of README.md, run as written from the first to the last, print what it says, but for times, sizes,
// and owners. An example is a line of a code block that begins with "$ ", with its continuation lines; up to the next one
// follows its output, in which a line "..." stands for any number of lines. A command with sudo is run by root only.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	examples := parseExamples(lines)
	if len(examples) < 20 {
		t.Fatalf("README.md has only %d examples", len(examples))
	}
	shell := newShell(t)
	for i := range examples {
		e := &examples[i]
		t.Run(fmt.Sprintf("line %d", e.line+1), func(t *testing.T) {
			defer func() { e.skipped = t.Skipped() }()
			if i > 0 && examples[i-1].skipped && e.line == examples[i-1].from+len(examples[i-1].want) {
				t.Skip("follows in a block of README.md on an example that was skipped")
			}
			e.skipWithoutTools(t)
			e.got = shell.run(t, e.command)
			e.differs = !matches(e.want, e.got) && !slices.Equal(sorted(e.want), sorted(e.got))
			if e.differs && !*updateReadme {
				t.Errorf("$ %s\nprinted\n%s\nREADME.md has\n%s", e.command, strings.Join(e.got, "\n"), strings.Join(e.want, "\n"))
			}
		})
	}
	if !*updateReadme {
		return
	}
	for _, e := range slices.Backward(examples) {
		if e.differs {
			lines = slices.Replace(lines, e.from, e.from+len(e.want), indented(e.got)...)
		}
	}
	if err := os.WriteFile(readme, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// example is a command of README.md with its output.
type example struct {
	line      int // of the command, from 0
	command   string
	from      int // the line at which the output begins
	want, got []string
	differs   bool
	skipped   bool
}

// skipWithoutTools skips an example whose command a machine or a user may lack.
func (e *example) skipWithoutTools(t *testing.T) {
	uses := func(tool string) bool { return regexp.MustCompile(`(^|[ |(])` + tool + ` `).MatchString(e.command) }
	if uses("sudo") {
		testtree.NeedRoot(t)
	}
	for _, tool := range []string{"b3sum", "mtree", "zstd"} {
		if uses(tool) {
			testtree.Need(t, tool)
		}
	}
}

const indent = "    "

func parseExamples(lines []string) (list []example) {
	inExample, continued, blank := false, false, 0
	for n, line := range lines {
		text, inBlock := strings.CutPrefix(line, indent)
		command, isCommand := strings.CutPrefix(text, "$ ")
		last := len(list) - 1
		switch {
		case line == "": // it may lie within the output
			blank++
			continue
		case !inBlock:
			inExample = false
		case continued:
			list[last].command += "\n" + text
			list[last].from, continued = n+1, strings.HasSuffix(text, `\`)
		case isCommand:
			list = append(list, example{line: n, command: command, from: n + 1})
			inExample, continued = true, strings.HasSuffix(command, `\`)
		case inExample:
			list[last].want = append(append(list[last].want, make([]string, blank)...), text)
		}
		blank = 0
	}
	return list
}

func indented(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = strings.TrimRight(indent+line, " ")
	}
	return out
}

// shell is a bash that keeps its state from one command to the next, as a person's does.
type shell struct {
	in   io.Writer
	out  *bufio.Reader
	root string // stands for the root of the file system in what is printed
}

const endOfOutput = "---- end of output ----"

func newShell(t *testing.T) *shell {
	root := t.TempDir()
	home := filepath.Join(root, "home", "ada")
	bin := filepath.Join(root, "bin")
	for _, dir := range []string{home, bin} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(bin, "sudo"), []byte("#!/bin/sh\nexec \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash")
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "TZ=UTC", "LC_ALL=C", "GORACE=" + raceEnv,
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH")}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the shell: %v", err)
		}
	})
	s := &shell{in, bufio.NewReader(out), root}
	if got := s.run(t, "umask 022"); len(got) > 0 {
		t.Fatalf("the shell printed %q", got)
	}
	return s
}

// run carries out a command and returns the lines that it prints, to stdout or stderr.
func (s *shell) run(t *testing.T, command string) []string {
	t.Helper()
	if _, err := fmt.Fprintf(s.in, "%s </dev/null\necho '%s'\n", group(command), endOfOutput); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			t.Fatalf("the shell ended: %v", err)
		}
		line = strings.TrimSuffix(line, "\n")
		if line == endOfOutput {
			return lines
		}
		lines = append(lines, strings.TrimRight(strings.ReplaceAll(line, s.root, ""), " "))
	}
}

// group makes one of the commands of a line, so that none reads what is meant for the shell.
func group(command string) string { return "{ " + command + "\n}" }

// masks replace what differs from one run to the next, and from one file system to the next.
var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?( -> \.\d+)?`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`TIME -> TIME`), "TIME"},
	{regexp.MustCompile(`(Mon|Tue|Wed|Thu|Fri|Sat|Sun) TIME`), "TIME"},
	{regexp.MustCompile(`[-+]?\d[\d.,]* ?([KMGT]i)?B\b`), "SIZE"},
	{regexp.MustCompile(`\d[\d.,]* s\b`), "SECONDS"},
	{regexp.MustCompile(`^([-dl][-rwx]{9}) +\d+ +\d+ `), "$1 OWNER GROUP "},
	{regexp.MustCompile(`[\d,]+ of [\d,]+ inodes`), "INODES"},
	{regexp.MustCompile(`SIZE a day lately: full in .*`), "GROWTH"},
	{regexp.MustCompile(`\d[\d.]* times`), "RATIO times"},
	{regexp.MustCompile(` +`), " "},
	{regexp.MustCompile(` $`), ""},
}

func masked(line string) string {
	for _, m := range masks {
		line = m.pattern.ReplaceAllString(line, m.with)
	}
	return line
}

// matches reports whether lines are as wanted, in which a line "..." stands for any number of them.
func matches(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if want[0] == "..." {
		for skip := 0; skip <= len(got); skip++ {
			if matches(want[1:], got[skip:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && masked(want[0]) == masked(got[0]) && matches(want[1:], got[1:])
}

// sorted gives masked lines in the order of their letters: entries that several workers look at come in any order.
func sorted(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = masked(line)
	}
	slices.Sort(out)
	return out
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "", false},
		{"took 1.0 s", "took 22 s", true},
		{"3.1 MiB  stored", "19 B stored", true},
		{"3 files", "4 files", false},
		{"time 2026-01-02 03:04:05.5 -> .7)", "time 2026-01-02 03:04:05 -> 2026-01-02 03:04:06)", true},
		{"...|b", "a|a|b", true},
		{"...|b", "b", true},
		{"a|...", "a|b|c", true},
		{"...|b", "b|c", false},
	} {
		if got := matches(strings.Split(c.want, "|"), strings.Split(c.got, "|")); got != c.ok {
			t.Errorf("%q and %q: %v", c.want, c.got, got)
		}
	}
}

func TestParseExamples(t *testing.T) {
	text := "text\n\n    $ one \\\n      two\n    out\n\n    more\n\n    $ three\ntext\n    out"
	want := []example{{line: 2, command: "one \\\n  two", from: 4, want: []string{"out", "", "more"}},
		{line: 8, command: "three", from: 9}}
	if got := parseExamples(strings.Split(text, "\n")); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
