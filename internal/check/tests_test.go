package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Guards: what is counted is what happened, also where a package cannot be built, panics, or fails in none of its tests.
func TestCounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module m\n",
		"good/a_test.go": `package good
import "testing"
func TestPass(t *testing.T) { t.Run("one", func(t *testing.T) {}); t.Run("two", func(t *testing.T) {}) }
func TestSkip(t *testing.T) { t.Log("before"); t.Skip("needs root") }
func TestSkipToo(t *testing.T) { t.Skip("needs root") }
func TestSkipWithPath(t *testing.T) { t.Skip("no archive in " + t.TempDir() + ": refused") }
func TestSkipWithoutReason(t *testing.T) { t.SkipNow() }
func TestPrints(t *testing.T) { print("ok  \tnot a package\n") }
`,
		"bad/a_test.go": `package bad
import "testing"
func TestGood(t *testing.T) {}
func TestBad(t *testing.T) { t.Log("note"); t.Run("sub", func(t *testing.T) { t.Error("what is wrong") }) }
`,
		"panics/a_test.go": `package panics
import "testing"
func TestPanics(t *testing.T) { panic("over") }
`,
		"exits/a_test.go": `package exits
import ("os"; "testing")
func TestMain(m *testing.M) { m.Run(); os.Exit(3) }
func TestGood(t *testing.T) {}
`,
		"builds/a_test.go": "package builds\nfunc f() { undefined() }\n",
		"none/a.go":        "package none\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-json", "-vet=off", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, _ := cmd.Output() // fails: tests do

	var total tally
	var printed bytes.Buffer
	r := results{tally: &total, out: &printed, output: make(map[testID][]string)}
	if err := r.read(bytes.NewReader(out)); err != nil {
		t.Fatal(err)
	}
	// 3 of TestPass, TestPrints, and one good test each in two packages
	if total.passed != 6 || total.failed != 5 || len(r.output) != 0 {
		t.Errorf("passed %d, failed %d: %q, left %v", total.passed, total.failed, total.failures, r.output)
	}
	for _, name := range []string{"m/bad TestBad", "m/bad TestBad/sub", "m/panics TestPanics", "m/exits", "m/builds"} {
		if !strings.Contains(strings.Join(total.failures, "\n")+"\n", name+"\n") {
			t.Errorf("%s is not among the failures: %q", name, total.failures)
		}
	}
	text := printed.String()
	for _, part := range []string{"what is wrong", "panic: over", "undefined: undefined", "--- FAIL: TestBad/sub", "ok  \tm/good\t",
		"FAIL\tm/bad\t", "FAIL\tm/panics\t", "FAIL\tm/exits\t", "FAIL\tm/builds [build failed]"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not printed:\n%s", part, text)
		}
	}
	if strings.Contains(text, "not a package") {
		t.Errorf("a passing test's own output is printed:\n%s", text)
	}
	printed.Reset()
	total.print(&printed)
	want := `
Skipped, by reason:
     2  needs root
     1  no archive in PATH: refused
     1  no reason is given
Failed:
`
	if got := printed.String(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\n6 passed, 5 failed, 4 skipped\n") {
		t.Errorf("the closing lines are\n%s", got)
	}
}

// Guards: a run that go test could not even begin is a failure.
func TestNothingRuns(t *testing.T) {
	c := check{pkgs: []string{"./no/such/folder"}}
	c.tests()
	if c.tally.failed == 0 {
		t.Errorf("%+v", c.tally)
	}
	c.tally.print(io.Discard)
}

func TestWrap(t *testing.T) {
	if got := wrap("one two  three\nfour", 8); got != "one two\nthree\nfour\n" {
		t.Errorf("%q", got)
	}
}

// Guards: the reason of a script is the one that it gives, not what the library logs after it.
func TestReason(t *testing.T) {
	for want, lines := range map[string][]string{
		"needs root":         {"    x_test.go:5: needs root\n"},
		"needs strace":       {"    cmd.go:380: needs strace\n", "    testscript.go:609: WORK=$WORK\n", "        HOME=/no-home\n"},
		"no reason is given": {"=== RUN   TestX\n"},
	} {
		if got := reason(lines); got != want {
			t.Errorf("%q: %q, want %q", lines, got, want)
		}
	}
}
