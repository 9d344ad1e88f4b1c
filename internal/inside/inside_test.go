package inside

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Guards: what lies in a snapshot or in .snapcopy is known, by whatever path and whether it exists; what lies beside is not.
func TestArchive(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"arc/.snapcopy/catalogs", "arc/2026-11-23T020000Z/sub", "arc/other", "2026-11-23T020000Z/x", ".snapcopy"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(dir, d), 0o700))
	}
	err = errors.Join(err, os.Symlink("2026-11-23T020000Z", filepath.Join(dir, "arc/latest")),
		os.Symlink("arc/latest/sub", filepath.Join(dir, "link")), os.Symlink("arc/.snapcopy/gone", filepath.Join(dir, "dangling")))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"arc": false, "arc/other": false, "arc/other/new": false, "arc/new": false, "2026-11-23T020000Z/x": false, "new/one": false,
		".snapcopy/x": false, "arc/latest": true, "arc/latest/sub": true, "arc/latest/sub/new/one": true, "link": true,
		"link/new": true, "arc/.snapcopy": true, "arc/.snapcopy/work/x": true, "arc/2026-11-23T020000Z": true,
		"arc/2026-11-24T020000Z": true, "arc/other/../latest/x": true,
	} {
		archive, ok, err := Archive(filepath.Join(dir, path))
		if ok != want || err != nil || ok && archive != filepath.Join(dir, "arc") {
			t.Errorf("%s: %q, %v, %v; want %v", path, archive, ok, err, want)
		}
	}
}
