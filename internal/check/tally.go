package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// tally counts tests, subtests and steps.
type tally struct {
	passed, failed int
	failures       []string
	skipped        map[string]int // by reason
}

func (t *tally) fail(name string) {
	t.failed++
	t.failures = append(t.failures, name)
}

func (t *tally) skip(reason string) {
	if t.skipped == nil {
		t.skipped = make(map[string]int)
	}
	t.skipped[reason]++
}

// hasFailed reports whether a failure in a package has been counted.
func (t *tally) hasFailed(pkg string) bool {
	return slices.ContainsFunc(t.failures, func(name string) bool { return strings.HasPrefix(name, pkg+" ") })
}

// print writes the closing lines.
func (t *tally) print(w io.Writer) {
	fmt.Fprintln(w)
	total := 0
	if len(t.skipped) > 0 {
		fmt.Fprintln(w, "Skipped, by reason:")
	}
	for _, reason := range slices.SortedFunc(maps.Keys(t.skipped), func(a, b string) int {
		return cmp.Or(t.skipped[b]-t.skipped[a], strings.Compare(a, b))
	}) {
		fmt.Fprintf(w, "%6d  %s\n", t.skipped[reason], reason)
		total += t.skipped[reason]
	}
	if t.failed > 0 {
		fmt.Fprintln(w, "Failed:")
		for _, name := range t.failures {
			fmt.Fprintf(w, "        %s\n", name)
		}
	}
	fmt.Fprintln(w, "Counted are tests with their subtests, and each other step of the check as one:")
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, total)
}
