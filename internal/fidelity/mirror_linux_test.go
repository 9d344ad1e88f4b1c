package fidelity

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"snapcopy/internal/archive"
	"snapcopy/internal/outcome"
	"snapcopy/internal/testtree"
	"snapcopy/restore"
)

// Guards: whatever became of a tree that was once the source, or is it, rolling it back to any snapshot makes it equal
// to that; a dry run has told all of it before; and the archive stays as it was. FIDELITY_HISTORIES and FIDELITY_FIRST
// say how many histories to go through.
func TestRandomRollbacks(t *testing.T) {
	eachHistory(t, func(l *lab, seed uint64) { l.rollbacks(rand.New(rand.NewPCG(seed, 1)), 6, 12) })
}

func (l *lab) rollbacks(rng *rand.Rand, snapshots, steps int) {
	l.ignore = testtree.Holes
	l.check(os.Mkdir(filepath.Join(l.base, "outside"), 0o700))
	h := &historian{t: l.t, rng: rng, root: l.src}
	for range snapshots {
		for range 3 + rng.IntN(8) {
			l.build(h.edit())
		}
		if rng.IntN(2) == 0 {
			testtree.Settle()
		}
		l.run()
	}
	elsewhere := filepath.Join(l.to, "elsewhere")
	l.restore(l.order[0], elsewhere)
	for step := range steps {
		target := []string{l.src, elsewhere}[rng.IntN(2)]
		edits := &historian{t: l.t, rng: rng, root: target, next: 10_000 + 100*step}
		var script []string
		for range rng.IntN(8) {
			line := edits.edit()
			script = append(script, line)
			testtree.Build(l.t, target, line)
		}
		name := l.order[rng.IntN(len(l.order))]
		opt := restore.Options{Delete: true, Threads: 1 + rng.IntN(5), Overwrite: restore.OverwriteChanged}
		if rng.IntN(4) == 0 {
			opt.Overwrite = restore.OverwriteAlways
		}
		opt.DryRun = true
		before := testtree.Take(l.t, target)
		would := l.rollBack(name, target, opt)
		testtree.Equal(l.t, "a dry run", before, testtree.Take(l.t, target), 0)
		opt.DryRun = false
		did := l.rollBack(name, target, opt)
		if diff := cmp.Diff(did, would); diff != "" && opt.Threads == 1 {
			l.t.Errorf("a dry run told something else (-did +would): %s", diff)
		}
		testtree.Equal(l.t, "rolled back to "+name, l.want[name], testtree.Take(l.t, target), l.ignore)
		if l.t.Failed() {
			l.t.Fatalf("step %d, %s in %s, was:\n%s", step, name, target, strings.Join(script, "\n"))
		}
	}
	l.intact()
	l.verify()
}

// rollBack makes a tree equal to a snapshot and gives what it was told of.
func (l *lab) rollBack(name, target string, opt restore.Options) (told []string) {
	l.t.Helper()
	opt.Item = func(i outcome.Item) { told = append(told, fmt.Sprintf("%q %s %v", i.Path, i.Action, i.Err)) }
	c := l.catalog(name)
	rep, err := restore.Run(l.t.Context(), archive.OpenSnapshot{Catalog: c, Snapshot: archive.Snapshot{Dir: l.path(name)}}, nil, target, opt)
	if err = errors.Join(err, c.Close()); err != nil {
		l.t.Fatalf("restore of %s: %v", name, err)
	}
	if rep.FailedCount > 0 || rep.CatalogOnly != (outcome.CatalogOnlyCounts{}) {
		l.t.Errorf("restore of %s: failed %v, not held %+v", name, rep.Failed, rep.CatalogOnly)
	}
	slices.Sort(told)
	return told
}
