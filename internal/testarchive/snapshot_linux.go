package testarchive

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// Take takes a snapshot of a tree, into an archive of its own, and opens it until the test ends.
func Take(t *testing.T, source string) archive.OpenSnapshot {
	t.Helper()
	a := TakeIn(t, source, filepath.Join(TempDir(t), "archive"))
	t.Cleanup(func() { CloseAll(t, a.Catalog) })
	return a
}

// TakeIn takes a snapshot of a tree into the archive at path. The caller closes its catalog.
func TakeIn(t *testing.T, source, path string) archive.OpenSnapshot {
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
	return archive.OpenSnapshot{Catalog: c, Snapshot: archive.Snapshot{Dir: filepath.Join(path, rep.Snapshot)}}
}

// tortured is a tree with everything that is hard to copy, and an archive of it. They are made once; tests only read
// them.
var tortured struct {
	sync.Once
	dir  string // "" until they are made
	from archive.OpenSnapshot
	want []string // description of the tree
}

// Torture gives a tree with everything that is hard to copy, its description, and a snapshot of it.
func Torture(t *testing.T) (source string, want []string, from archive.OpenSnapshot) {
	t.Helper()
	tortured.Do(func() {
		var err error
		if tortured.dir, err = os.MkdirTemp("", "restore"); err != nil {
			t.Fatal(err)
		}
		MakeTorture(t, filepath.Join(tortured.dir, "source"))
		tortured.from = TakeIn(t, filepath.Join(tortured.dir, "source"), filepath.Join(tortured.dir, "archive"))
		tortured.want = Describe(t, filepath.Join(tortured.dir, "source"))
	})
	if tortured.want == nil {
		t.Fatal("the tree could not be made")
	}
	return filepath.Join(tortured.dir, "source"), tortured.want, tortured.from
}

// RemoveTortured removes that tree and its archive. TestMain calls it.
func RemoveTortured() error {
	if tortured.dir == "" {
		return nil
	}
	err := testtree.MakeWritable(tortured.dir)
	if tortured.from.Catalog != nil {
		err = errors.Join(err, tortured.from.Catalog.Close())
	}
	return errors.Join(err, os.RemoveAll(tortured.dir))
}
