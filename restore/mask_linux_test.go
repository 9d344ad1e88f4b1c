package restore

import (
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testtree"
)

// Guards: modes come from the snapshot, whatever the mask of the process takes from new files.
func TestMaskOfTheProcess(t *testing.T) {
	source := builtTree(t, "dir d 0775\nfile d/a 0666 x\nfile d/b 0777 y\nfile d/c 0600 z\nfile d/e 0440 z\nfile d/f 0040 z\n"+
		"file d/g 0666 x\nfile d/h 0644 x")
	a := archive(t, source)
	for _, mask := range []int{0, 0o022, 0o077, 0o777} {
		old := unix.Umask(mask)
		to := filepath.Join(tempDir(t), "to")
		rep := a.restore(nil, to, Options{Threads: 1})
		unix.Umask(old)
		wantFailed(t, rep)
		if rep.NotHeld != (NotHeld{}) {
			t.Errorf("mask %o: not held: %+v", mask, rep.NotHeld)
		}
		testtree.Equal(t, fmt.Sprintf("mask %o", mask), testtree.Take(t, source), testtree.Take(t, to), 0)
	}
}
