package fidelity

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testtree"
)

// Guards: a tree of 5,000 levels, whose paths are far longer than any call takes, is stored, linked, verified and
// restored.
func TestDeepTree(t *testing.T) {
	if testing.Short() {
		t.Skip("goes 5,000 levels deep")
	}
	const levels = 5000
	onEach(t, func(t *testing.T, l *lab) {
		t.Cleanup(func() { // before os.RemoveAll, which needs a descriptor for each level
			if out, err := exec.Command("rm", "-rf", "--", l.base).CombinedOutput(); err != nil {
				t.Errorf("rm: %v: %s", err, out)
			}
		})
		fd, err := unix.Open(l.src, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		for level := 0; level < levels && err == nil; level++ {
			if level%500 == 499 {
				err = errors.Join(unix.Mknodat(fd, "file", unix.S_IFREG|0o640, 0),
					unix.Symlinkat(fmt.Sprint(level), fd, "link"))
			}
			err = errors.Join(err, unix.Mkdirat(fd, "d", 0o751))
			next := -1
			if err == nil {
				next, err = unix.Openat(fd, "d", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			}
			err = errors.Join(err, unix.Close(fd))
			fd = next
		}
		l.check(errors.Join(err, unix.Close(fd)))
		testtree.Settle()
		want := testtree.Take(t, l.src)
		for range 2 {
			rep := l.runUnseen()
			testtree.Equal(t, "snapshot", want, testtree.Take(t, l.path(rep.Snapshot)), 0)
		}
		l.verify()
		to := filepath.Join(l.base, "restored")
		if rep := l.restore(l.order[1], to); rep.FailedCount > 0 {
			t.Errorf("restore: %+v", rep)
		}
		testtree.Equal(t, "restored", want, testtree.Take(t, to), 0)
	})
}
