package snapshot_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

const filterTree = `
dir keep 0755
file keep/a.txt 0644 "a"
file keep/b.tmp 0644 "b"
file keep/important.tmp 0644 "i"
dir keep/build 0755
file keep/build/out 0644 "o"
dir src 0755
file src/build 0644 "a file of that name"
dir cache 0755
file cache/CACHEDIR.TAG 0644 "Signature: 8a477f597d28d172789f06886806bc55\n# more"
file cache/c 0644 "c"
dir fake 0755
file fake/CACHEDIR.TAG 0644 "Signature: not it"
file fake/f 0644 "f"
dir marked 0755
file marked/.nobackup 0600
file marked/m 0644 "m"
file big 0644 random=5000:1
file exact 0644 random=4096:1
symlink long "` + longTarget + `"
`

const longTarget = "a/very/long/target/that/is/no/file"

// Guards: what is to be left out is left out, everything else is kept, each exclusion is told with what caused it, and
// the folder around it is as in the source.
func TestExcludes(t *testing.T) {
	for _, c := range []struct {
		name string
		opt  snapshot.Options
		out  map[string]string // path: rule
	}{
		{"patterns", snapshot.Options{Exclude: archivetest.Patterns(t, "*.tmp", "!important.tmp", "build/", "/src/none")},
			map[string]string{"keep/b.tmp": "*.tmp", "keep/build": "build/"}},
		{"anchored", snapshot.Options{Exclude: archivetest.Patterns(t, "/keep/**/out", "/big")},
			map[string]string{"keep/build/out": "/keep/**/out", "big": "/big"}},
		{"caches", snapshot.Options{ExcludeCaches: true}, map[string]string{"cache": "--exclude-caches"}},
		{"if present", snapshot.Options{ExcludeIfPresent: []string{"none", ".nobackup"}},
			map[string]string{"marked": "--exclude-if-present .nobackup"}},
		{"larger", snapshot.Options{ExcludeLarger: 4096}, map[string]string{"big": "--exclude-larger-than 4096"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.Build(filterTree)
			testtree.Settle()
			for round := range 2 {
				told := make(map[string]string)
				l.Opt = c.opt
				l.Opt.Item = func(i snapshot.Item) {
					if i.Action == snapshot.Excluded {
						told[i.Path] = i.Rule
					}
				}
				rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
				if err != nil {
					t.Fatal(err)
				}
				l.Note(rep)
				want := testtree.Take(t, l.Src)
				for path := range want {
					for out := range c.out {
						if path == out || strings.HasPrefix(path, out+"/") {
							delete(want, path)
						}
					}
				}
				testtree.Equal(t, "snapshot", want, l.Taken[rep.Snapshot], 0)
				if len(told) != len(c.out) || rep.Counts.Excluded != uint64(len(c.out)) {
					t.Errorf("told %q, counted %d", told, rep.Counts.Excluded)
				}
				for path, rule := range c.out {
					if !strings.Contains(told[path], rule) {
						t.Errorf("%q is left out because of %q, want %q", path, told[path], rule)
					}
				}
				if round == 1 && (rep.Counts.Unchanged != rep.Counts.Files || rep.Counts.Deleted > 0) {
					t.Errorf("second run: %+v", rep.Counts)
				}
			}
			l.Verify()
			l.Opt = snapshot.Options{}
			l.Run() // everything again: nothing of what was left out may be missed
			l.Opt = c.opt
			rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
			if err != nil {
				t.Fatal(err)
			}
			l.Note(rep)
			l.Intact()
			l.Verify()
		})
	}
}

// Guards: with --one-file-system another file system below the source is an empty folder in the snapshot; without, it is
// copied, and equal inode numbers on both do not make a link group.
func TestOneFileSystem(t *testing.T) {
	l := newLab(t)
	l.Build("file f 0644 x\ndir mnt 0711\ndir other 0755\nfile other/g 0644 y")
	testtree.Tmpfs(t, filepath.Join(l.Src, "mnt"), "size=10m,mode=755")
	l.Build("file mnt/inner 0644 z\nlink mnt/again mnt/inner\ndir mnt/sub 0755\nfile mnt/sub/f 0644 w\nset mnt mtime=9.9")
	l.Run()
	l.Opt.OneFileSystem = true
	rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
	if err != nil {
		t.Fatal(err)
	}
	l.Note(rep)
	want := testtree.Take(t, l.Src)
	for _, p := range []string{"mnt/inner", "mnt/again", "mnt/sub", "mnt/sub/f"} {
		delete(want, p)
	}
	testtree.Equal(t, "snapshot", want, l.Taken[rep.Snapshot], 0)
	l.Counts(rep, "2 unchanged, 1 excluded")
	l.Opt.OneFileSystem = false
	l.Run()
	l.Intact()
	l.Verify()
}

