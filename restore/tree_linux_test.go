package restore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/leftover"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// unfinishedName is the name of the note of a restore that is not finished.
var unfinishedName = leftover.NoteName(0)

// archived is a snapshot that a test has made.
type archived struct {
	Source
	t *testing.T
}

// archive takes a snapshot of a tree.
func archive(t *testing.T, source string) archived {
	t.Helper()
	a := archiveIn(t, source, filepath.Join(testarchive.TempDir(t), "archive"))
	t.Cleanup(func() { testarchive.CloseAll(t, a.Catalog) })
	return a
}

func archiveIn(t *testing.T, source, path string) archived {
	t.Helper()
	rep, err := snapshot.Run(context.Background(), source, path, snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Incomplete {
		t.Fatalf("snapshot is incomplete: %v", rep.Failed)
	}
	c, err := index.Open(filepath.Join(path, ".snapcopy", "catalogs", rep.Snapshot+".cat"))
	if err != nil {
		t.Fatal(err)
	}
	return archived{Source{c, filepath.Join(path, rep.Snapshot)}, t}
}

// restore restores without an error of the run itself.
func (a archived) restore(paths []string, to string, opt Options) *Report {
	a.t.Helper()
	before := testarchive.OpenDescriptors(a.t)
	rep, err := Run(context.Background(), a.Source, paths, to, opt)
	if err != nil {
		a.t.Fatal(err)
	}
	if after := testarchive.OpenDescriptors(a.t); after != before {
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

// tortured is a tree with everything that is hard to copy, and an archive of it. They are made once; tests only read
// them.
var tortured struct {
	sync.Once
	dir string // "" until they are made
	archived
	want []string // description of the tree
}

// torture gives a tree with everything that is hard to copy, its description, and a snapshot of it.
func torture(t *testing.T) (source string, want []string, a archived) {
	t.Helper()
	tortured.Do(func() {
		var err error
		if tortured.dir, err = os.MkdirTemp("", "restore"); err != nil {
			t.Fatal(err)
		}
		testarchive.MakeTorture(t, filepath.Join(tortured.dir, "source"))
		tortured.archived = archiveIn(t, filepath.Join(tortured.dir, "source"), filepath.Join(tortured.dir, "archive"))
		tortured.want = testarchive.Describe(t, filepath.Join(tortured.dir, "source"))
	})
	if tortured.want == nil {
		t.Fatal("the tree could not be made")
	}
	return filepath.Join(tortured.dir, "source"), tortured.want, archived{tortured.Source, t}
}

func removeTortured() error {
	if tortured.dir == "" {
		return nil
	}
	err := testtree.MakeWritable(tortured.dir)
	if tortured.Catalog != nil {
		err = errors.Join(err, tortured.Catalog.Close())
	}
	return errors.Join(err, os.RemoveAll(tortured.dir))
}
