package overlay

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"snapcopy/internal/fsat"
	"snapcopy/internal/testtree"
)

// Guards: what is mounted in a mount and keeps it busy is named as a person would, whatever characters its path has; and
// a mount is told from a folder.
func TestUsersOfMount(t *testing.T) {
	dir := t.TempDir()
	outer := filepath.Join(dir, "outer one")
	if err := os.Mkdir(outer, 0o755); err != nil {
		t.Fatal(err)
	}
	testtree.Tmpfs(t, outer, "size=1m")
	inner := filepath.Join(outer, "inner\n\\ one")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	testtree.Tmpfs(t, inner, "size=1m")
	fd, err := fsat.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := fsat.Close(fd); err != nil {
			t.Error(err)
		}
	}()
	p, err := Look(fd, "outer one")
	if err != nil || !p.Mounted || p.Name != "tmpfs" {
		t.Fatalf("%+v, %v", p, err)
	}
	if users := Users(p); !slices.Contains(users, "a mount at "+inner) {
		t.Errorf("users %q", users)
	}
	if p, err := Look(fd, "."); err != nil || p.Mounted {
		t.Errorf("a folder: %+v, %v", p, err)
	}
}
