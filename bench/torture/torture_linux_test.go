package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"snapcopy/internal/testtree"
)

// never is a point that no operation reaches.
var never = point{call: "mount", when: 1, flags: 2}

// trialHere does one trial in places of its own.
func trialHere(t *testing.T, program string, c cell, without string, at point) outcome {
	t.Helper()
	p, err := newPlace(testtree.TempDir(t), c.system)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	out, err := trial(t.Context(), options{program: program, without: without}, p, c, 1, []point{at})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func needStrace(t *testing.T) {
	t.Helper()
	testtree.Need(t, "strace")
	if why := cannotTrace(); why != "" {
		t.Skip(why)
	}
}

func built(t *testing.T) string {
	t.Helper()
	program := filepath.Join(testtree.TempDir(t), "snapcopy")
	if err := build(t.Context(), program); err != nil {
		t.Fatal(err)
	}
	return program
}

// Guards: the sweep sees what a missing sync costs. Each case takes one sync away from a run that comes to its end, after
// which the power is cut; with all of them, nothing is lost.
func TestSweepSeesMissingSync(t *testing.T) {
	testtree.NeedRoot(t)
	needStrace(t)
	for _, system := range []string{"ext4", "xfs", "btrfs"} {
		testtree.Need(t, "mkfs."+system)
	}
	program := built(t)
	all, journaled := []string{"ext4", "xfs", "btrfs"}, []string{"ext4", "xfs"}
	for _, c := range []struct {
		operation, without string
		systems            []string
	}{
		{"run", "", all},
		{"run", "syncfs", all}, // of the contents, before the snapshot gets its name
		{"run", "fsync@.snapcopy/work/catalog", journaled}, // of the catalog, before it gets its name
		{"run", "fsync", all},                              // of these, and of the folders after the renames
		{"restore", "", []string{"ext4"}},
		{"restore", "syncfs", all},
	} {
		for _, system := range c.systems {
			t.Run(c.operation+" on "+system+" without "+c.without, func(t *testing.T) {
				t.Parallel()
				out := trialHere(t, program, cell{c.operation, system, powerCut}, c.without, never)
				if lost := len(out.faults) > 0; lost != (c.without != "") {
					t.Errorf("faults: %q", out.faults)
				}
			})
		}
	}
}

// Guards: a trial can be done by an ordinary user, too; a point that is reached is told from one that is not.
func TestTrial(t *testing.T) {
	needStrace(t)
	program := built(t)
	for _, c := range []struct {
		at      point
		reached bool
	}{
		{never, false},
		{point{call: "linkat", when: 1}, true},
		{point{call: "linkat", when: 3}, true},
		{point{call: "renameat2", when: 1, errno: "EIO"}, true},
	} {
		t.Run(c.at.String(), func(t *testing.T) {
			t.Parallel()
			out := trialHere(t, program, cell{"run", here, killed}, "", c.at)
			if len(out.faults) > 0 || out.reached != c.reached {
				t.Errorf("reached %v, faults %q", out.reached, out.faults)
			}
		})
	}
}

// Guards: an archive that was cloned is as good as the one that was made: a run finds its unchanged files, and goes on where
// the run before was cut short; a mount of the trial before is not in the way.
func TestClonedPlace(t *testing.T) {
	testtree.NeedRoot(t)
	needStrace(t)
	testtree.Need(t, "mkfs.btrfs")
	p, err := newClonedPlace(testtree.TempDir(t))
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	program := built(t)
	for _, operation := range []string{"resumed run", "settle", "resumed run", "settle"} {
		if why := cannotOverlay(p.scratch); why != "" && operation == "settle" {
			t.Log("skip settle:", why)
			continue
		}
		out, err := trial(t.Context(), options{program: program}, p, cell{operation, cloned, failing}, 0, []point{{call: "fsync", when: 1, errno: "EIO"}})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.faults) > 0 || !out.reached {
			t.Errorf("%s: reached %v, faults %q", operation, out.reached, out.faults)
		}
	}
	l, err := begin(t.Context(), program, p, operationNamed("unchanged run"), 0)
	if err == nil {
		l, err = begin(t.Context(), program, p, operationNamed("unchanged run"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r, err := l.do(run(l)...); err != nil || !strings.Contains(r.output, "nothing changed") {
		t.Error(err, r)
	}
}

// Guards: the systematic sweep begins with each call and error of each operation.
func TestOrderOfSweep(t *testing.T) {
	var p profile
	for when := range 40 {
		p = append(p, numbered{"openat", when + 1}, numbered{"close", when + 1})
	}
	tasks := append(plan("run", here, p), plan("prune", here, p)...)
	shuffle(tasks)
	first := tasks[:2*2*(len(errnos)+1)]
	kinds := make(map[task]bool)
	for _, t := range first {
		t.at.when = 0
		kinds[t] = true
	}
	if len(kinds) != len(first) {
		t.Errorf("the first %d trials are of %d kinds", len(first), len(kinds))
	}
}

// Guards: threads are counted apart, as strace does when it injects.
func TestProfile(t *testing.T) {
	p := profileOf("12 openat(AT_FDCWD, \"a(b\") = 3\n13 openat(3) = 4\n12 openat(5, <unfinished ...>\n12 <... openat resumed>) = 5\n12 +++ exited with 0 +++\n")
	if want := (profile{{"openat", 1}, {"openat", 1}, {"openat", 2}}); !slices.Equal(p, want) || p.most()["openat"] != 2 {
		t.Error(p)
	}
}
