package dirhandles

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"snapcopy/internal/fsat"
	"snapcopy/internal/walk"
)

// folder is a directory with one handle.
type folder struct {
	Dir[*folder]
	parent *folder
	name   string
	id     fsat.Stat
	fd     int
	names  []fsat.DirEntry
}

func (f *folder) path() string {
	if f.parent == nil {
		return ""
	}
	return filepath.Join(f.parent.path(), f.name)
}

// tree is the folders below root, and counts how they are opened.
type tree struct {
	Set[*folder]
	t                    *testing.T
	path                 string
	root                 int
	top                  *folder
	open, byNames, below atomic.Int64
	limit                int64 // of the folders open at once; 0: none
}

var errOther = errors.New("another folder")

func newTree(t *testing.T, path string) *tree {
	t.Helper()
	root, err := fsat.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	r := &tree{t: t, path: path, root: root}
	t.Cleanup(func() { r.check(fsat.Close(root)) })
	r.Open = func(f *folder) (err error) {
		r.byNames.Add(1)
		fd, err := fsat.OpenDir(r.root, ".")
		for name := range strings.SplitSeq(f.path(), "/") {
			if err != nil {
				return err
			}
			above := fd
			fd, err = fsat.OpenDir(above, name)
			err = errors.Join(err, fsat.Close(above))
		}
		return r.same(f, fd, err)
	}
	r.OpenFrom = func(f, below *folder) (done bool, err error) {
		r.below.Add(1)
		fd, err := fsat.OpenParent(below.fd)
		return r.same(f, fd, err) == nil, nil
	}
	r.Close = func(f *folder) error {
		r.open.Add(-1)
		fd := f.fd
		f.fd = fsat.NoDir
		return fsat.Close(fd)
	}
	r.top = r.first(nil, "")
	r.Start(&r.top.Dir, r.top)
	return r
}

func (r *tree) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Error(err)
	}
}

// same takes fd for f if it is the folder that was entered.
func (r *tree) same(f *folder, fd int, err error) error {
	if err != nil {
		return err
	}
	var st fsat.Stat
	if err := fsat.StatHandle(fd, &st); err != nil || !st.SameFile(&f.id) {
		return errors.Join(err, errOther, fsat.Close(fd))
	}
	f.fd = fd
	r.opened()
	return nil
}

func (r *tree) opened() {
	if n := r.open.Add(1); r.limit > 0 && n > r.limit {
		r.t.Errorf("%d folders open at once, limit %d", n, r.limit)
	}
}

// first opens a folder below one that is open and in use.
func (r *tree) first(parent *folder, name string) *folder {
	f := &folder{parent: parent, name: name}
	var err error
	if parent == nil {
		f.fd, err = fsat.OpenDir(r.root, ".")
	} else {
		f.fd, err = fsat.OpenDir(parent.fd, name)
	}
	if err == nil {
		err = fsat.StatHandle(f.fd, &f.id)
	}
	if err == nil {
		f.names, err = fsat.ReadDir(f.fd, make([]byte, 4096))
	}
	r.check(err)
	r.opened()
	return f
}

// enter opens and enters a folder.
func (r *tree) enter(parent *folder, name string) *folder {
	r.check(parent.Acquire())
	f := r.first(parent, name)
	r.check(f.Enter(&parent.Dir, f))
	r.check(parent.Release())
	return f
}

// use acquires a folder and makes sure that its handle is the right one as long as it has it.
func (r *tree) use(f *folder) {
	r.check(f.Acquire())
	for range 2 {
		var st fsat.Stat
		if err := fsat.StatHandle(f.fd, &st); err != nil || !st.SameFile(&f.id) {
			r.t.Errorf("in use, but: inode %d instead of %d, %v", st.Ino, f.id.Ino, err)
		}
	}
	r.check(f.Release())
}

// walk walks the whole tree; do is called for each folder and may end it.
func (r *tree) walk(workers int, do func(*folder) error) error {
	return walk.Run(context.Background(), workers, r.top, len(r.top.names), walk.Tree[*folder]{
		Items: func(_ int, f *folder, from, to int) (descend []int, err error) {
			for i := from; i < to; i++ {
				descend = append(descend, i)
			}
			r.use(f)
			return descend, do(f)
		},
		Enter: func(_ int, parent *folder, item int) (*folder, int, bool, error) {
			f := r.enter(parent, parent.names[item].Name)
			return f, len(f.names), true, nil
		},
		Leave: func(_ int, f *folder) error {
			if rand.IntN(2) == 0 { // with and without being acquired
				return f.Leave()
			}
			return errors.Join(f.Acquire(), f.Leave(), f.Release())
		},
	})
}

