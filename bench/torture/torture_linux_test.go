package main

import (
	"path/filepath"
	"slices"
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

// Guards: threads are counted apart, as strace does when it injects.
func TestProfile(t *testing.T) {
	p := profileOf("12 openat(AT_FDCWD, \"a(b\") = 3\n13 openat(3) = 4\n12 openat(5, <unfinished ...>\n12 <... openat resumed>) = 5\n12 +++ exited with 0 +++\n")
	if want := (profile{{"openat", 1}, {"openat", 1}, {"openat", 2}}); !slices.Equal(p, want) || p.most()["openat"] != 2 {
		t.Error(p)
	}
}
