package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// work is something to measure.
type work struct {
	name, title string
	change      func(*bench, int) error // made to the source before round 1, 2, …; nil: none
	first       bool                    // each run starts from nothing
	stored      bool                    // how much a run stored is of interest
	restores    bool                    // the source is the newest snapshot of the archive
	programs    []string                // which do it
}

var works = []work{
	{name: "first", title: "first run", first: true, programs: []string{"snapcopy", "rsync", "cp -a", "floor copy"}},
	{name: "nothing", title: "nothing changed", programs: []string{"snapcopy", "rsync", "cp -al", "floor link"}},
	{name: "restored", title: "restored", first: true, restores: true, programs: []string{"snapcopy", "rsync", "cp -a"}},
	{name: "1%", title: "1 % changed", change: onePercent, stored: true, programs: []string{"snapcopy", "rsync"}},
	// last, because an odd number of rounds leaves the folder renamed
	{name: "moved", title: "a folder moved", change: renameFolder, stored: true, programs: []string{"snapcopy", "rsync"}},
}

func chooseWorks(names []string) ([]work, error) {
	var chosen []work
	for _, w := range works {
		if slices.Contains(names, w.name) {
			chosen = append(chosen, w)
		}
	}
	if len(chosen) != len(names) {
		return nil, fmt.Errorf("unknown work in %q", names)
	}
	return chosen, nil
}

// bench is one run of this program.
type bench struct {
	options
	ctx    context.Context
	tree   string // the source
	base   string // a copy of it, from which programs that keep no archive start
	facts  facts
	rsync  string // version
	binary struct{ snapcopy, floor string }
}

// row is what one program needed for one work, one element a round.
type row struct {
	work, program string
	seconds, cpu  []float64
	memory        int64   // peak of any round, in bytes; 0: not known
	stored        []int64 // new content in each result; nil: not of interest
	reported      []int64 // the same by snapcopy's own report
}

// work measures each program that does w.
func (b *bench) work(w work, programs []program) ([]row, error) {
	var turns []*turn
	var rows []row
	for _, p := range programs {
		if slices.Contains(w.programs, p.name) {
			turns = append(turns, &turn{program: p, work: w, dir: filepath.Join(b.scratch, w.name, p.name)})
			rows = append(rows, row{work: w.title, program: p.name})
		}
	}
	source := b.tree
	if w.restores {
		var err error
		if source, err = b.newest(); err != nil {
			return nil, err
		}
	}
	note("%s: reading the source", w.title)
	if err := warm(source); err != nil {
		return nil, err
	}
	for _, t := range turns {
		err := t.begin(b)
		if err == nil && !w.first {
			err = t.do(b, new(row)) // does not count
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	for round := 1; round <= b.rounds; round++ {
		if w.change != nil {
			if err := errors.Join(w.change(b, round), b.settled()); err != nil {
				return nil, err
			}
		}
		for i := range turns {
			k := (round + i) % len(turns)
			if err := turns[k].do(b, &rows[k]); err != nil {
				return nil, fmt.Errorf("%s: %w", turns[k].name, err)
			}
			note("%s, round %d of %d: %.2f s %s", w.title, round, b.rounds, rows[k].seconds[round-1], rows[k].program)
		}
	}
	return rows, nil
}

// newest takes a snapshot of the tree and returns its folder.
func (b *bench) newest() (string, error) {
	if b.binary.snapcopy == "" {
		return "", errors.New("without snapcopy there is no snapshot to restore")
	}
	if _, err := b.run(b.binary.snapcopy, "snapshot", b.tree, b.archive(), "--quiet"); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(filepath.Join(b.archive(), "latest"))
}

func (b *bench) archive() string { return filepath.Join(b.scratch, "archive") }

// turn is one program doing one work again and again.
type turn struct {
	program
	work work
	dir  string          // contains its results
	n    int             // number of the newest
	seen map[uint64]bool // inodes of all results so far, if it is of interest what is new
}

func (t *turn) result(n int) string { return filepath.Join(t.dir, fmt.Sprint("result-", n)) }

// paths are the results to compare with and to make. All snapshots of an archive are in one folder, through all works.
func (t *turn) paths(b *bench) (prev, next string) {
	switch {
	case t.work.first:
		return "", t.result(t.n + 1)
	case t.archive:
		return b.archive(), b.archive()
	default:
		return t.result(t.n), t.result(t.n + 1)
	}
}

// begin makes a first result to compare with, for programs that keep no archive.
func (t *turn) begin(b *bench) error {
	if err := os.MkdirAll(t.dir, 0o755); err != nil || t.work.first || t.archive {
		return err
	}
	if _, err := os.Stat(b.base); errors.Is(err, os.ErrNotExist) {
		if _, err := b.run("cp", "-a", b.tree, b.base); err != nil {
			return err
		}
	}
	_, err := b.run("cp", "-al", b.base, t.result(t.n))
	return err
}

func (t *turn) commandLine(b *bench, prev, next string) []string {
	if t.work.restores {
		return t.restore(b, next)
	}
	return t.command(b, prev, next)
}

// do runs the program once, with nothing else under way, and enters in r what it took.
func (t *turn) do(b *bench, r *row) error {
	prev, next := t.paths(b)
	if t.work.stored && t.seen == nil {
		t.seen = map[uint64]bool{}
		if _, err := newBytes(prev, t.seen); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if _, err := b.run("sync", "-f", b.scratch); err != nil {
		return err
	}
	m, err := b.timed(next, t.commandLine(b, prev, next))
	if err != nil {
		return err
	}
	t.n++
	r.seconds, r.cpu, r.memory = append(r.seconds, m.Seconds), append(r.cpu, m.CPU), max(r.memory, m.Memory)
	if t.work.stored {
		newest := next
		if t.archive {
			newest = filepath.Join(next, "latest") + "/" // through the symbolic link
		}
		size, err := newBytes(newest, t.seen)
		if err != nil {
			return err
		}
		r.stored = append(r.stored, size)
		if n, ok := reportedBytes(m.Output); ok && t.archive {
			r.reported = append(r.reported, n)
		}
	}
	if t.work.first {
		return empty(next)
	}
	return nil
}
