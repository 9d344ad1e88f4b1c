package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// sourceFaults makes calls that read the source fail for a number of times.
type sourceFaults struct {
	mu    sync.Mutex
	left  map[string]int // by "op name", or "op *"
	cause error
}

func (f *sourceFaults) fault(op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range []string{op + " " + name, op + " *"} {
		if f.left[key] > 0 {
			f.left[key]--
			return f.cause
		}
	}
	return nil
}

const retryTree = `
file a 0644 "a"
file large 0644 random=2500000:1
file g1 0644 "group" xattr.user.a="1"
dir d 0750 mtime=5.5
link d/g2 g1
link d/g3 g1
file d/f 0600 "f"
dir d/e 0700
file d/e/deep 0644 "deep"
symlink d/s target
`

// Guards: whatever call fails for a moment, the snapshot is complete and exact; each further try is counted; hard links stay
// hard links; an unchanged file that could not be looked at at first is still unchanged.
func TestReadWhenTriedAgain(t *testing.T) {
	for i, where := range []string{"stat a", "open a", "read a", "metadata a", "read large", "open large", "stat g1", "open g1",
		"metadata g1", "stat g2", "open d", "list d", "metadata d", "open e", "list e", "read deep", "open deep", "metadata s",
		"list ", "metadata ", "stat *", "open *", "list *"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			cause := []error{unix.EIO, unix.ESTALE}[i%2]
			l := newLab(t)
			l.Parallel = true
			l.Build(retryTree)
			testtree.Settle()
			for range 2 { // the second time all is unchanged
				faults := &sourceFaults{left: map[string]int{where: 2}, cause: cause}
				l.Opt.SourceFault, l.Opt.Retries = faults.fault, 2
				rep := l.Run()
				if met := faults.left[where] < 2; met != (rep.Retries > 0) {
					t.Errorf("%d tries, the fault was met: %v", rep.Retries, met)
				}
				if rep.Counts.Deleted+rep.Counts.Vanished > 0 || rep.Previous != "" && rep.Counts.Unchanged != rep.Counts.Files {
					t.Errorf("%+v", rep.Counts)
				}
			}
			l.Verify()
		})
	}
}

// Guards: what fails at every try is told with their number, and the rest is stored; an error that says no is not tried again.
func TestTriedInVain(t *testing.T) {
	for _, c := range []struct {
		where          string
		cause          error
		tries          int
		retries, files uint64
	}{
		{"read large", unix.EIO, 3, 2, 7},
		{"stat a", unix.ETIMEDOUT, 3, 2, 7},
		{"list e", unix.ENOMEM, 3, 2, 7},
		{"open d", unix.EBUSY, 3, 2, 3},
		{"metadata a", unix.EIO, 3, 2, 8},
		{"open a", unix.EACCES, 0, 0, 7},
		{"open a", unix.EUCLEAN, 0, 0, 7},
	} {
		l := newLab(t)
		l.Build(retryTree)
		faults := &sourceFaults{left: map[string]int{c.where: 1000}, cause: c.cause}
		l.Opt.SourceFault, l.Opt.Retries = faults.fault, 2
		rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
		if err != nil {
			t.Fatal(err)
		}
		if len(rep.Failed) != 1 || rep.Failed[0].Tries != c.tries || rep.Retries != c.retries || rep.ReadAfterRetry != 0 ||
			rep.Counts.Files != c.files || !rep.Incomplete {
			t.Errorf("%s, %v: %+v, %d retries, %d files", c.where, c.cause, rep.Failed, rep.Retries, rep.Counts.Files)
		}
		l.Note(rep)
		l.Verify()
	}
}

// Guards: all that wait are tried after one wait, not one for each; not more wait than memory allows, and what does not is told
// at once; an end of the run ends the wait.
func TestRetryBounds(t *testing.T) {
	l := newLab(t)
	var script strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&script, "file f%04d 0644 x\n", i)
	}
	l.Build(script.String())
	faults := &sourceFaults{left: map[string]int{"read *": 1100}, cause: unix.EIO}
	l.Opt.SourceFault, l.Opt.Retries, l.Opt.RetryWait = faults.fault, 1, 300*time.Millisecond
	begin := time.Now()
	rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Counts.Failed != 100 || rep.NotRetried != 100 || rep.ReadAfterRetry != 1000 || rep.RetriedEntries != 1000 ||
		rep.Counts.Files != 1100 {
		t.Errorf("%+v, %d not tried again, %d read then", rep.Counts, rep.NotRetried, rep.ReadAfterRetry)
	}
	if took := time.Since(begin); took < l.Opt.RetryWait || took > 20*time.Second {
		t.Errorf("the run took %v", took)
	}

	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	faults.left["read *"] = 1
	l.Build("write f0001 changed")
	l.Opt.RetryWait = time.Hour
	l.Opt.Progress = new(archive.Progress)
	go func() {
		for archive.Phase(l.Opt.Progress.Phase.Load()) != archive.Retrying {
			time.Sleep(time.Millisecond)
		}
		cancel(cause)
	}()
	if _, err := snapshot.Run(ctx, l.Src, l.Arch, l.Opt); !errors.Is(err, cause) {
		t.Errorf("cancelled while it waited: %v", err)
	}
}

// Guards: an entry that is gone, or of another type, when its turn comes again is handled as it is then.
func TestChangedBeforeTriedAgain(t *testing.T) {
	l := newLab(t)
	l.Build(retryTree)
	l.Run()
	faults := &sourceFaults{left: map[string]int{"open a": 1, "open e": 1}, cause: unix.EIO}
	l.Build("write a changed")
	l.Opt.Retries = 1
	check := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	l.Opt.SourceFault = func(op, name string) error {
		err := faults.fault(op, name)
		if err != nil && name == "a" {
			check(os.Remove(l.Src + "/a"))
			check(os.Mkdir(l.Src+"/a", 0o755))
			check(os.WriteFile(l.Src+"/a/below", nil, 0o644))
		} else if err != nil {
			check(os.RemoveAll(l.Src + "/d/e"))
		}
		return err
	}
	rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt) // the folders change after they were described
	if err != nil || rep.Incomplete {
		t.Fatal(rep, err)
	}
	l.Note(rep)
	l.Counts(rep, "1 new, 6 unchanged, 2 deleted, 1 vanished")
	l.Verify()
}
