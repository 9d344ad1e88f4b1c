package restore

import (
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/outcome"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

// Guards: modes come from the snapshot, whatever the mask of the process takes from new files.
func TestMaskOfTheProcess(t *testing.T) {
	script := "dir d 0775\nfile d/a 0666 x\nfile d/b 0777 y\nfile d/c 0600 z\nfile d/e 0440 z\nfile d/g 0666 x\nfile d/h 0644 x"
	if testtree.Root() {
		script += "\nfile d/f 0040 z" // which an ordinary user cannot read
	}
	source := testarchive.BuiltTree(t, script)
	a := take(t, source)
	masks := []int{0, 0o022, 0o077}
	if testtree.Root() {
		masks = append(masks, 0o777) // with which an ordinary user's folders are closed even to the user
	}
	old := unix.Umask(0)
	defer unix.Umask(old)
	for _, mask := range masks {
		to := filepath.Join(testarchive.TempDir(t), "to")
		unix.Umask(mask)
		rep := a.restore(nil, to, Options{Threads: 1})
		unix.Umask(old)
		wantFailed(t, rep)
		if rep.CatalogOnly != (outcome.CatalogOnlyCounts{}) {
			t.Errorf("mask %o: not held: %+v", mask, rep.CatalogOnly)
		}
		testtree.Equal(t, fmt.Sprintf("mask %o", mask), testtree.Take(t, source), testtree.Take(t, to), 0)
	}
}
