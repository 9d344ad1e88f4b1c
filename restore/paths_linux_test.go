package restore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"snapcopy/internal/lookup"
	"snapcopy/internal/testarchive"
)

func TestBadPathsWriteNothing(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("documents/letter.txt", "x")
	b.File("documents/latter.txt", "x")
	b.File("other/letter.txt", "x")
	a := take(t, b.Root)
	for _, c := range []struct {
		paths   []string
		want    error
		nearest []string
	}{
		{[]string{"documents/leter.txt"}, fs.ErrNotExist, []string{"documents/letter.txt", "documents/latter.txt"}},
		{[]string{"Documents/letter.txt"}, fs.ErrNotExist, []string{"documents/letter.txt"}},
		{[]string{"Documents/none"}, fs.ErrNotExist, []string{"documents"}},
		{[]string{"documents/letter.txt/x"}, fs.ErrNotExist, []string{"documents/letter.txt"}},
		{[]string{"letter.txt"}, fs.ErrNotExist, []string{"documents/letter.txt", "other/letter.txt"}},
		{[]string{"other", "../other"}, fs.ErrNotExist, []string{"other"}},
		{[]string{"documents/letter.txt", "other/letter.txt"}, lookup.ErrSameName, nil},
	} {
		to := filepath.Join(testarchive.TempDir(t), "to")
		_, err := Run(context.Background(), a.OpenSnapshot, c.paths, to, Options{})
		if !errors.Is(err, c.want) {
			t.Errorf("%q: error %v, want %v", c.paths, err, c.want)
		}
		var missing *lookup.NotFoundError
		if errors.As(err, &missing) && !slices.Equal(missing.Nearest, c.nearest) {
			t.Errorf("%q: nearest %q, want %q", c.paths, missing.Nearest, c.nearest)
		}
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: the target was made", c.paths)
		}
	}
	if _, err := Run(context.Background(), a.OpenSnapshot, []string{"/", "other"}, testarchive.TempDir(t), Options{}); err == nil {
		t.Error("the root together with a path was accepted")
	}
}

// Guards: a path given twice, in whatever form, is restored once.
func TestSamePathTwice(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("d/f", "x")
	a := take(t, b.Root)
	for _, paths := range [][]string{{"d", "d"}, {"d/f", "/d//f", "./d/f", "d/f/"}, {"", "/", "."}} {
		to := filepath.Join(testarchive.TempDir(t), "to")
		rep := a.restore(paths, to, Options{})
		wantFailed(t, rep)
		if rep.Files != 1 {
			t.Errorf("%q: %d files", paths, rep.Files)
		}
	}
}
