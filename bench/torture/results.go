package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// A cell is a line of the table: trials of an operation on a file system with a kind of fault.
type cell struct{ operation, system, kind string }

func (c cell) String() string { return c.operation + ", " + c.system + ", " + c.kind }

// outcome is the outcome of one trial.
type outcome struct {
	cell
	seed    uint64 // 0: of a systematic sweep
	point   string // the system call, and its fault
	reached bool   // the operation has made that call
	faults  []string
}

// results are those of all trials.
type results struct {
	first    uint64 // seed
	counts   map[cell]*count
	points   map[string]bool // of operation, call, and when, that were reached
	failures []outcome
	skipped  map[string][]string // trials that were left out, by reason
	every    bool                // a systematic sweep
}

type count struct{ all, tried, passed, unreached, failed int }

func newResults(o options) *results {
	return &results{first: o.seed, every: o.every, counts: make(map[cell]*count), points: make(map[string]bool),
		skipped: make(map[string][]string)}
}

func (r *results) skip(what, reason string) { r.skipped[reason] = append(r.skipped[reason], what) }

func (r *results) count(c cell) *count {
	n := r.counts[c]
	if n == nil {
		n = new(count)
		r.counts[c] = n
	}
	return n
}

// planned counts a trial that a systematic sweep has to do.
func (r *results) planned(c cell) { r.count(c).all++ }

func (r *results) add(o outcome) {
	n := r.count(o.cell)
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
		s.all += n.all
		s.tried += n.tried
		s.passed += n.passed
		s.unreached += n.unreached
		s.failed += n.failed
	}
	return s
}

func (r *results) tried() int  { return r.sum().tried }
func (r *results) failed() int { return len(r.failures) }

// render writes the failures, the trials that were left out, and the table.
func (r *results) render() string {
	var b strings.Builder
	for _, f := range r.failures {
		fmt.Fprintf(&b, "FAIL\t%s: %s\n", f.cell, f.point)
		for _, fault := range f.faults {
			fmt.Fprintf(&b, "\t%s\n", strings.ReplaceAll(fault, "\n", "\n\t"))
		}
		if r.every {
			fmt.Fprintf(&b, "\tagain: go run ./bench/torture -every -only '^%s: %s$'\n", f.cell, f.point)
		} else {
			fmt.Fprintf(&b, "\tagain: make torture TORTURE=1 TORTURE_SEED=%d\n", f.seed)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(r.skipped)) {
		fmt.Fprintf(&b, "skip\t%s: %s\n", strings.Join(r.skipped[reason], ", "), reason)
	}
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "operation\tfile system\tkind\ttried\tpassed\tnot reached\tfailed\t")
	for _, c := range slices.SortedFunc(maps.Keys(r.counts), func(a, b cell) int { return strings.Compare(a.String(), b.String()) }) {
		r.line(table, c, *r.counts[c])
	}
	r.line(table, cell{operation: "all"}, r.sum())
	_ = table.Flush() // into memory
	fmt.Fprintf(&b, "%d different points were reached", len(r.points))
	if !r.every {
		fmt.Fprintf(&b, "; the first trial was number %d", r.first)
	}
	b.WriteString(". Not reached: the operation ended before; it was checked all the same.\n")
	return b.String()
}

// line writes a line of the table.
func (r *results) line(w io.Writer, c cell, n count) {
	tried := strconv.Itoa(n.tried)
	if r.every {
		tried += " of " + strconv.Itoa(n.all)
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t\n", c.operation, c.system, c.kind, tried, n.passed, n.unreached, n.failed)
}