// over makes sure that nothing is left of a walk.
func (r *tree) over() {
	r.t.Helper()
	if n := r.open.Load(); n != 0 || len(r.idle) != 0 || r.Set.top != nil {
		r.t.Errorf("%d folders open, %d idle, top %v", n, len(r.idle), r.Set.top)
	}
}

// chain makes a chain of folders with others beside each of them, and returns where it begins.
func chain(t *testing.T, levels, beside int) string {
	t.Helper()
	root := t.TempDir()
	fd, err := fsat.OpenRoot(root)
	for range levels {
		for i := range beside {
			err = errors.Join(err, fsat.Mkdir(fd, fmt.Sprint("side", i), 0o755))
		}
		err = errors.Join(err, fsat.Mkdir(fd, "on", 0o755))
		if err != nil {
			t.Fatal(err)
		}
		next, openErr := fsat.OpenDir(fd, "on")
		err = errors.Join(openErr, fsat.Close(fd))
		fd = next
	}
	if err = errors.Join(err, fsat.Close(fd)); err != nil {
		t.Fatal(err)
	}
	return root
}

// Guards: one worker goes down and up a deep tree with a bounded number of open folders, and opens each folder at most
// once again, never by the names from the top.
func TestDepth(t *testing.T) {
	const levels = 4 * MaxIdle
	r := newTree(t, chain(t, levels, 1))
	r.limit = MaxIdle + 3 // the top, and two in use
	r.check(r.walk(1, func(*folder) error { return nil }))
	if n := r.byNames.Load(); n > 0 {
		t.Errorf("%d folders opened by their names", n)
	}
	if n := r.below.Load(); n == 0 || n > levels {
		t.Errorf("%d folders opened from below", n)
	}
	r.over()
}

// Guards: with many workers the folders open at once stay bounded, whoever is using one keeps its handle, and nothing is
// left of the walk.
func TestManyWorkers(t *testing.T) {
	const workers = 8
	r := newTree(t, chain(t, 3*MaxIdle, 2))
	r.limit = MaxIdle + 1 + (4+maxSteps)*workers // for each: two in use, one about to be closed, and those being opened
	r.check(r.walk(workers, func(*folder) error { return nil }))
	r.over()
}

// Guards: folders that are used, left and closed for others by several workers at the same moment lose neither their
// handles nor their place among the idle ones.
func TestUseWhileOthersClose(t *testing.T) {
	const workers, own, shared = 6, 20, 30
	path := t.TempDir()
	for i := range shared + workers*own {
		if err := os.MkdirAll(filepath.Join(path, fmt.Sprint(i), "in"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := newTree(t, path)
	r.limit = MaxIdle + 1 + 5*workers
	var everyone []*folder
	for i := range shared {
		above := r.enter(r.top, fmt.Sprint(i))
		everyone = append(everyone, r.enter(above, "in"), above)
	}
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			mine := make([]*folder, own)
			for range 3000 {
				switch i := rng.IntN(own); {
				case mine[i] == nil:
					mine[i] = r.enter(r.top, fmt.Sprint(shared+w*own+i))
				case rng.IntN(3) == 0:
					r.check(errors.Join(mine[i].Acquire(), mine[i].Leave(), mine[i].Release()))
					mine[i] = nil
				default:
					r.use(mine[i])
					r.use(everyone[rng.IntN(len(everyone))])
				}
			}
			mine = slices.DeleteFunc(mine, func(f *folder) bool { return f == nil })
			for _, f := range mine {
				r.check(f.Leave())
			}
		})
	}
	group.Wait()
	if len(r.idle) != int(r.open.Load())-1 { // the top is never idle
		t.Errorf("%d idle, %d open", len(r.idle), r.open.Load())
	}
	for _, f := range everyone {
		r.check(f.Leave())
	}
	r.check(r.top.Leave())
	r.over()
}

