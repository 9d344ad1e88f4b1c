package restore

import (
	"context"
	"slices"
	"testing"

	"snapcopy/internal/archive"
	"snapcopy/internal/leftover"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

// unfinishedName is the name of the note of a restore that is not finished.
var unfinishedName = leftover.NoteName(0)

// archived is a snapshot that a test has made.
type archived struct {
	archive.OpenSnapshot
	t *testing.T
}

// take takes a snapshot of a tree.
func take(t *testing.T, source string) archived {
	t.Helper()
	return archived{testarchive.Take(t, source), t}
}

func takeIn(t *testing.T, source, path string) archived {
	t.Helper()
	return archived{testarchive.TakeIn(t, source, path), t}
}

// torture is [torturedTree] with a snapshot that can be restored.
func torture(t *testing.T) (source string, want []string, a archived) {
	t.Helper()
	source, want, from := testarchive.Torture(t)
	return source, want, archived{from, t}
}

// restore restores without an error of the run itself.
func (a archived) restore(paths []string, to string, opt Options) *Report {
	a.t.Helper()
	before := testtree.OpenDescriptors(a.t)
	rep, err := Run(context.Background(), a.OpenSnapshot, paths, to, opt)
	if err != nil {
		a.t.Fatal(err)
	}
	if after := testtree.OpenDescriptors(a.t); after != before {
		a.t.Errorf("%d descriptors open before, %d after", before, after)
	}
	return rep
}

// wantFailed checks what a report says was not restored, by path.
func wantFailed(t *testing.T, rep *Report, paths ...string) {
	t.Helper()
	var got []string
	for _, f := range rep.Failed {
		got = append(got, f.Path)
	}
	slices.Sort(paths)
	if !slices.Equal(got, paths) {
		t.Errorf("failed %q, want %q\n%+v", got, paths, rep.Failed)
	}
}
