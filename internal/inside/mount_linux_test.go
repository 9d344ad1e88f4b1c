package inside

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"snapcopy/internal/testtree"
)

// Guards: a snapshot, or a folder of one, that is mounted at another place is known for what it is; a folder that only has
// the name of a snapshot is not.
func TestMounted(t *testing.T) {
	testtree.NeedRoot(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"arc/.snapcopy/catalogs", "arc/2026-11-23T020000Z/a b/c", "arc/other", "2026-11-23T020000Z/x"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(dir, d), 0o700))
	}
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]bool{
		"arc": false, "arc/other": false, "2026-11-23T020000Z": false, "arc/2026-11-23T020000Z": true,
		"arc/2026-11-23T020000Z/a b": true, "arc/.snapcopy": true,
	} {
		at := filepath.Join(t.TempDir(), "mount ed")
		if err := os.Mkdir(at, 0o700); err != nil {
			t.Fatal(err)
		}
		testtree.Bind(t, filepath.Join(dir, from), at)
		for _, below := range []string{"", "new", "c/new"} {
			archive, ok, err := Archive(filepath.Join(at, below))
			if ok != want || err != nil || ok && archive != filepath.Join(dir, "arc") {
				t.Errorf("%s, %q: %q, %v, %v; want %v", from, below, archive, ok, err, want)
			}
		}
	}
}
