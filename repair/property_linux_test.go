package repair_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
)

// Guards: whatever history and whatever damage, a repair from a pristine copy of the archive brings each snapshot back as it
// was.
func TestRepairRandomDamage(t *testing.T) {
	for seed := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		l := &lab{Lab: archivetest.New(t)}
		l.Opt.Threads = 2
		for round := range 4 {
			l.Build(randomEdits(rnd, l.Src, round))
			testtree.Settle()
			l.Run()
		}
		other := l.copied()
		done := l.randomDamage(rnd)
		l.removeSource() // the copy alone must do
		opt := l.found()
		opt.From = []*archive.Archive{other}
		if rep := l.repair(opt); rep.Unrepaired > 0 {
			t.Errorf("seed %d: %+v", seed, rep)
		}
		l.same()
		l.inodes()
		if t.Failed() {
			t.Fatalf("seed %d: %q", seed, done)
		}
	}
}

// randomEdits is a script that makes, changes and moves files in some folders.
func randomEdits(rnd *rand.Rand, src string, round int) string {
	var b strings.Builder
	if round == 0 {
		b.WriteString("dir a 0755\ndir a/b 0700\ndir c 0750\n")
	}
	dirs := []string{"", "a/", "a/b/", "c/"}
	for i := range 6 {
		name := fmt.Sprintf("%sf%d_%d", dirs[rnd.IntN(len(dirs))], round, i)
		switch rnd.IntN(5) {
		case 0:
			fmt.Fprintf(&b, "symlink %s target%d\n", name, rnd.IntN(3))
		case 1:
			fmt.Fprintf(&b, "file %s 0644 random=%d:%d\nlink %sl %s\n", name, 1+rnd.IntN(30000), rnd.IntN(4), name, name)
		default:
			fmt.Fprintf(&b, "file %s %04o random=%d:%d\n", name, []int{0o644, 0o600, 0o440}[rnd.IntN(3)], rnd.IntN(20000), rnd.IntN(4))
		}
	}
	var files []string
	_ = filepath.WalkDir(src, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files = append(files, strings.TrimPrefix(path, src+"/"))
		}
		return nil
	})
	rnd.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	for i, file := range files {
		switch {
		case i == 0:
			fmt.Fprintf(&b, "mv %s moved%d\n", file, round)
		case i < 3:
			fmt.Fprintf(&b, "set %s mode=0640\n", file)
		case i == 3:
			fmt.Fprintf(&b, "rm %s\n", file)
		}
	}
	return b.String()
}

// randomDamage damages names of snapshots, and returns what it did.
func (l *lab) randomDamage(rnd *rand.Rand) (done []string) {
	l.T.Helper()
	for range 8 {
		name := l.Order[rnd.IntN(len(l.Order))]
		var paths []string
		for path := range l.Taken[name] {
			paths = append(paths, path)
		}
		slices.Sort(paths)
		path := paths[rnd.IntN(len(paths))]
		full := l.Path(name, path)
		info, err := os.Lstat(full)
		if err != nil || path == "." { // in a folder that is gone
			continue
		}
		kind := rnd.IntN(5)
		done = append(done, fmt.Sprintf("%d %s/%s", kind, name, path))
		switch {
		case kind == 0 && info.Mode().IsRegular() && info.Size() > 0:
			err = rot(full)
		case kind == 1 && info.Mode().IsRegular():
			err = errors.Join(os.Chmod(full, 0o644), os.Truncate(full, info.Size()/2))
		case kind == 2 && info.Mode()&os.ModeSymlink == 0:
			err = os.Chmod(full, 0o711)
		case kind == 3:
			err = unix.Lutimes(full, []unix.Timeval{unix.NsecToTimeval(int64(time.Hour)), unix.NsecToTimeval(int64(time.Hour))})
		default:
			err = os.RemoveAll(full)
		}
		if err != nil {
			l.T.Fatalf("%v: %v", done, err)
		}
	}
	return done
}
