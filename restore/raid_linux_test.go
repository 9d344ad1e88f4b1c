package restore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

// raider changes names in a target all the time, as its owner may.
type raider struct {
	outside, evil, target string
	names                 []string
	swaps                 atomic.Int64
}

// plant puts links to what is outside into a folder of the raider's.
func (r *raider) plant(i int, rng *rand.Rand) string {
	path := filepath.Join(r.evil, fmt.Sprintf("%d-%d", i, rng.Uint64()))
	switch rng.IntN(5) {
	case 0:
		_ = os.Symlink(filepath.Join(r.outside, "dir"), path)
	case 1:
		_ = os.Symlink(filepath.Join(r.outside, "same"), path)
	case 2:
		_ = os.Link(filepath.Join(r.outside, "same"), path)
	case 3:
		_ = os.Link(filepath.Join(r.outside, "other"), path)
	default:
		_ = os.Symlink(r.outside, path)
	}
	return path
}

// raid goes on until done is closed. Errors are its daily bread: the names come and go.
func (r *raider) raid(i int, done <-chan struct{}) {
	rng := rand.New(rand.NewPCG(uint64(i), 7))
	for {
		select {
		case <-done:
			return
		default:
		}
		path := filepath.Join(r.target, r.names[rng.IntN(len(r.names))])
		dir, err := unix.Openat2(unix.AT_FDCWD, filepath.Dir(path), // not to fall for his own links
			&unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
		if err != nil {
			continue
		}
		r.swap(dir, filepath.Base(path), r.plant(i, rng), rng)
		_ = unix.Close(dir)
	}
}

func (r *raider) swap(dir int, name, planted string, rng *rand.Rand) {
	how := uint(unix.RENAME_EXCHANGE)
	if rng.IntN(3) == 0 {
		how = unix.RENAME_NOREPLACE
	}
	if unix.Renameat2(unix.AT_FDCWD, planted, dir, name, how) == nil {
		r.swaps.Add(1)
	}
	if rng.IntN(2) == 0 { // and back, so that handles and names part again and again
		_ = unix.Renameat2(unix.AT_FDCWD, planted, dir, name, unix.RENAME_EXCHANGE)
	}
	_ = os.RemoveAll(planted)
}

// Guards: whatever the owner of the target does to the names in it while root restores, with everything allowed that
// there is: nothing outside it changes, neither contents nor metadata nor names.
func TestHostileOwnerOfTheTarget(t *testing.T) {
	needRoot(t)
	source := testarchive.BuiltTree(t, `
		dir d 0755 owner=3:4 xattr.user.n=1
		dir d/sub 0700
		file same 0600 content owner=1:2 mtime=5 xattr.user.n=1
		link d/same same
		link d/sub/same same
		file d/other 0640 different owner=5:6
		file d/sub/f 04755 f
		symlink d/l target
		fifo d/p 0600
		dir dir 0700 owner=9:9
		file dir/in 0644 x
		dir dir/deep 0711
		file dir/deep/f 0644 x`)
	a := take(t, source)
	folder := testarchive.BuiltTree(t, `
		dir outside 0750 owner=20:20 mtime=7
		dir outside/dir 0700 mtime=5
		file outside/dir/in 0600 secret owner=8:8
		file outside/dir/f 0600 secret
		dir outside/dir/deep 0700
		file outside/dir/deep/f 0600 secret
		dir outside/dir/extra 0700
		file outside/dir/extra/f 0600 secret
		file outside/same 0640 content owner=0:0 mtime=6 xattr.user.s=1
		file outside/other 0600 secret owner=0:7 mtime=8
		dir evil 0700
		dir target 0755`)
	r := &raider{outside: filepath.Join(folder, "outside"), evil: filepath.Join(folder, "evil"),
		target: filepath.Join(folder, "target"), names: []string{"d", "d/sub", "same", "d/same", "d/sub/same", "d/other",
			"d/sub/f", "d/l", "d/p", "dir", "dir/in", "dir/deep", "dir/deep/f", "extra", "d/extra", "dir/extra", "f", "in"}}
	before := testtree.Take(t, r.outside)
	group := testtree.Group
	done := make(chan struct{})
	var raiders sync.WaitGroup
	for i := range 3 {
		raiders.Go(func() { r.raid(i, done) })
	}
	runs := 0
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); runs++ {
		opt := []Options{mirror, {Overwrite: OverwriteAlways, Delete: true}, {Overwrite: OverwriteChanged, BackupSuffix: "~"},
			{Overwrite: OverwriteChanged, Delete: true, Attrs: true}, {}, {Overwrite: OverwriteChanged, Verify: true}}[runs%6]
		opt.Threads = 1 + runs%3
		paths := [][]string{nil, nil, {"d/sub", "same", "dir/deep/f"}}[runs%3]
		opt.InPlace = paths != nil
		opt.Fault = func(string) error { // gives the raiders a chance within each step
			if rand.IntN(4) == 0 {
				time.Sleep(50 * time.Microsecond)
			}
			return nil
		}
		if _, err := Run(context.Background(), a.OpenSnapshot, paths, r.target, opt); err != nil && runs < 2 {
			t.Logf("run %d: %v", runs, err)
		}
	}
	close(done)
	raiders.Wait()
	t.Logf("%d runs, %d swaps", runs, r.swaps.Load())
	testtree.Equal(t, "outside", before, testtree.Take(t, r.outside), group)
	if r.swaps.Load() < 100 || runs < 6 {
		t.Error("too little happened")
	}
	// In peace it is exact again.
	if err := os.RemoveAll(r.evil); err != nil {
		t.Fatal(err)
	}
	a.wantMirror(source, r.target, mirror)
	testtree.Equal(t, "outside", before, testtree.Take(t, r.outside), group)
}
