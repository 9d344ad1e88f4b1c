package restore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"snapcopy/internal/inside"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

// Guards: a snapshot that is mounted at the target, or in it, is never written to, whichever snapshot is restored.
func TestMountedSnapshot(t *testing.T) {
	needRoot(t)
	source := testarchive.BuiltTree(t, "dir d 0755\ndir d/e 0755\nfile d/e/f 0644 \"x\"")
	old := take(t, source)
	testtree.Build(t, source, "set d/e/f mode=0600")
	a := take(t, source)
	before := testtree.Take(t, old.Dir)
	opt := Options{Overwrite: OverwriteChanged, Delete: true}

	to := testarchive.TempDir(t)
	testtree.Bind(t, old.Dir, to)
	for _, path := range []string{to, filepath.Join(to, "new"), filepath.Join(to, "d", "e")} {
		if _, err := Run(t.Context(), a.OpenSnapshot, nil, path, opt); !errors.Is(err, inside.ErrTarget) {
			t.Errorf("%s: %v", path, err)
		}
	}
	in := testarchive.TempDir(t)
	check(t, os.Mkdir(filepath.Join(in, "d"), 0o755))
	testtree.Bind(t, filepath.Join(old.Dir, "d"), filepath.Join(in, "d"))
	opt.InPlace = true
	for _, paths := range [][]string{nil, {"d"}, {"d/e"}, {"d/e/f"}} {
		if rep := a.restore(paths, in, opt); rep.FailedCount == 0 || rep.Files > 0 {
			t.Errorf("%v: %+v", paths, rep)
		}
	}
	testtree.Equal(t, "the mounted snapshot", before, testtree.Take(t, old.Dir), 0)
}
