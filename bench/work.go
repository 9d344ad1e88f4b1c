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
	programs    []string                // which do it
}

var works = []work{
	{"first", "first run", nil, true, false, []string{"snapcopy", "rsync", "cp -a", "floor copy"}},
	{"nothing", "nothing changed", nil, false, false, []string{"snapcopy", "rsync", "cp -al", "floor link"}},
	{"1%", "1 % changed", onePercent, false, true, []string{"snapcopy", "rsync"}},
	// last, because an odd number of rounds leaves the folder renamed
	{"moved", "a folder moved", renameFolder, false, true, []string{"snapcopy", "rsync"}},
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
			turns = append(turns, &turn{program: p, work: w, dir: filepath.Join(b.scratch, "results", p.name)})
			rows = append(rows, row{work: w.title, program: p.name})
		}
	}
	note("%s: reading the source", w.title)
	if err := warm(b.tree); err != nil {
		return nil, err
	}
	if !w.first {
		for _, t := range turns {
			if err := t.begin(b); err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			if err := t.do(b, new(row)); err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	for round := 1; round <= b.rounds; round++ {
		if w.change != nil {
			if err := errors.Join(w.change(b, round), b.settle()); err != nil {
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
	for _, t := range turns {
		if err := t.end(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// turn is one program doing one work again and again.
type turn struct {
	program
	work   work
	dir    string // holds its results
	newest int    // number of its newest result
}

// begin lets a program have a result to compare with.
func (t *turn) begin(b *bench) error {
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return err
	}
	if t.archive {
		return nil // makes its own, and has it already in a second work
	}
	if _, err := os.Stat(b.base); errors.Is(err, os.ErrNotExist) {
		if _, err := b.run("cp", "-a", b.tree, b.base); err != nil {
			return err
		}
	}
	_, err := b.run("cp", "-al", b.base, t.result(0))
	return err
}

func (t *turn) result(n int) string { return filepath.Join(t.dir, fmt.Sprint("result-", n)) }

// do runs the program once, with nothing else under way, and enters in r what it took.
func (t *turn) do(b *bench, r *row) error {
	prev, next := t.result(t.newest), t.result(t.newest+1)
	switch {
	case t.work.first:
		next = filepath.Join(t.dir, "first")
		if err := os.MkdirAll(t.dir, 0o755); err != nil {
			return err
		}
	case t.archive:
		prev, next = "", filepath.Join(t.dir, "archive")
	}
	before, err := t.inodes(prev, next)
	if err != nil {
		return err
	}
	if _, err := b.run("sync", "-f", b.scratch); err != nil {
		return err
	}
	m, err := b.timed(next, t.command(b, prev, next))
	if err != nil {
		return err
	}
	r.seconds, r.cpu, r.memory = append(r.seconds, m.Seconds), append(r.cpu, m.CPU), max(r.memory, m.Memory)
	if t.work.stored {
		if n, ok := reportedBytes(m.Output); ok && t.archive {
			r.reported = append(r.reported, n)
		}
		size, err := newBytes(t.newestTree(next), before)
		if err != nil {
			return err
		}
		r.stored = append(r.stored, size)
	}
	switch {
	case t.work.first:
		return remove(next)
	case t.archive:
		return nil
	}
	t.newest++
	return remove(prev)
}

// newestTree is the mirror in a result.
func (t *turn) newestTree(result string) string {
	if t.archive {
		return filepath.Join(result, "latest") + "/" // through the symbolic link
	}
	return result
}

// inodes are those of the result before, if they will be asked for.
func (t *turn) inodes(prev, next string) (map[uint64]bool, error) {
	if !t.work.stored {
		return nil, nil
	}
	if t.archive {
		prev = next
	}
	inodes := map[uint64]bool{}
	_, err := newBytes(t.newestTree(prev), inodes)
	if t.archive && errors.Is(err, os.ErrNotExist) {
		return inodes, nil // no snapshot yet
	}
	return inodes, err
}

// end deletes the results that no other work goes on from.
func (t *turn) end() error {
	if t.archive {
		return nil
	}
	return remove(t.dir)
}