// Guards: a walk that ends early leaves nothing open.
func TestEarlyEnd(t *testing.T) {
	r := newTree(t, chain(t, 2*MaxIdle, 2))
	var folders atomic.Int64
	stop := errors.New("stop")
	err := r.walk(4, func(*folder) error {
		if folders.Add(1) > MaxIdle+20 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || r.open.Load() < 2 {
		t.Errorf("%v, %d folders open", err, r.open.Load())
	}
	r.check(r.CloseAll())
	r.over()
	r.check(r.CloseAll())
}

// Guards: the folder above one that was moved away is not taken for the folder it was in: the names lead there; and what
// the caller's check refuses stays closed, and can be opened when it is back.
func TestSwappedFolder(t *testing.T) {
	r := newTree(t, t.TempDir())
	move := func(from, to string) { r.check(os.Rename(filepath.Join(r.path, from), filepath.Join(r.path, to))) }
	mkdir := func(name string) { r.check(os.MkdirAll(filepath.Join(r.path, name), 0o755)) }
	mkdir("a/b")
	mkdir("other")
	a := r.enter(r.top, "a")
	b := r.enter(a, "b")
	move("a/b", "other/b")
	r.check(a.suspend())
	r.use(a)
	if below, names := r.below.Load(), r.byNames.Load(); below == 0 || names != 1 {
		t.Errorf("opened %d times from below, %d times by the names", below, names)
	}

	r.check(a.suspend())
	move("a", "away")
	mkdir("a")
	if err := a.Acquire(); !errors.Is(err, errOther) {
		t.Errorf("another folder in its place: %v", err)
	}
	if open, err := a.IfOpen(func() error { return errOther }); open || err != nil {
		t.Errorf("refused, but open: %v, %v", open, err)
	}
	r.check(os.Remove(filepath.Join(r.path, "a")))
	move("away", "a")
	r.use(a)

	r.check(b.Leave())
	r.check(a.Leave())
	r.check(r.top.Leave())
	r.over()
}

// Guards: a folder none of whose children is open is opened from one further below, and not by the names, and those
// between stay open as idle ones. Too far below nobody looks.
func TestOpenFromFurtherBelow(t *testing.T) {
	for _, c := range []struct{ steps, below, names, idle int }{
		{1, 1, 0, 1}, {maxSteps, maxSteps, 0, maxSteps}, {maxSteps + 1, 0, 1, 1},
	} {
		r := newTree(t, chain(t, c.steps+1, 0))
		line := []*folder{r.top}
		for i := range c.steps + 1 {
			line = append(line, r.enter(line[i], "on"))
		}
		for _, f := range line[1 : c.steps+1] {
			r.check(f.suspend())
		}
		r.check(line[1].Acquire())
		if below, names := int(r.below.Load()), int(r.byNames.Load()); below != c.below || names != c.names {
			t.Errorf("%d steps: opened %d times from below, %d times by the names", c.steps, below, names)
		}
		if len(r.idle) != c.idle {
			t.Errorf("%d steps: %d idle, want %d", c.steps, len(r.idle), c.idle)
		}
		r.check(line[1].Release())
		r.check(r.CloseAll())
		r.over()
	}
}

// Guards: of several folders below, an open one is taken before one that would have to be opened.
func TestOpenFromNearest(t *testing.T) {
	r := newTree(t, chain(t, 3, 1))
	a := r.enter(r.top, "on")
	r.enter(a, "side0")
	b := r.enter(a, "on")
	r.enter(b, "on")
	r.check(errors.Join(a.suspend(), b.suspend()))
	r.use(a)
	if below, names := r.below.Load(), r.byNames.Load(); below != 1 || names != 0 {
		t.Errorf("opened %d times from below, %d times by the names", below, names)
	}
	r.check(r.CloseAll())
}

// Guards: a folder that somebody acquires just before another worker closes it stays open, and so does one that is used
// twice at a time and released once.
func TestSuspendInUse(t *testing.T) {
	r := newTree(t, chain(t, 1, 0))
	f := r.enter(r.top, "on")
	r.check(errors.Join(f.Acquire(), f.Acquire()))
	for range 2 {
		r.check(f.suspend())
		if open, err := f.IfOpen(func() error { return nil }); !open || err != nil {
			t.Errorf("in use, but open %v, %v", open, err)
		}
		r.check(f.Release())
	}
	r.check(f.suspend())
	if r.open.Load() != 1 {
		t.Error("not closed")
	}
	r.check(r.CloseAll())
}

// Guards: leaving a folder opens the closed one above it, whether or not anybody had acquired it, and an error of the
// caller's functions is passed on.
func TestLeaveOpensParent(t *testing.T) {
	r := newTree(t, chain(t, 2, 0))
	a := r.enter(r.top, "on")
	b := r.enter(a, "on")
	r.check(a.suspend())
	r.check(b.Leave())
	var st fsat.Stat
	if open, err := a.IfOpen(func() error { return fsat.StatHandle(a.fd, &st) }); !open || err != nil || st != a.id {
		t.Errorf("open %v, %v", open, err)
	}
	if len(r.idle) != 1 || len(a.children) != 0 {
		t.Errorf("%d idle, %d children", len(r.idle), len(a.children))
	}
	b = r.enter(a, "on")
	r.check(a.suspend())
	r.OpenFrom = func(_, _ *folder) (bool, error) { return false, errOther }
	if err := a.Acquire(); !errors.Is(err, errOther) {
		t.Errorf("acquire: %v", err)
	}
	if err := b.Leave(); !errors.Is(err, errOther) {
		t.Errorf("leave: %v", err)
	}
	r.check(r.CloseAll())
	r.over()
}
