package snapshot_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// sights is what snapshots have to show of a source: one sight for each path.
type sights map[string]sight

type sight struct {
	content string // of a file; "/" for a folder
	asOf    string // the snapshot that last read it; "": it was read now
}

// below returns the sights of a path and all below it, as kept since the snapshot of that name.
func (s sights) below(top, since string) sights {
	list := make(sights)
	for p, v := range s {
		if p == top || strings.HasPrefix(p, top+"/") {
			if v.asOf == "" {
				v.asOf = since
			}
			list[p] = v
		}
	}
	return list
}

// see adds the sights of a folder of the source in which some calls are refused ("op name"). Of what cannot be read, they are those
// of the previous night, the name of whose snapshot is given.
func (s sights) see(t *testing.T, root, dir string, before sights, last string, refused map[string]bool) {
	list, err := os.ReadDir(filepath.Join(root, dir))
	check(t, err)
	for _, e := range list {
		p := path.Join(dir, e.Name())
		_, known := before[p]
		switch opens := !refused["open "+e.Name()]; {
		case e.IsDir() && opens && refused["list "+e.Name()]:
			if before[p].content == "/" {
				maps.Copy(s, before.below(p, last))
			}
			s[p] = sight{content: "/"}
		case e.IsDir() && opens:
			s[p] = sight{content: "/"}
			s.see(t, root, p, before, last, refused)
		case !e.IsDir() && !refused["stat "+e.Name()]:
			content, err := os.ReadFile(filepath.Join(root, p))
			check(t, err)
			s[p] = sight{content: string(content)}
		case known:
			maps.Copy(s, before.below(p, last))
		}
	}
}

// edit makes, removes, changes or replaces an entry of a folder tree, all of whose names are few.
func editSights(t *testing.T, root string, rng *rand.Rand, step int) {
	var folders, all []string
	check(t, filepath.WalkDir(root, func(p string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			folders = append(folders, p)
		}
		if p != root && filepath.Base(p) != "readable" {
			all = append(all, p)
		}
		return err
	}))
	target := filepath.Join(folders[rng.IntN(len(folders))], fmt.Sprint("n", rng.IntN(12)))
	if len(all) > 0 && rng.IntN(3) > 0 {
		target = all[rng.IntN(len(all))]
	}
	check(t, os.RemoveAll(target))
	switch rng.IntN(5) {
	case 0, 1:
		check(t, os.Mkdir(target, 0o755))
	case 2, 3:
		check(t, os.WriteFile(target, fmt.Append(nil, "content ", step, " ", rng.IntN(100)), 0o644))
	}
}

// Guards: whatever cannot be read in whichever night, and whatever changes meanwhile: a snapshot has what can be read as it is, what
// cannot as the last run that could has read it, with the name of that run, and nothing that is known to be gone.
func TestCarriesAlongOverTime(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.Parallel = true
			rng := rand.New(rand.NewPCG(seed, 71))
			l.Build("file readable 0644 \"always\"")
			before, last := make(sights), ""
			for step := range 14 {
				for range 4 {
					editSights(t, l.Src, rng, step)
				}
				refused := make(map[string]bool)
				for range rng.IntN(6) {
					name := fmt.Sprint("n", rng.IntN(12))
					if rng.IntN(3) == 0 {
						refused["list "+name] = true
					} else { // whatever it is
						refused["open "+name], refused["stat "+name] = true, true
					}
				}
				now := make(sights)
				now.see(t, l.Src, "", before, last, refused)
				l.Opt.SourceFault = denies(slices.Collect(maps.Keys(refused))...)
				rep := l.night(snapshot.Options{Threads: 1 + step%2, SourceFault: l.Opt.SourceFault})
				l.shows(rep, now)
				if t.Failed() {
					t.Fatalf("at step %d, refused %v", step, slices.Collect(maps.Keys(refused)))
				}
				before, last = now, rep.Snapshot
				if rng.IntN(3) == 0 {
					testtree.Settle()
				}
			}
			l.Opt.SourceFault = nil
			l.Run()
			l.Verify()
			l.Intact()
		})
	}
}

// shows compares a snapshot, its folder and its catalog, with what it has to show.
func (l *lab) shows(rep *archive.Report, want sights) {
	l.T.Helper()
	entries, kept := l.Entries(rep.Snapshot), uint64(0)
	for p, v := range want {
		e, there := entries[p]
		isDir := v.content == "/"
		if !there || (e.Type == index.Dir) != isDir || e.AsOf != v.asOf || (e.Flags&index.Kept != 0) != (v.asOf != "") {
			l.T.Errorf("%s: type %v, flags %#x, as of %q; want %+v", p, e.Type, e.Flags, e.AsOf, v)
			continue
		}
		if isDir {
			continue
		}
		if v.asOf != "" {
			kept++
		}
		if content, err := os.ReadFile(l.Path(rep.Snapshot, p)); err != nil || string(content) != v.content {
			l.T.Errorf("%s has the content %q, %v; want %q", p, content, err, v.content)
		}
	}
	if len(entries) != len(want) {
		l.T.Errorf("%d entries; want %d", len(entries), len(want))
	}
	if rep.Counts.Kept != kept {
		l.T.Errorf("%d kept; want %d", rep.Counts.Kept, kept)
	}
}