// Guards: a dry run changes nothing, and tells exactly what the real run then does.
func TestDryRunPredicts(t *testing.T) {
	testtree.NeedRoot(t)
	for i, e := range edits {
		if i%3 > 0 { // they take long; each kind of outcome is among the others
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.Opt.Threads, l.Parallel = 1, true
			if i%2 == 1 {
				l.Opt.Exclude = archivetest.Patterns(t, "acl", "/x")
			}
			l.Build(archivetest.Torture(t))
			testtree.Settle()
			parent := filepath.Dir(l.Src)
			both := func() {
				before := testtree.Take(t, parent)
				dry, dryItems := l.tell(true)
				after := testtree.Take(t, parent)
				testtree.Equal(t, "a dry run left", before, after, 0)
				if !dry.DryRun {
					t.Error("the report does not say that it is one of a dry run")
				}
				rep, items := l.tell(false)
				l.Note(rep)
				d, r := dry.Counts, rep.Counts
				d.BytesRead, r.BytesRead, d.BytesStored, r.BytesStored, d.BytesLinked, r.BytesLinked = 0, 0, 0, 0, 0, 0
				d.Contents, d.BytesAllocated = r.Contents, r.BytesAllocated
				if d != r {
					t.Errorf("counts: dry run  %+v\n          real run %+v", d, r)
				}
				if !slices.Equal(dryItems, items) {
					t.Errorf("items: dry run %q\n       real run %q", dryItems, items)
				}
				if dry.Created != rep.Created || dry.Previous != rep.Previous {
					t.Errorf("dry run: %+v", dry)
				}
			}
			both()
			testtree.Settle()
			l.Build(e.script)
			testtree.Settle()
			both()
			l.Intact()
		})
	}
}

// tell runs and returns what was told of each entry, sorted.
func (l *lab) tell(dry bool) (*archive.Report, []string) {
	l.T.Helper()
	var mu sync.Mutex
	var items []string
	l.Opt.DryRun = dry
	l.Opt.Item = func(i snapshot.Item) {
		mu.Lock()
		defer mu.Unlock()
		items = append(items, fmt.Sprint(i.Action, " ", i.Path, " ", i.Type, " ", i.Size, " ", i.Was, " ", i.Rule))
	}
	rep, err := snapshot.Run(l.T.Context(), l.Src, l.Arch, l.Opt)
	if err != nil {
		l.T.Fatal(err)
	}
	slices.Sort(items)
	return rep, items
}

// Guards: the progress of a run ends where the report does.
func TestProgressAddsUp(t *testing.T) {
	l := newLab(t)
	l.Build(archivetest.Torture(t))
	for range 2 {
		l.Opt.Progress = new(archive.Progress)
		rep := l.Run()
		p := l.Opt.Progress
		if p.Files.Load() != rep.Counts.Files || p.Bytes.Load() != rep.Counts.BytesTotal ||
			p.Read.Load() != rep.Counts.BytesRead || archive.Phase(p.Phase.Load()) != archive.Finished {
			t.Errorf("progress: %d files, %d bytes, %d read; report: %+v", p.Files.Load(), p.Bytes.Load(), p.Read.Load(),
				rep.Counts)
		}
	}
	if l.Opt.Progress.ExpectFiles.Load() == 0 {
		t.Error("nothing was expected of the second run")
	}
}

// Guards: a set-group-ID bit or a default ACL of the archive's own folder is not handed down to what is stored.
func TestArchiveFolderHandsNothingDown(t *testing.T) {
	testtree.NeedRoot(t)
	l := newLab(t)
	l.Build(archivetest.Torture(t))
	if err := os.Mkdir(l.Arch, 0o755); err != nil {
		t.Fatal(err)
	}
	testtree.Build(t, filepath.Dir(l.Arch), "set archive default=u:55:rwx,g:66:rwx owner=0:4321 mode=2777")
	l.Run()
	l.Run()
	l.Intact()
	l.Verify()
}

// Guards: a run that fails says that it removes what it made, and not that it goes on copying.
func TestProgressOfAFailure(t *testing.T) {
	l := newLab(t)
	l.Opt.Progress = new(archive.Progress)
	l.Opt.Fault = func(step string) error {
		if step == "sync" {
			return archivetest.ErrStopped
		}
		return nil
	}
	if _, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt); !errors.Is(err, archivetest.ErrStopped) {
		t.Fatalf("error %v", err)
	}
	if phase := archive.Phase(l.Opt.Progress.Phase.Load()); phase != archive.Abandoning {
		t.Errorf("phase %d, want %d", phase, archive.Abandoning)
	}
}
