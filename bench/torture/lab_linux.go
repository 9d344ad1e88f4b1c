package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"snapcopy/internal/testtree"
)

// lab has the source and the archive of one trial, and the fingerprints that they have to have.
type lab struct {
	ctx     context.Context
	program string
	*place
	rng     *rand.Rand
	clock   time.Time // of the next command: snapshots have names by the second, and no command has to wait for one
	source  source
	archive string
	target  string                   // of restores, and the mountpoint of instant
	taken   map[string]testtree.Tree // by snapshot
	seen    testtree.Seen            // stored files, since the last command
	edited  testtree.Tree            // the instant tree that is to be settled
	faults  []string
	lacks   testtree.Field // metadata that the file system refused: the catalog alone has them
	badDisk bool           // a call returned EIO: commands tell files that could not be read as damaged
}

func newLab(ctx context.Context, program string, p *place, seed uint64) *lab {
	rng := rand.New(rand.NewPCG(seed, 1))
	return &lab{ctx: ctx, program: program, place: p, rng: rng, clock: time.Now(), taken: make(map[string]testtree.Tree), seen: make(testtree.Seen),
		source:  source{path: filepath.Join(p.path, "source"), rng: rng},
		archive: filepath.Join(p.path, "archive"), target: filepath.Join(p.path, "target")}
}

func (l *lab) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// do runs snapcopy, without its threads: these cost time and find no more. A tree that was mounted cannot be settled while
// another program of this machine has begun a mount namespace, in which it is mounted, too: that passes.
func (l *lab) do(args ...string) (r result, err error) {
	for range 3 {
		r, err = command(l.ctx, l.path, append(l.environment(), "GOMAXPROCS=1"), l.program, args...)
		if err != nil || r.status != 1 || !strings.Contains(r.output, "a process in another mount namespace") {
			break
		}
		time.Sleep(3 * time.Second)
	}
	return r, err
}

// environment sets the clock of a command, one second after that of the command before. No command uses so much memory that
// it has to be collected.
func (l *lab) environment() []string {
	l.clock = l.clock.Add(time.Second)
	clear(l.seen)
	return []string{"SNAPCOPY_NOW=" + l.clock.UTC().Format(time.RFC3339), "GOGC=off"}
}

// snapshot reads a snapshot; the files that it shares with another one are read once.
func (l *lab) snapshot(name string) (testtree.Tree, error) {
	return testtree.ReadAll(filepath.Join(l.archive, name), l.seen)
}

// must runs snapcopy while a trial is prepared, when nothing may go wrong.
func (l *lab) must(args ...string) error {
	r, err := l.do(args...)
	if err == nil && r.status != 0 {
		err = errors.New(r.String())
	}
	return err
}

// history makes the source, and an archive with some snapshots of it.
func (l *lab) history(snapshots int) error {
	if err := errors.Join(l.clear(), os.Mkdir(l.source.path, 0o755), l.source.build()); err != nil {
		return err
	}
	testtree.Settle()
	for range snapshots {
		if err := lastEdit(l); err != nil {
			return err
		}
		if err := l.source.edit(); err != nil {
			return err
		}
	}
	testtree.Settle()
	return nil
}

