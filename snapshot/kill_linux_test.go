package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"

	"snapcopy/internal/archivetest"
	"snapcopy/snapshot"
)

// Guards: a process that is killed at any moment leaves every snapshot as it was and nothing half made to be seen; the
// next run cleans up and succeeds.
func TestKilledAtAnyMoment(t *testing.T) {
	l := newLab(t)
	l.Parallel = true // the processes killed come and go
	for i := range 300 {
		l.Build(fmt.Sprintf("file f%d 0644 random=%d:%d", i, i*50, i))
	}
	l.Build("file big 0644 random=8000000:7\ndir d 0755\nfile d/x 0600 x\nlink d/y d/x")
	rng := rand.New(rand.NewPCG(1, 2))
	published := 0
	const rounds = 12
	for round := 0; round < rounds || published == 0 && round < 5*rounds; round++ {
		j := archivetest.Job{Source: l.Src, Archive: l.Arch, Threads: 2, Loop: true}
		cmd := j.Command(t, false)
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
		published += l.Adopt()
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
		l.Build(fmt.Sprintf("append f%d x\nrm f%d\nfile f%d 0644 %d", rng.IntN(300), round, round, round))
	}
	if published == 0 {
		t.Error("no process lived long enough to publish anything: the test shows nothing")
	}
	l.Opt.AllowClockBack = true
	l.Run()
	l.Intact()
	l.Verify()
	l.NothingLeft()
}

// Guards: a run that is cancelled publishes nothing, says so, and leaves nothing behind.
func TestCancelled(t *testing.T) {
	for _, step := range []string{"begin", "mkdir", "create", "write", "metadata", "sync"} {
		t.Run(step, func(t *testing.T) {
			l := newLab(t)
			l.Build(archivetest.Torture(t))
			l.Run()
			l.Build("dir more 0755\nfile more/new 0644 random=3000000:5\nset f0 mode=0600")
			ctx, cancel := context.WithCancelCause(t.Context())
			l.Opt.Fault = func(name string) error {
				if name == step {
					cancel(archivetest.ErrStopped)
				}
				return nil
			}
			_, err := snapshot.Run(ctx, l.Src, l.Arch, l.Opt)
			if !errors.Is(err, archivetest.ErrStopped) {
				t.Errorf("run: %v", err)
			}
			l.Intact()
			l.OnlyUnfinished()
			l.Opt.Fault = nil
			l.Run()
			l.Intact()
			l.Verify()
		})
	}
}
