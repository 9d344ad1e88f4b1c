package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// longest are the packages whose tests take the longest. They begin first, so that none of them is left to run alone.
var longest = []string{"./snapshot", "./cmd/snapcopy", "./internal/archive", "./internal/fidelity"}

// tests runs the tests, prints the closing lines of go test and the output of failed tests, and counts results.
func (c *check) tests() {
	// More packages at a time than there are processors, because most tests wait for a disk.
	args := []string{"test", "-json", "-count=1", "-vet=off", "-timeout", c.timeout.String(), "-p", fmt.Sprint(2 * runtime.NumCPU())}
	if c.race {
		args = append(args, "-race")
	}
	if c.filter != "" {
		args = append(args, "-run", c.filter)
	}
	if slices.Equal(c.pkgs, everything) {
		args = append(args, longest...)
	}
	cmd := exec.Command("go", append(args, c.pkgs...)...)
	if c.race {
		// Without the latter, the race detector sleeps a second at the end of each process, and the tests start thousands.
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1", strings.TrimSpace("GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")))
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Println("FAIL\tgo test:", err)
		c.tally.fail("go test")
		return
	}
	r := results{tally: &c.tally, out: os.Stdout, verbose: c.verbose, output: make(map[testID][]string)}
	err = r.read(out)
	if err = errors.Join(err, cmd.Wait()); err != nil && r.failures == 0 {
		fmt.Println("FAIL\tgo test:", err)
		c.tally.fail("go test")
	}
}

// An event is a line that go test -json prints; see go doc test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of the package that failed to build
	Test       string
	Output     string
}

// testID identifies a test, or with an empty name a package.
type testID struct{ pkg, test string }

// results prints and counts events.
type results struct {
	tally    *tally
	out      io.Writer
	verbose  bool
	output   map[testID][]string // of tests and packages that have not ended
	failures int
}

func (r *results) read(in io.Reader) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var e event
		if json.Unmarshal(scanner.Bytes(), &e) != nil {
			fmt.Fprintln(r.out, scanner.Text())
			continue
		}
		r.take(&e)
	}
	return scanner.Err()
}

func (r *results) take(e *event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "output":
		r.output[id] = append(r.output[id], e.Output)
		return
	case "build-output":
		fmt.Fprint(r.out, e.Output)
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	lines := r.output[id]
	delete(r.output, id)
	if e.Test == "" {
		r.endPackage(e, lines)
		return
	}
	switch e.Action {
	case "pass":
		r.tally.passed++
	case "skip":
		why := reason(lines)
		r.tally.skip(why)
		if r.verbose {
			fmt.Fprintf(r.out, "skip\t%s %s: %s\n", e.Package, e.Test, why)
		}
	case "fail":
		r.failures++
		r.tally.fail(e.Package + " " + e.Test)
		r.print(lines)
	}
}

// endPackage prints the lines of go test about a package at its end. If the package failed, it also prints the output
// of tests that did not end: one of them is the reason.
func (r *results) endPackage(e *event, lines []string) {
	var rest []testID
	for id := range r.output {
		if id.pkg == e.Package {
			rest = append(rest, id)
		}
	}
	slices.SortFunc(rest, func(a, b testID) int { return strings.Compare(a.test, b.test) })
	for _, id := range rest {
		if e.Action == "fail" {
			r.print(r.output[id])
			r.failures++
			r.tally.fail(e.Package + " " + id.test + " (did not come to its end)")
		}
		delete(r.output, id)
	}
	if e.Action == "fail" && !r.tally.hasFailed(e.Package) {
		r.failures++
		r.tally.fail(e.Package)
	}
	if e.Action == "fail" {
		r.print(lines)
		return
	}
	for _, line := range lines { // "ok" or "no test files", and no output of tests
		if strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t") {
			fmt.Fprint(r.out, line)
		}
	}
}

func (r *results) print(lines []string) {
	for _, line := range lines {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(r.out, line)
		}
	}
}

var (
	place = regexp.MustCompile(`^\s+[^\s:]+\.go:\d+: `)
	paths = regexp.MustCompile(`(^|[\s"'(:=])/[^\s"':,)]+/[^\s"':,)]*`)
)

// reason extracts from the output of a skipped test the reason, in the same words for equal reasons.
func reason(lines []string) string {
	why := "no reason is given"
	for _, line := range lines {
		// A script logs the reason for skipping first, and then all that it did.
		if m := place.FindString(line); m != "" && !strings.Contains(m, "testscript.go:") {
			why = line[len(m):]
		}
	}
	return strings.TrimSpace(paths.ReplaceAllString(why, "${1}PATH"))
}