var snapshotName = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d{6}Z$`)

// names returns the names of the archive's snapshots, the oldest first.
func (l *lab) names() ([]string, error) {
	entries, err := os.ReadDir(l.archive)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if snapshotName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// known returns the names of the snapshots that the archive has to have, the oldest first.
func (l *lab) known() []string { return slices.Sorted(maps.Keys(l.taken)) }

// adopt takes the fingerprints of new snapshots. A new snapshot has to equal the source, but for the entries that its
// report lists as failed. If a snapshot is wanted, there has to be exactly one new one.
func (l *lab) adopt(wanted bool) error {
	names, err := l.names()
	if err != nil {
		return err
	}
	found := 0
	for _, name := range names {
		if _, known := l.taken[name]; known {
			continue
		}
		found++
		got, err := l.snapshot(name)
		if err != nil {
			return err
		}
		l.taken[name] = got
		want, err := testtree.Read(l.source.path)
		if err != nil {
			return err
		}
		failed, err := l.failed(name)
		if err != nil {
			return err
		}
		want, got = without(want, failed), without(got, failed)
		if lines := testtree.Diff(want, got, l.lacks); len(lines) > 0 {
			l.fault("snapshot %s differs from the source:\n  %s", name, strings.Join(lines, "\n  "))
		}
	}
	if found > 1 || wanted && found != 1 {
		l.fault("%d new snapshots", found)
	}
	return nil
}

// without returns a tree without some paths and all below them.
func without(tree testtree.Tree, paths []string) testtree.Tree {
	if len(paths) == 0 {
		return tree
	}
	tree = maps.Clone(tree)
	tree.Remove(func(path string) bool {
		return slices.ContainsFunc(paths, func(failed string) bool {
			return path == failed || failed == "." || strings.HasPrefix(path, failed+"/")
		})
	})
	return tree
}

// failed returns the paths that the report of a run lists as failed. Without a report there are none.
func (l *lab) failed(snapshot string) (paths []string, err error) {
	for _, path := range []string{"runs/" + snapshot + ".json", "work/report.json"} {
		text, err := os.ReadFile(filepath.Join(l.archive, ".snapcopy", path))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var report struct {
			Failed []struct {
				Path string `json:"path"`
			} `json:"failed"`
		}
		if err == nil {
			err = json.Unmarshal(text, &report)
		}
		for _, f := range report.Failed {
			paths = append(paths, f.Path)
		}
		return paths, err
	}
	return nil, nil
}

// intact compares all known snapshots with their fingerprints. Those of mayGo may be missing, each as a whole.
func (l *lab) intact(mayGo []string) error {
	for _, name := range l.known() {
		got, err := l.snapshot(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && slices.Contains(mayGo, name):
			delete(l.taken, name)
			continue
		case errors.Is(err, fs.ErrNotExist):
			l.fault("snapshot %s is lost: %v", name, err)
			continue
		case err != nil:
			return err
		}
		if lines := testtree.Diff(l.taken[name], got, l.lacks); len(lines) > 0 {
			l.fault("snapshot %s is not what it was:\n  %s", name, strings.Join(lines, "\n  "))
		}
	}
	return nil
}

// succeeds runs a command whose status has to be 0.
func (l *lab) succeeds(args ...string) error {
	r, err := l.do(args...)
	if err == nil && r.status != 0 {
		l.fault("%s", r)
	}
	return err
}

// verified lets snapcopy verify the archive, if it has a snapshot.
func (l *lab) verified() error {
	if len(l.taken) == 0 {
		return nil
	}
	return l.succeeds("verify", l.archive)
}

// notes are the names of the files that .snapcopy may contain.
var notes = []string{"archive.json", "lock", "index", "space", "verified", "damaged.json", "acknowledged.json"}

// age makes unfinished files two hours older. Some are written without the lock; the next run removes those that no
// process can be writing any more, by their age.
func (l *lab) age() error {
	files, err := filepath.Glob(filepath.Join(l.archive, ".snapcopy/*/.*.tmp"))
	then := time.Now().Add(-2 * time.Hour)
	for _, path := range files {
		err = errors.Join(err, os.Chtimes(path, then, then))
	}
	return err
}

// clean looks for leftovers in the archive.
func (l *lab) clean() error {
	top := filepath.Join(l.archive, ".snapcopy")
	return filepath.WalkDir(l.archive, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == l.archive || path == top {
			return nil
		}
		rel, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		if strings.HasPrefix(rel, "../") {
			name := strings.TrimPrefix(rel, "../")
			if _, known := l.taken[name]; known {
				return fs.SkipDir
			}
			if name != "latest" {
				l.fault("left over: %s", name)
			}
			return nil
		}
		if !l.belongs(rel, e.IsDir()) {
			l.fault("left over: .snapcopy/%s", rel)
		}
		return nil
	})
}

// belongs reports whether .snapcopy may contain a path while no command works on the archive.
func (l *lab) belongs(rel string, isDir bool) bool {
	dir, name := filepath.Split(rel)
	snapshot, _, _ := strings.Cut(name, ".")
	_, known := l.taken[snapshot]
	switch dir {
	case "":
		return isDir || slices.Contains(notes, name)
	case "catalogs/":
		return known
	case "runs/":
		return known || strings.HasSuffix(name, ".unpublished.json")
	case "pins/", "readers/":
		return !strings.HasSuffix(name, ".tmp")
	}
	return false
}
