package verify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
	"snapcopy/internal/verify"
)

// damagedFiles makes an archive with so many files, the content of each of which is damaged.
func damagedFiles(t *testing.T, n int) *archivetest.Lab {
	t.Helper()
	l := newLab(t)
	for i := range n {
		l.Build(fmt.Sprintf("file f%02d 0644 random=100:%d mtime=5", i, i))
	}
	testtree.Settle()
	rep := l.Run()
	for i := range n {
		path := l.Path(rep.Snapshot, fmt.Sprintf("f%02d", i))
		was, err := os.Stat(path)
		if err == nil {
			err = os.WriteFile(path, make([]byte, 100), 0o644)
		}
		if err == nil {
			err = os.Chtimes(path, time.Time{}, was.ModTime())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// verifyAll is a run on all snapshots of an archive with one thread.
func verifyAll(t *testing.T, ctx context.Context, path string, opt verify.Options) (*verify.Report, error) {
	t.Helper()
	a, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	list, err := a.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	opt.Threads, opt.Remember = 1, true
	rep, err := verify.Run(ctx, a, list, opt)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	return rep, err
}

// Guards: a budget of time ends with its time, whatever a file takes, and the next night reads the others. The clock is
// made: each file takes a minute.
func TestTimeBudget(t *testing.T) {
	l := damagedFiles(t, 30)
	l.Entries(l.Order[0]) // whatever is made once and for all is made outside of the bubble
	today := time.Now()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now() // years ago
		seen := make(map[string]int)
		for night := range 3 {
			time.Sleep(24 * time.Hour)
			begin, read := time.Now(), 0
			rep, err := verifyAll(t, t.Context(), l.Arch, verify.Options{Share: &verify.Share{Time: 10*time.Minute + time.Second},
				Now: func() time.Time { return today.Add(time.Since(start)) },
				Damage: func(d verify.Damage) {
					if d.Path != "" {
						seen[d.Path]++
						read++
						time.Sleep(time.Minute)
					}
				}})
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); read < 10 || read > 11 || took > 12*time.Minute {
				t.Errorf("night %d: %d files in %v; %+v", night, read, took, rep.Share)
			}
		}
		if len(seen) < 30 {
			t.Errorf("%d files read in three nights: %v", len(seen), seen)
		}
	})
}

// Guards: a check that is interrupted has recorded what it has read and found until then.
func TestInterruptedCheckRemembers(t *testing.T) {
	l := damagedFiles(t, 30)
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	found := 0
	rep, err := verifyAll(t, ctx, l.Arch, verify.Options{Damage: func(verify.Damage) {
		if found++; found == 10 {
			cancel(stopped)
		}
	}})
	if !errors.Is(err, stopped) || rep.NotRemembered != nil {
		t.Fatal(err, rep.NotRemembered)
	}
	a := l.Open()
	note, err := a.Verified().Damage()
	l.Close(a)
	if err != nil || len(note.Damaged) != 10 {
		t.Errorf("%d of 10 findings are remembered, %v", len(note.Damaged), err)
	}
	if rep, err := verifyAll(t, t.Context(), l.Arch, verify.Options{}); err != nil || rep.Damaged != 30 || rep.FilesRead != 30 {
		t.Errorf("afterwards: %+v, %v", rep, err)
	}
}

// Guards: where nothing can be recorded, a check reads everything all the same, and says why nothing is remembered; a
// share does so, too.
func TestCheckWithoutMemory(t *testing.T) {
	l := newLab(t)
	l.Build("file a 0644 random=100:1\nfile b 0644 random=200:2")
	testtree.Settle()
	l.Run()
	meta := l.Arch + "/" + archive.MetaDir
	if os.Geteuid() == 0 { // whom modes do not keep out
		if err := errors.Join(os.Mkdir(meta+"/verified", 0o700), os.WriteFile(meta+"/verified/x", nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	} else {
		if err := os.Chmod(meta, 0o500); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := os.Chmod(meta, 0o700); err != nil {
				t.Error(err)
			}
		}()
	}
	for _, share := range []*verify.Share{nil, {Part: 1}, {Time: time.Hour}} {
		rep, err := verifyAll(t, t.Context(), l.Arch, verify.Options{Share: share})
		if err != nil || rep.Damaged > 0 || rep.FilesRead != 2 || rep.NotRemembered == nil {
			t.Errorf("share %+v: %+v, %v, remembered: %v", share, rep, err, rep.NotRemembered)
		}
	}
}
