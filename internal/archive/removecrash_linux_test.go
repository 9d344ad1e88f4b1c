package archive_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/fault"
	"snapcopy/internal/testtree"
)

// removeLab has five snapshots, each with something of its own.
func removeLab(l *lab) {
	l.Parallel = true
	l.Opt.Threads = 2
	l.Build(archivetest.FaultTree)
	for i := range 5 {
		l.Build(fmt.Sprintf("file new%d 0644 random=9000:%d\nwrite changed %d\nmv new%d d/moved%d", i, i, i, i, i))
		l.Run()
	}
}

// removeSteps lists the steps of removing two snapshots, one of them the newest, each by its name and occurrence.
func removeSteps(t *testing.T) (list []string) {
	l := newLab(t)
	removeLab(l)
	a := l.Open()
	defer l.Close(a)
	seen := make(map[string]int)
	_, err := a.Remove(t.Context(), []string{l.Order[1], l.Order[4]}, archive.RemoveOptions{Fault: func(step string) error {
		list = append(list, fmt.Sprint(step, " ", seen[step]))
		seen[step]++
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{archive.LatestLink, "take away", "sync of the folders", "take away the catalog",
		"take away the report", "sync of the records", "content-hash index", "set aside", "empty"} {
		if seen[name] == 0 {
			t.Errorf("no step %q was met", name)
		}
	}
	return list
}

// removeFailing removes two snapshots; cause is what comes in the place of one step. The lab then knows which are gone.
func (l *lab) removeFailing(at string, cause func() error) (*archive.RemoveReport, error) {
	l.T.Helper()
	a := l.Open()
	defer l.Close(a)
	seen := make(map[string]int)
	fault := func(step string) error {
		name := fmt.Sprint(step, " ", seen[step])
		seen[step]++
		if name == at {
			return cause()
		}
		return nil
	}
	return a.Remove(context.Background(), []string{l.Order[1], l.Order[4]}, archive.RemoveOptions{Fault: fault})
}

// seeGone makes the lab expect those snapshots gone that were to be removed and are.
func (l *lab) seeGone() {
	l.T.Helper()
	for _, name := range []string{l.Order[4], l.Order[1]} {
		if _, err := os.Lstat(l.Path(name)); errors.Is(err, os.ErrNotExist) {
			l.forget(name)
		}
	}
}

// goesOn makes sure that a removal that was cut short left nothing but whole snapshots, and that the next run, or the
// next removal, ends it.
func (l *lab) goesOn(byRun bool) {
	l.T.Helper()
	l.Intact()
	l.Verify()
	if byRun {
		if rep := l.Run(); rep.IndexRebuilt != "" {
			l.T.Errorf("the index was made anew: %s", rep.IndexRebuilt)
		}
	} else {
		l.remove(l.Order[0])
	}
	l.Intact()
	l.Verify()
	l.indexed()
	l.NothingLeft()
	l.LatestIs(l.Order[len(l.Order)-1])
}

// Guards: a removal that dies at any step leaves whole snapshots and no trace of others for any command, and the next
// run or removal ends it.
func TestRemoveCrashes(t *testing.T) {
	for _, step := range removeSteps(t) {
		for _, byRun := range []bool{true, false} {
			t.Run(fmt.Sprint(step, ", run next: ", byRun), func(t *testing.T) {
				t.Parallel()
				l := newLab(t)
				removeLab(l)
				_, err := l.removeFailing(step, func() error { return fault.ErrCrash })
				if !errors.Is(err, fault.ErrCrash) {
					t.Fatalf("remove: %v", err)
				}
				l.seeGone()
				l.goesOn(byRun)
			})
		}
	}
}

// Guards: a removal of which a step fails says so, and leaves nothing that the next one does not make up for; for lack
// of room it goes another way, or does it later.
func TestRemoveFails(t *testing.T) {
	for i, step := range removeSteps(t) {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			removeLab(l)
			cause := []error{unix.EIO, unix.ENOSPC}[i%2]
			rep, err := l.removeFailing(step, func() error { return cause })
			madeUpFor := err == nil && len(rep.Unfinished) == 0 // as soon as there was room
			switch {
			case madeUpFor && (cause != unix.ENOSPC || len(rep.Removed) != 2):
				t.Errorf("remove: the failure went unnoticed: %+v", rep)
			case !madeUpFor && !errors.Is(err, cause) && (err != nil || len(rep.Unfinished) != 1):
				t.Errorf("remove: %v, %+v", err, rep)
			}
			before := len(l.Order)
			l.seeGone()
			if gone := before - len(l.Order); len(rep.Removed) != gone {
				t.Errorf("%d are gone, the report says %+v", gone, rep.Removed)
			}
			l.Intact()
			l.Verify()
			next := l.Run()
			if (next.IndexRebuilt != "") != (step == "content-hash index 0" && !madeUpFor) {
				t.Errorf("index: %q", next.IndexRebuilt)
			}
			l.Intact()
			l.Verify()
			l.indexed()
			l.NothingLeft()
		})
	}
}

// Guards: what is being removed when it is cancelled is gone for every command, and the next run ends it.
func TestRemoveCancelled(t *testing.T) {
	for _, step := range removeSteps(t) {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			removeLab(l)
			a := l.Open()
			ctx, cancel := context.WithCancelCause(t.Context())
			seen := make(map[string]int)
			_, err := a.Remove(ctx, []string{l.Order[1], l.Order[4]}, archive.RemoveOptions{Fault: func(name string) error {
				if step == fmt.Sprint(name, " ", seen[name]) {
					cancel(archivetest.ErrStopped)
				}
				seen[name]++
				return nil
			}})
			l.Close(a)
			if !errors.Is(err, archivetest.ErrStopped) {
				t.Errorf("remove: %v", err)
			}
			l.seeGone()
			l.goesOn(true)
		})
	}
}

