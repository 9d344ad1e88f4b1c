package fidelity

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testtree"
)

// historiesVariable is the number of random histories to go through instead of a few: FIDELITY_HISTORIES=1000 go test
// -timeout 0 -run RandomHistories ./internal/fidelity. With FIDELITY_FIRST the first of their seeds is another than 0.
const (
	historiesVariable = "FIDELITY_HISTORIES"
	firstVariable     = "FIDELITY_FIRST"
)

// historian makes random edits to a source, one line of the language of testtree after another.
type historian struct {
	t    *testing.T
	rng  *rand.Rand
	root string
	next int

	all, files, others []string // names: all, regular files, and what is no directory
	dirs               []string
}

// look lists what there is.
func (h *historian) look() {
	h.all, h.files, h.others, h.dirs = nil, nil, nil, []string{"."}
	err := filepath.WalkDir(h.root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == h.root {
			return err
		}
		path = strings.TrimPrefix(path, h.root+"/")
		h.all = append(h.all, path)
		switch {
		case e.IsDir():
			h.dirs = append(h.dirs, path)
		case e.Type().IsRegular():
			h.files = append(h.files, path)
			h.others = append(h.others, path)
		default:
			h.others = append(h.others, path)
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *historian) pick(paths []string) string { return paths[h.rng.IntN(len(paths))] }

// fresh is a name that is not taken, in some folder.
func (h *historian) fresh() string {
	h.next++
	name := fmt.Sprintf("%c%d", 'a'+h.rng.IntN(26), h.next)
	if h.rng.IntN(8) == 0 {
		name += []string{"\n", "\xff", " ", "'\"", "é"}[h.rng.IntN(5)]
	}
	return filepath.Join(h.pick(h.dirs), name)
}

// few is a number out of a small range, so that equal contents and times turn up again and again.
func (h *historian) few() int { return h.rng.IntN(3) }

// readable makes of a directory's mode one with which its owner can read it. Root can do so anyway.
func readable(mode int) int {
	if testtree.Root() {
		return mode
	}
	return mode | 0o500
}

// create makes a file of any kind under a name that is free.
func (h *historian) create(name string) string {
	few := h.few()
	switch h.rng.IntN(16) {
	case 0, 1, 2, 3:
		return fmt.Sprintf("file %q 0644 %q mtime=%d.5", name, fmt.Sprint("pool ", few), h.rng.IntN(2))
	case 4:
		return fmt.Sprintf("file %q 0600 random=%d:%d mtime=1.5", name, 1_060_000+h.rng.IntN(2), few)
	case 14, 15:
		return fmt.Sprintf("file %q 0600 random=%d:%d mtime=1.5", name, 1+h.rng.IntN(100_000), few)
	case 5:
		return fmt.Sprintf("file %q 0600 x at=%d:y hole=200000", name, 200_000+h.rng.IntN(1_500_000))
	case 6:
		return fmt.Sprintf("file %q 0644 mtime=%d.5", name, few)
	case 7, 8, 9:
		return fmt.Sprintf("dir %q 0%o", name, readable([]int{0o755, 0o700, 0o555, 0o2775, 0o000}[h.rng.IntN(5)]))
	case 10:
		return fmt.Sprintf("fifo %q 0600 mtime=%d.5", name, few)
	case 11:
		if testtree.Root() {
			return fmt.Sprintf("char %q 0600 1:%d mtime=2.5", name, few)
		}
		return fmt.Sprintf("socket %q 0600", name)
	default:
		return fmt.Sprintf("symlink %q %q mtime=%d.5", name, fmt.Sprint("target ", few), few)
	}
}

// edit is one change, of one line or more.
func (h *historian) edit() string {
	h.look()
	if len(h.all) < 10 {
		return h.create(h.fresh())
	}
	if len(h.all) > 90 {
		return fmt.Sprintf("rm %q", h.pick(h.all))
	}
	kind := h.rng.IntN(100)
	switch {
	case kind < 24 || len(h.files) == 0:
		return h.create(h.fresh())
	case kind < 46:
		return h.content(h.pick(h.files))
	case kind < 66:
		return h.metadata()
	}
	return h.names(kind)
}

// content changes what is in a file, in place or by another file.
func (h *historian) content(file string) string {
	few := h.few()
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(h.root, file), &st); err != nil {
		h.t.Fatal(err)
	}
	same := fmt.Sprintf("mtime=%d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
	switch h.rng.IntN(8) {
	case 0:
		return fmt.Sprintf("write %q %q\nset %[1]q mtime=1.5", file, fmt.Sprint("pool ", few))
	case 1:
		return fmt.Sprintf("append %q more", file)
	case 2:
		return fmt.Sprintf("truncate %q %d", file, h.rng.Int64N(st.Size+1))
	case 3: // longer only where nothing is set aside behind the end, which would then show as data
		return fmt.Sprintf("truncate %q 0\nset %[1]q hole=%d", file, 1+h.rng.IntN(3_000_000))
	case 4, 5: // size and time forged back
		if st.Size == 0 {
			return ""
		}
		return fmt.Sprintf("set %q at=%d:%c %s", file, h.rng.Int64N(min(st.Size, 4096)), 'A'+h.rng.IntN(26), same)
	case 6: // replaced by another of the same size and time
		if st.Size == 0 || st.Size > 100 {
			return ""
		}
		h.next++
		other := filepath.Join(filepath.Dir(file), fmt.Sprint("new", h.next))
		content := strings.Repeat(string(rune('a'+few)), int(st.Size))
		return fmt.Sprintf("file %q 0644 %q %s\nmv %[1]q %[4]q", other, content, same, file)
	default:
		return fmt.Sprintf("set %q random=%d:%d", file, []int{3000, 70_000, 1_060_000}[h.few()], few)
	}
}

func (h *historian) metadata() string {
	any, other, few := h.pick(h.all), h.pick(h.others), h.few()
	switch h.rng.IntN(10) {
	case 0:
		return fmt.Sprintf("set %q mode=%o", h.pick(h.files), 0o600+h.rng.IntN(64))
	case 1:
		return fmt.Sprintf("set %q mode=%o", h.pick(h.dirs), readable([]int{0o700, 0o1777, 0o111, 0o2755}[h.rng.IntN(4)]))
	case 2:
		if testtree.Root() {
			return fmt.Sprintf("set %q owner=%d:%d", any, few, h.few())
		}
		return ""
	case 3:
		return fmt.Sprintf("set %q xattr.user.n=%d", h.pick(append(h.dirs, h.files...)), few)
	case 4:
		if testtree.Root() {
			return fmt.Sprintf("set %q xattr.trusted.n=%d", other, few)
		}
		return ""
	case 5:
		return fmt.Sprintf("set %q acl=u:%d:r", h.pick(append(h.dirs, h.files...)), few)
	case 6:
		return fmt.Sprintf("set %q default=g:%d:rx", h.pick(h.dirs), few)
	case 7:
		return fmt.Sprintf("noacl %q", h.pick(append(h.dirs, h.files...)))
	default:
		return fmt.Sprintf("set %q mtime=%d.%09d", any, few, h.rng.IntN(2))
	}
}

// names links, moves, copies, swaps and removes.
func (h *historian) names(kind int) string {
	any, other, to := h.pick(h.all), h.pick(h.others), h.fresh()
	inside := strings.HasPrefix(to, any+"/")
	switch {
	case kind < 74:
		return fmt.Sprintf("link %q %q", to, other)
	case kind < 76:
		h.next++
		return fmt.Sprintf("link ../outside/%d %q", h.next, other)
	case kind < 78: // becomes a file of another kind
		return fmt.Sprintf("rm %q\n%s", any, h.create(any))
	case kind < 84:
		if inside {
			return ""
		}
		return fmt.Sprintf("mv %q %q", any, to)
	case kind < 88:
		second := h.pick(h.all)
		if any == second || strings.HasPrefix(any, second+"/") || strings.HasPrefix(second, any+"/") {
			return ""
		}
		return fmt.Sprintf("swap %q %q", any, second)
	case kind < 93:
		if inside {
			return ""
		}
		return fmt.Sprintf("cp %q %q", any, to)
	}
	return fmt.Sprintf("rm %q", any)
}

// Guards: whatever happens to the source, every snapshot equals the source at its time, stays that way whatever comes
// after it, and can be restored; a run right after another shares everything.
func TestRandomHistories(t *testing.T) {
	eachHistory(t, func(l *lab, seed uint64) { l.history(rand.New(rand.NewPCG(seed, 0)), 50) })
}

// eachHistory runs a test for a number of seeds, on one file system after the other.
func eachHistory(t *testing.T, test func(l *lab, seed uint64)) {
	first, histories := number(t, firstVariable, 0), number(t, historiesVariable, 3)
	for seed := first; seed < first+histories; seed++ {
		kind := []string{"ext4", "xfs", "btrfs", "temporary folder"}[seed%4]
		t.Run(fmt.Sprintf("seed %d on %s", seed, kind), func(t *testing.T) {
			t.Parallel()
			var l *lab
			if seed%4 == 3 || !testtree.Root() {
				l = labAt(t, kind, t.TempDir())
			} else {
				l = newLab(t, kind)
			}
			if kind == "xfs" { // shows as data what it has set aside for copies on write
				l.ignore = testtree.Holes
			}
			test(l, uint64(seed))
		})
	}
}

func number(t *testing.T, variable string, otherwise int) int {
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

func (l *lab) history(rng *rand.Rand, steps int) {
	l.check(os.Mkdir(filepath.Join(l.base, "outside"), 0o700))
	h := &historian{t: l.t, rng: rng, root: l.src}
	for step := range steps {
		var script []string
		for range 1 + rng.IntN(8) {
			line := h.edit()
			script = append(script, line)
			l.build(line)
		}
		if rng.IntN(3) == 0 {
			testtree.Settle()
		}
		skew := time.Duration(rng.IntN(3)-1) * time.Duration(rng.IntN(100)) * time.Hour
		l.opt.Now = func() time.Time { return time.Now().Add(skew) }
		l.opt.Threads = 1 + rng.IntN(5)
		rep := l.run()
		if c := rep.Counts; c.New+c.Changed+c.Moved+c.Unchanged != c.Files {
			l.t.Errorf("counts do not add up: %+v", c)
		}
		l.intact()
		l.restored(l.order[rng.IntN(len(l.order))], nil)
		if l.t.Failed() {
			l.t.Fatalf("step %d was:\n%s", step, strings.Join(script, "\n"))
		}
	}
	l.run()
	l.allShared()
	l.intact()
	l.verify()
}
