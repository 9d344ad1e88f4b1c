package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"snapcopy/internal/testtools"
)

// look finds the tools missing on this machine, and lists them in one paragraph. It returns false if the check must
// stop.
func (c *check) look(chosen []string) bool {
	var m missing
	var text strings.Builder
	tests := slices.Contains(chosen, "tests")
	if tests {
		c.lookForTests(&m)
	}
	if m.tools != nil {
		fmt.Fprintf(&text, "Missing on this machine: %s. ", strings.Join(m.tools, ", "))
	}
	if m.packages != nil {
		slices.Sort(m.packages)
		fmt.Fprintf(&text, "On Debian or Ubuntu, this installs it: apt-get install --no-install-recommends %s. "+
			"Elsewhere, look for packages of these names. ", strings.Join(slices.Compact(m.packages), " "))
	}
	if why := testtools.NotRoot(); tests && why != "" {
		fmt.Fprintf(&text, "Tests that mount file systems, make devices or give files to other users are skipped (%s). ", why)
	}
	switch {
	case text.Len() == 0:
		text.WriteString("Nothing is missing on this machine.")
	case c.strict && m.tools != nil:
		text.WriteString("Nothing may be missing (-strict), so the check ends here.")
	default:
		text.WriteString("The check goes on without; what is left out is counted at the end.")
	}
	fmt.Print(wrap(text.String(), 120), "\n")
	return !c.strict || m.tools == nil
}

// missing are the tools that a machine lacks, and the packages of Debian that have those that can be installed.
type missing struct{ tools, packages []string }

func (m *missing) add(tool string, packages ...string) {
	m.tools, m.packages = append(m.tools, tool), append(m.packages, packages...)
}

// lookForTests finds the tools that tests need and this machine lacks. Without those of the race detector, the tests
// run without it.
func (c *check) lookForTests(m *missing) {
	if c.race {
		why, compiler := noRace()
		if why != "" {
			c.race = false
			c.tally.skip("the race detector: " + why)
		}
		switch {
		case why == "":
		case compiler:
			m.add("a C compiler with its headers (for the race detector)", "gcc", "libc6-dev")
		default:
			m.add("the race detector (" + why + ")")
		}
	}
	for _, tool := range testtools.All {
		if tool.Root && testtools.NotRoot() != "" {
			continue
		}
		if _, err := exec.LookPath(tool.Program); err != nil {
			m.add(tool.Program, tool.Package)
		}
	}
}

// noRace returns why programs cannot be built with the race detector, or "". compiler reports whether a C compiler and
// the headers of the C library would help.
func noRace() (why string, compiler bool) {
	cmd := exec.Command("go", "list", "-race", "unsafe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return strings.TrimSpace(string(out)), false
	}
	const needs = "needs a C compiler with its headers (packages gcc, libc6-dev)"
	out, err := exec.Command("go", "env", "CC").Output()
	words := strings.Fields(string(out))
	if err != nil || len(words) == 0 {
		return needs, true
	}
	dir, err := os.MkdirTemp("", "check")
	if err != nil {
		return err.Error(), false
	}
	defer func() { _ = os.RemoveAll(dir) }() // a folder left among temporary files is no finding
	// The headers that Go's own C code includes, and a program that is linked: without the library's start files a
	// compiler alone is of no use.
	const program = "#include <pthread.h>\n#include <stdlib.h>\nint main(void) { free(NULL); return 0; }\n"
	cmd = exec.Command(words[0], append(words[1:], "-x", "c", "-", "-pthread", "-o", filepath.Join(dir, "program"))...)
	cmd.Stdin = strings.NewReader(program)
	if cmd.Run() != nil {
		return needs, true
	}
	return "", false
}

// debianPackages returns the packages of a machine on which every check runs.
func debianPackages() []string {
	list := []string{"gcc", "libc6-dev"}
	for _, tool := range testtools.All {
		list = append(list, tool.Package)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// wrap breaks a paragraph into lines.
func wrap(text string, width int) string {
	var b strings.Builder
	at := 0
	for _, word := range strings.Fields(text) {
		if at > 0 && at+1+len(word) > width {
			b.WriteByte('\n')
			at = 0
		} else if at > 0 {
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String() + "\n"
}