// Guards: a power cut at any step leaves whole snapshots, and what a removal left can be removed after it.
func TestRemovePowerCut(t *testing.T) {
	steps := removeSteps(t)
	for _, kind := range []string{"ext4", "xfs"} {
		for flags := range uint32(3) {
			t.Run(fmt.Sprint(kind, " ", flags), func(t *testing.T) {
				t.Parallel()
				l, disk := onDisk(t, kind, false)
				removeLab(l)
				for i, step := range steps {
					if i%3 != int(flags) {
						continue
					}
					_, err := l.removeFailing(step, func() error {
						return errors.Join(testtree.PowerCut(disk.Path, flags), fault.ErrCrash)
					})
					if !errors.Is(err, fault.ErrCrash) {
						t.Fatalf("%s: %v", step, err)
					}
					disk.Remount("")
					l.seeGone()
					l.goesOn(i%2 == 0)
					if t.Failed() {
						t.Fatalf("cut at %q", step)
					}
					for len(l.Order) < 5 {
						l.Build(fmt.Sprintf("append big %d\nfile n%d%d 0644 %d", i, i, len(l.Order), i))
						l.Run()
					}
				}
			})
		}
	}
}

// Guards: processes that take and remove snapshots, killed at any moment, leave whole snapshots and nothing else.
func TestKilledWhileThinning(t *testing.T) {
	l := newLab(t)
	l.Parallel = true
	for i := range 200 {
		l.Build(fmt.Sprintf("dir d%d 0755\nfile d%d/f 0644 random=%d:%d\nlink d%d/g d%d/f", i, i, i*20, i, i, i))
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 10 {
		j := archivetest.Job{Source: l.Src, Archive: l.Arch, Threads: 2, Loop: true, Thin: true}
		cmd := j.Command(t, false)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(100+rng.IntN(300)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Errorf("process ended by itself: %v", err)
		}
		l.Adopt()
		for _, name := range slices.Clone(l.Order) {
			if _, err := os.Lstat(l.Path(name)); errors.Is(err, os.ErrNotExist) {
				l.forget(name)
			}
		}
		l.Intact()
		if len(l.Order) > 0 {
			l.Verify()
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
		l.Build(fmt.Sprintf("append d%d/f x\nmv d%d moved%d", 100+round, round, round))
	}
	l.Opt.AllowClockBack = true
	l.Run()
	l.Intact()
	l.indexed()
	l.Verify()
	l.NothingLeft()
}

// Guards: a run neither waits for a large trash nor leaves it, and does not touch what is being taken away.
func TestRunEmptiesTrashAtItsEnd(t *testing.T) {
	l := newLab(t)
	removeLab(l)
	_, err := l.removeFailing("empty 0", func() error { return fault.ErrCrash })
	if !errors.Is(err, fault.ErrCrash) {
		t.Fatal(err)
	}
	l.seeGone()
	a := l.Open()
	space, err := a.FileSystem()
	l.Close(a)
	if err != nil {
		t.Fatal(err)
	}
	if space.Free < space.Total/20 || space.FreeInodes < space.Inodes/20 {
		t.Skip("little space is free, so that a run empties the trash first")
	}
	full := func() bool {
		list, err := os.ReadDir(l.Path(archive.MetaDir, archive.TrashDir))
		if err != nil {
			t.Error(err)
		}
		return len(list) > 0
	}
	var before, after atomic.Bool
	l.Opt.Fault = func(step string) error {
		switch step {
		case "publish":
			before.Store(full())
		case "empty":
			after.Store(full())
			a := l.Open()
			defer l.Close(a)
			lock, err := a.Lock() // by now others may work
			if err != nil {
				t.Error(err)
				return nil
			}
			return lock.Unlock()
		}
		return nil
	}
	l.Run()
	if !before.Load() || !after.Load() || full() {
		t.Errorf("trash before publishing %v, after it %v, at the end %v", before.Load(), after.Load(), full())
	}
	l.NothingLeft()
}

// Guards: where another process is emptying the trash, a run leaves that to it, and a removal waits.
func TestTrashIsEmptiedByOne(t *testing.T) {
	l := newLab(t)
	removeLab(l)
	other := l.Open()
	unlock, ok, err := other.Trash.LockTrash(t.Context())
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	a := l.Open()
	_, err = a.Remove(ctx, l.Order[:1], archive.RemoveOptions{Fault: func(step string) error {
		if step == "empty" {
			time.AfterFunc(50*time.Millisecond, func() { cancel(archivetest.ErrStopped) })
		}
		return nil
	}})
	if !errors.Is(err, archivetest.ErrStopped) {
		t.Errorf("remove: %v", err)
	}
	l.forget(l.Order[0])
	l.Run()
	if list, err := os.ReadDir(l.Path(archive.MetaDir, archive.TrashDir)); err != nil || len(list) == 0 {
		t.Errorf("the trash was emptied: %v", err)
	}
	if err := errors.Join(unlock(), other.Close()); err != nil {
		t.Fatal(err)
	}
	l.Close(a)
	l.Run()
	l.NothingLeft()
	l.Intact()
}

// Guards: names are unlinked no faster than was asked for.
func TestPace(t *testing.T) {
	pace := archive.Pace(time.Millisecond)
	begin := time.Now()
	for range 5 {
		if err := pace(t.Context(), 20); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took < 80*time.Millisecond {
		t.Errorf("the fifth 20 names were let through after %v", took)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(archivetest.ErrStopped)
	slow := archive.Pace(time.Hour)
	if err := slow(ctx, 1); err != nil {
		t.Errorf("the first name: %v", err)
	}
	if err := slow(ctx, 1); !errors.Is(err, archivetest.ErrStopped) {
		t.Errorf("cancelled: %v", err)
	}
}
