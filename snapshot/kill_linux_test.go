package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
)

// Guards: a process that is killed at any moment leaves every snapshot as it was and nothing half made to be seen; the
// next run cleans up and succeeds.
func TestKilledAtAnyMoment(t *testing.T) {
	l := newLab(t)
	l.parallel = true // the processes killed come and go
	for i := range 300 {
		l.build(fmt.Sprintf("file f%d 0644 random=%d:%d", i, i*50, i))
	}
	l.build("file big 0644 random=8000000:7\ndir d 0755\nfile d/x 0600 x\nlink d/y d/x")
	rng := rand.New(rand.NewPCG(1, 2))
	published := 0
	const rounds = 12
	for round := 0; round < rounds || published == 0 && round < 5*rounds; round++ {
		j := job{Source: l.src, Archive: l.arch, Threads: 2, Loop: true}
		cmd := j.command(t, false)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// A slow machine gets more time, until something is published.
		time.Sleep(time.Duration(20+rng.IntN(180)) * time.Millisecond * time.Duration(1+round/rounds))
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Errorf("process ended by itself: %v", err)
		}
		published += l.adopt()
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
		l.build(fmt.Sprintf("append f%d x\nrm f%d\nfile f%d 0644 %d", rng.IntN(300), round, round, round))
	}
	if published == 0 {
		t.Error("no process lived long enough to publish anything: the test shows nothing")
	}
	l.opt.AllowClockBack = true
	l.run()
	l.intact()
	l.verify()
	l.nothingLeft()
}

// adopt takes on the snapshots that another process has published; the source has not changed meanwhile.
func (l *lab) adopt() (found int) {
	l.t.Helper()
	if _, err := os.Stat(l.path(archive.MetaDir, archive.ArchiveFile)); err != nil {
		return 0
	}
	a := l.open()
	defer l.close(a)
	list, err := a.Snapshots()
	if err != nil {
		l.t.Fatal(err)
	}
	want := testtree.Take(l.t, l.src)
	for _, s := range list {
		if _, known := l.taken[s.Name]; !known {
			l.note(&archive.Report{Snapshot: s.Name})
			testtree.Equal(l.t, "snapshot "+s.Name, want, l.taken[s.Name], l.without)
			found++
		}
	}
	return found
}

var errStopped = errors.New("stopped")

// Guards: a run that is cancelled publishes nothing, says so, and leaves nothing behind.
func TestCancelled(t *testing.T) {
	for _, step := range []string{"begin", "mkdir", "create", "write", "metadata", "sync"} {
		t.Run(step, func(t *testing.T) {
			l := newLab(t)
			l.build(torture)
			l.run()
			l.build("dir more 0755\nfile more/new 0644 random=3000000:5\nset f0 mode=0600")
			ctx, cancel := context.WithCancelCause(t.Context())
			l.opt.Fault = func(name string) error {
				if name == step {
					cancel(errStopped)
				}
				return nil
			}
			_, err := Run(ctx, l.src, l.arch, l.opt)
			if !errors.Is(err, errStopped) {
				t.Errorf("run: %v", err)
			}
			l.intact()
			l.nothingLeft()
			l.opt.Fault = nil
			l.run()
			l.intact()
			l.verify()
		})
	}
}
