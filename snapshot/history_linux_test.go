package snapshot

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// historian makes random edits to a source.
type historian struct {
	t    *testing.T
	rng  *rand.Rand
	root string
	next int
}

func (h *historian) list(want func(fs.DirEntry) bool) (paths []string) {
	err := filepath.WalkDir(h.root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && path != h.root && want(e) {
			paths = append(paths, strings.TrimPrefix(path, h.root+"/"))
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return paths
}

func (h *historian) pick(paths []string) (string, bool) {
	if len(paths) == 0 {
		return "", false
	}
	return paths[h.rng.IntN(len(paths))], true
}

// fresh is a name that is not taken, in some folder.
func (h *historian) fresh() string {
	h.next++
	dir, ok := h.pick(h.list(fs.DirEntry.IsDir))
	name := fmt.Sprintf("%c%d", 'a'+h.rng.IntN(26), h.next)
	if !ok || h.rng.IntN(4) == 0 {
		return name
	}
	return dir + "/" + name
}

// edit is one line of the language of testtree, or "" if there is nothing to do it to.
func (h *historian) edit() string {
	files := h.list(func(e fs.DirEntry) bool { return e.Type().IsRegular() })
	file, some := h.pick(files)
	any, some2 := h.pick(h.list(func(fs.DirEntry) bool { return true }))
	few := h.rng.IntN(3)
	switch kind := h.rng.IntN(20); {
	case kind < 4: // contents and times out of a small pool, so that equal files turn up
		return fmt.Sprintf("file %q 0644 %q mtime=%d.5", h.fresh(), fmt.Sprint("pool ", few), h.rng.IntN(2))
	case kind < 5:
		return fmt.Sprintf("file %q 0600 random=%d:%d mtime=1.5", h.fresh(), 1_100_000*(1+h.rng.IntN(2)), few)
	case kind < 6:
		return fmt.Sprintf("file %q 0600 x at=%d:y hole=200000", h.fresh(), 200_000+h.rng.IntN(1_500_000))
	case kind < 8:
		return fmt.Sprintf("dir %q 0755", h.fresh())
	case kind < 9:
		return fmt.Sprintf("symlink %q %q", h.fresh(), fmt.Sprint("target ", few))
	case kind < 10:
		return fmt.Sprintf("fifo %q 0600", h.fresh())
	case !some || !some2:
		return ""
	case kind < 12:
		return fmt.Sprintf("link %q %q", h.fresh(), file)
	case kind < 13:
		return fmt.Sprintf("write %q %q\nset %q mtime=1.5", file, fmt.Sprint("pool ", few), file)
	case kind < 14:
		return fmt.Sprintf("append %q more", file)
	case kind < 15:
		return fmt.Sprintf("set %q mode=%o", file, 0o600+h.rng.IntN(64))
	case kind < 16:
		return fmt.Sprintf("set %q xattr.user.n=%q", file, fmt.Sprint(few))
	case kind < 17:
		return fmt.Sprintf("set %q mtime=%d.5", any, few)
	case kind < 18:
		return fmt.Sprintf("rm %q", any)
	default:
		to := h.fresh()
		if strings.HasPrefix(to, any+"/") {
			return ""
		}
		return fmt.Sprintf("%s %q %q", []string{"mv", "cp"}[h.rng.IntN(2)], any, to)
	}
}

// Guards: whatever happens to the source, every snapshot equals the source at its time and stays that way, no two names
// share an inode that did not in the source, and a run right after another shares everything.
func TestRandomHistories(t *testing.T) {
	const steps = 30
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.parallel = true
			h := &historian{t: t, rng: rand.New(rand.NewPCG(seed, 0)), root: l.src}
			for step := range steps {
				var script []string
				for range 1 + h.rng.IntN(8) {
					line := h.edit()
					script = append(script, line)
					l.build(line)
				}
				if h.rng.IntN(3) == 0 {
					settle()
				}
				l.opt.Threads = 1 + h.rng.IntN(5)
				rep := l.run()
				if c := rep.Counts; c.New+c.Changed+c.Moved+c.Unchanged != c.Files {
					t.Errorf("step %d: counts do not add up: %+v", step, c)
				}
				if step%10 == 9 {
					l.run()
					l.allShared()
					l.intact()
				}
				if t.Failed() {
					t.Fatalf("step %d was:\n%s", step, strings.Join(script, "\n"))
				}
			}
			l.verify()
			l.nothingLeft()
		})
	}
}

// Guards: the catalogs alone are enough to make the index anew, and moved files are then found as before.
func TestIndexMadeAnew(t *testing.T) {
	l := newLab(t)
	l.build("file a 0644 \"content\" mtime=1.5\nfile big 0644 random=2000000:1")
	settle()
	l.run()
	for _, damage := range []func() error{
		func() error { return os.Remove(l.path(metaDir, indexFile)) },
		func() error { return os.Truncate(l.path(metaDir, indexFile), 5000) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		l.build("mv a t\nmv big a\nmv t big")
		rep := l.run()
		if rep.IndexRebuilt == "" || rep.Counts.BytesStored > 0 {
			t.Errorf("index made anew: %q; %+v", rep.IndexRebuilt, rep.Counts)
		}
		a := l.open()
		if err := a.RebuildIndex(t.Context()); err != nil {
			t.Error(err)
		}
		l.close(a)
		l.verify()
	}
	l.intact()
}
