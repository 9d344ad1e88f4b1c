package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// A cell is a kind of trial.
type cell struct{ operation, system, kind string }

func (c cell) String() string { return c.operation + ", " + c.system + ", " + c.kind }

// outcome is what became of one trial.
type outcome struct {
	cell
	seed    uint64
	point   string // the system call, and what it did
	reached bool   // the operation came so far
	faults  []string
}

// results are those of all trials.
type results struct {
	first    uint64 // seed
	counts   map[cell]*count
	points   map[string]bool // of operation, call, and when, that were reached
	failures []outcome
	skipped  map[string][]string // what was left out, by reason
}

type count struct{ tried, passed, unreached, failed int }

func newResults(o options) *results {
	return &results{first: o.seed, counts: make(map[cell]*count), points: make(map[string]bool),
		skipped: make(map[string][]string)}
}

func (r *results) skip(what, reason string) { r.skipped[reason] = append(r.skipped[reason], what) }

func (r *results) add(o outcome) {
	n := r.counts[o.cell]
	if n == nil {
		n = new(count)
		r.counts[o.cell] = n
	}
	n.tried++
	switch {
	case len(o.faults) > 0:
		n.failed++
		r.failures = append(r.failures, o)
	case o.reached:
		n.passed++
	default:
		n.unreached++
	}
	if o.reached {
		r.points[o.operation+" "+o.point] = true
	}
}

func (r *results) sum() (s count) {
	for _, n := range r.counts {
		s.tried, s.passed, s.unreached, s.failed =
			s.tried+n.tried, s.passed+n.passed, s.unreached+n.unreached, s.failed+n.failed
	}
	return s
}

func (r *results) tried() int  { return r.sum().tried }
func (r *results) failed() int { return len(r.failures) }

// render writes the failures, what was left out, and the table.
func (r *results) render() string {
	var b strings.Builder
	for _, f := range r.failures {
		fmt.Fprintf(&b, "FAIL\t%s: %s\n", f.cell, f.point)
		for _, fault := range f.faults {
			fmt.Fprintf(&b, "\t%s\n", strings.ReplaceAll(fault, "\n", "\n\t"))
		}
		fmt.Fprintf(&b, "\tagain: make torture TORTURE=1 TORTURE_SEED=%d\n", f.seed)
	}
	for _, reason := range slices.Sorted(maps.Keys(r.skipped)) {
		fmt.Fprintf(&b, "skip\t%s: %s\n", strings.Join(r.skipped[reason], ", "), reason)
	}
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "operation\tfile system\tkind\ttried\tpassed\tnot reached\tfailed\t")
	for _, c := range slices.SortedFunc(maps.Keys(r.counts), func(a, b cell) int { return strings.Compare(a.String(), b.String()) }) {
		n := r.counts[c]
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t\n", c.operation, c.system, c.kind, n.tried, n.passed, n.unreached, n.failed)
	}
	s := r.sum()
	fmt.Fprintf(table, "all\t\t\t%d\t%d\t%d\t%d\t\n", s.tried, s.passed, s.unreached, s.failed)
	_ = table.Flush() // into memory
	fmt.Fprintf(&b, "%d different points, the first trial was number %d. Not reached: the operation ended before; it was checked all the same.\n",
		len(r.points), r.first)
	return b.String()
}
