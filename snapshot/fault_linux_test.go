package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/testtree"
)

// faultTree and faultEdits make a run that goes through every step there is, some of them several times.
const faultTree = `
dir d 0755 mtime=5.5
dir d/e 0700
file d/e/f 0644 "f"
file kept 0644 "kept" mtime=1.5
file changed 0644 "before"
file big 0644 random=1200000:1
file meta 0644 "meta"
file moves 0644 "moves" mtime=2.5
file g1 0644 "group"
link d/g2 g1
symlink s kept
fifo p 0600
`

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
var afterPublish = []string{"sync of the folders", "content-hash index", "run report", archive.LatestLink}

// eachStep calls do for every step of the second run of the fault tree.
func eachStep(t *testing.T, do func(t *testing.T, l *lab, name string, at int)) {
	l := faultLab(t, false)
	s := &steps{seen: make(map[string]int)}
	l.opt.Fault = s.fault
	l.run()
	for _, name := range []string{"begin", "mkdir", "link", "create", "write", "metadata", "sync", "catalog", "publish",
		"sync of the folders", "content-hash index", "run report", archive.LatestLink} {
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
	l.parallel = parallel
	l.opt.Threads = 2
	l.build(faultTree)
	settle()
	l.run()
	l.build(faultEdits)
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
			l.opt.Fault = s.fault
			rep, err := Run(t.Context(), l.src, l.arch, l.opt)
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
				l.note(rep)
				without := testtree.Field(0)
				if name == "link" {
					without = testtree.Group // one of the links that could not be made may be one of a group
				}
				testtree.Equal(t, "snapshot", testtree.Take(t, l.src), l.taken[rep.Snapshot], without)
			}
			l.intact()
			if !survives {
				l.nothingLeft()
			}
			l.verify()
		}
		l.opt.Fault = nil
		l.run()
		l.intact()
		l.nothingLeft()
		l.verify()
	})
}

// Guards: a process that dies at any step leaves everything before intact, and the next run makes up for it.
func TestEveryStepCrashesOnce(t *testing.T) {
	eachStep(t, func(t *testing.T, l *lab, name string, at int) {
		s := &steps{seen: make(map[string]int), name: name, at: at, cause: archive.ErrCrash}
		l.opt.Fault = s.fault
		rep, err := Run(t.Context(), l.src, l.arch, l.opt)
		if slices.Contains(afterPublish, name) {
			l.note(rep)
		} else if !errors.Is(err, archive.ErrCrash) {
			t.Fatalf("the run says %v", err)
		}
		l.intact()
		l.opt.Fault = nil
		next := l.run()
		if recovered := len(next.Recovered) > 0; recovered != (name != "begin" && !slices.Contains(afterPublish, name)) {
			t.Errorf("recovered: %q", next.Recovered)
		}
		if target, err := os.Readlink(l.path(archive.LatestLink)); err != nil || target != next.Snapshot {
			t.Errorf("latest: %s, %v", target, err)
		}
		l.intact()
		l.nothingLeft()
		l.verify()
	})
}

// nothingLeft makes sure that the archive's own folder holds what belongs to its snapshots and nothing else.
func (l *lab) nothingLeft() {
	l.t.Helper()
	err := filepath.WalkDir(l.path(archive.MetaDir), func(path string, e os.DirEntry, err error) error {
		rel := strings.TrimPrefix(strings.TrimPrefix(path, l.path(archive.MetaDir)), "/")
		if err != nil || e.IsDir() {
			if err == nil && strings.Count(rel, "/") > 0 {
				l.t.Errorf("left: %s", rel)
			}
			return err
		}
		dir, name := filepath.Split(rel)
		known := false
		switch dir {
		case "":
			known = name == archive.ArchiveFile || name == archive.LockFile || name == archive.IndexFile
		case archive.CatalogsDir + "/":
			_, known = l.taken[strings.TrimSuffix(name, archive.CatalogExt)]
		case archive.RunsDir + "/":
			_, known = l.taken[strings.TrimSuffix(name, ".json")]
		}
		if !known {
			l.t.Errorf("left: %s", rel)
		}
		return nil
	})
	if err != nil {
		l.t.Error(err)
	}
}

// Guards: files that were about to replace others when their process died do not pile up.
func TestPendingFilesAreRemoved(t *testing.T) {
	l := newLab(t)
	l.build("file f 0644 x")
	l.run()
	for _, path := range []string{archive.IndexFile, archive.ArchiveFile, archive.RunsDir + "/" + l.order[0] + ".json"} {
		pending, err := atomicfile.Create(l.path(archive.MetaDir, path), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := pending.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l.run()
	l.nothingLeft()
}

// Guards: the first run of all fails without a trace, and can be repeated.
func TestFirstRunFails(t *testing.T) {
	for _, step := range []string{"create", "begin", "mkdir", "write", "metadata", "sync", "catalog", "publish"} {
		t.Run(step, func(t *testing.T) {
			l := newLab(t)
			l.build(faultTree)
			for _, cause := range []error{unix.ENOSPC, archive.ErrCrash} {
				s := &steps{seen: make(map[string]int), name: step, cause: cause}
				l.opt.Fault = s.fault
				l.fails(cause)
				if _, err := os.Stat(l.arch); err == nil {
					l.intact()
				}
			}
			l.opt.Fault = nil
			l.run()
			l.intact()
			l.nothingLeft()
			l.verify()
		})
	}
}
