package prune

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"snapcopy/internal/archive"
)

// Guards: a catalog that cannot be read for a moment ends the plan; only one that is damaged makes its snapshot stay, as that
// is told with an exit status of its own.
func TestCatalogThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("no catalog"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, damaged := range map[string]bool{file: true, filepath.Join(file, "below"): false} {
		f := Facts{Sources: make(map[string]archive.SourceID), Unknown: make(map[string]error)}
		p := Snapshot{Name: "2026-11-20T020000Z"}
		err := f.rely(&p, archive.Snapshot{Name: p.Name, CatalogPath: path}, nil, time.Now())
		if (err == nil) != damaged || f.Damaged() != damaged || damaged && p.MustStay != Unusable {
			t.Errorf("%s: %v, %+v, %+v", path, err, p, f.Unknown)
		}
	}
}
