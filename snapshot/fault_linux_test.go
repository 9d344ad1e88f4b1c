package snapshot_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fault"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

const faultEdits = `
write changed "after"
append big "more"
set meta mode=0600
mv moves d/moved
file new 0640 "new" xattr.user.a="1"
dir d/newdir 0755
link d/newdir/g3 g1
symlink s2 nowhere
`

// steps counts the steps of a run, and makes one of them fail.
type steps struct {
	mu    sync.Mutex
	seen  map[string]int
	name  string // of the step to fail
	at    int    // its occurrence
	cause error
}

func (s *steps) fault(step string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.seen[step]
	s.seen[step]++
	if step == s.name && n == s.at {
		return s.cause
	}
	return nil
}

// afterPublish are the steps whose failure costs no snapshot.
var afterPublish = []string{"sync of the folders", "content-hash index", "run report", archive.LatestLink, "removal of the journal", "empty"}

// eachStep calls do for every step of the second run of the fault tree.
func eachStep(t *testing.T, do func(t *testing.T, l *lab, name string, at int)) {
	l := faultLab(t, false)
	s := &steps{seen: make(map[string]int)}
	l.Opt.Fault = s.fault
	l.Run()
	for _, name := range []string{"journal", "begin", "mkdir", "link", "create", "write", "metadata", "sync", "catalog", "publish",
		"sync of the folders", "content-hash index", "run report", archive.LatestLink, "removal of the journal"} {
		if s.seen[name] == 0 {
			t.Errorf("no step %q was met", name)
		}
		for at := range s.seen[name] {
			t.Run(fmt.Sprint(name, " ", at), func(t *testing.T) {
				t.Parallel()
				l := faultLab(t, true)
				do(t, l, name, at)
			})
		}
	}
}

// faultLab has one snapshot and edits to be stored by the next.
func faultLab(t *testing.T, parallel bool) *lab {
	l := newLab(t)
	l.Parallel = parallel
	l.Opt.Threads = 2
	l.Build(archivetest.FaultTree)
	testtree.Settle()
	l.Run()
	l.Build(faultEdits)
	return l
}

// Guards: whichever step fails, in whatever way, a snapshot is there completely or not at all, the earlier ones are
// intact, nothing is left lying about for long, and the next run succeeds.
func TestEveryStepFailsOnce(t *testing.T) {
	eachStep(t, func(t *testing.T, l *lab, name string, at int) {
		causes := []error{unix.ENOSPC, unix.EPERM} // at every other occurrence the other two
		if at%2 == 1 {
			causes = []error{unix.EMLINK, unix.EIO}
		}
		for _, cause := range causes {
			s := &steps{seen: make(map[string]int), name: name, at: at, cause: cause}
			l.Opt.Fault = s.fault
			l.Opt.NoResume = true // each run is to meet all steps
			rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
			published := slices.Contains(afterPublish, name)
			survives := published || name == "link" && (cause == unix.EPERM || cause == unix.EMLINK)
			switch {
			case survives && err != nil:
				t.Fatalf("%v: %v", cause, err)
			case !survives && !errors.Is(err, cause):
				t.Fatalf("%v: the run says %v", cause, err)
			case published != (rep != nil && len(rep.Unfinished) > 0):
				t.Errorf("%v: unfinished: %v", cause, rep.Unfinished)
			}
			if survives {
				l.Note(rep)
				without := testtree.Field(0)
				if name == "link" {
					without = testtree.Group // one of the links that could not be made may be one of a group
				}
				testtree.Equal(t, "snapshot", testtree.Take(t, l.Src), l.Taken[rep.Snapshot], without)
			}
			l.Intact()
			if !survives {
				l.OnlyUnfinished()
			}
			l.Verify()
		}
		l.Opt.Fault, l.Opt.NoResume = nil, false
		l.Run()
		l.Intact()
		l.NothingLeft()
		l.Verify()
	})
}

// Guards: a process that dies at any step leaves everything before intact, and the next run makes up for it.
func TestEveryStepCrashesOnce(t *testing.T) {
	eachStep(t, func(t *testing.T, l *lab, name string, at int) {
		s := &steps{seen: make(map[string]int), name: name, at: at, cause: fault.ErrCrash}
		l.Opt.Fault = s.fault
		rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
		if slices.Contains(afterPublish, name) {
			l.Note(rep)
		} else if !errors.Is(err, fault.ErrCrash) {
			t.Fatalf("the run says %v", err)
		}
		l.Intact()
		l.Opt.Fault = nil
		next := l.Run()
		none := []string{"journal", "begin", "sync of the folders", "content-hash index", "run report", archive.LatestLink}
		if recovered := len(next.Recovered) > 0; recovered == slices.Contains(none, name) {
			t.Errorf("recovered: %q", next.Recovered)
		}
		if target, err := os.Readlink(l.Path(archive.LatestLink)); err != nil || target != next.Snapshot {
			t.Errorf("latest: %s, %v", target, err)
		}
		l.Intact()
		l.NothingLeft()
		l.Verify()
	})
}

// Guards: files that were about to replace others when their process died do not pile up.
func TestPendingFilesAreRemoved(t *testing.T) {
	l := newLab(t)
	l.Build("file f 0644 x")
	l.Run()
	for _, path := range []string{archive.IndexFile, archive.ArchiveFile, archive.RunsDir + "/" + l.Order[0] + ".json"} {
		pending, err := atomicfile.Create(l.Path(archive.MetaDir, path), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := pending.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l.Run()
	l.NothingLeft()
}

// Guards: the first run of all fails without a trace, and can be repeated.
func TestFirstRunFails(t *testing.T) {
	for _, step := range []string{"create", "begin", "mkdir", "write", "metadata", "sync", "catalog", "publish"} {
		t.Run(step, func(t *testing.T) {
			l := newLab(t)
			l.Build(archivetest.FaultTree)
			for _, cause := range []error{unix.ENOSPC, fault.ErrCrash} {
				s := &steps{seen: make(map[string]int), name: step, cause: cause}
				l.Opt.Fault = s.fault
				l.Fails(cause)
				if _, err := os.Stat(l.Arch); err == nil {
					l.Intact()
				}
			}
			l.Opt.Fault = nil
			l.Run()
			l.Intact()
			l.NothingLeft()
			l.Verify()
		})
	}
}
