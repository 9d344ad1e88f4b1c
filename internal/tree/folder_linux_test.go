package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"snapcopy/internal/dirhandles"
	"snapcopy/internal/fsat"
)

// The trees of these tests: one whose folders have to be there, and an optional one.
const (
	must = iota
	may
)

// lab is two trees, walked side by side.
type lab struct {
	t    *testing.T
	path string // must is a folder of it, and so is may
	walk Walk
	top  Folder
}

func newLab(t *testing.T, folders ...string) *lab {
	l := &lab{t: t, path: t.TempDir()}
	for _, f := range folders {
		l.check(os.MkdirAll(filepath.Join(l.path, f), 0o777))
	}
	root := l.open(l.path)
	t.Cleanup(func() { l.check(fsat.Close(root)) })
	l.top.Put(must, l.open(filepath.Join(l.path, "must")), nil)
	l.top.Put(may, l.open(filepath.Join(l.path, "may")), nil)
	l.walk.Start(&l.top, Root{Dir: root, Path: "must", Op: "open in must"},
		Root{Dir: root, Path: "may", Op: "open in may", Optional: true})
	t.Cleanup(func() { l.check(l.walk.CloseAll()) })
	return l
}

func (l *lab) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) open(path string) int {
	l.t.Helper()
	fd, err := fsat.OpenRoot(path)
	l.check(err)
	return fd
}

// enter enters a folder below another one.
func (l *lab) enter(parent *Folder, name string) *Folder {
	l.t.Helper()
	l.check(parent.Acquire())
	f := new(Folder)
	f.Begin(parent, name)
	l.check(f.Open(must))
	_ = f.Open(may) // Lost says why
	var st fsat.Stat
	l.check(fsat.StatHandle(f.FD(must), &st))
	f.SetID(must, IDOf(&st))
	l.check(f.Enter())
	l.check(parent.Release())
	return f
}

// closeIdle makes the walk close the folders that nobody uses.
func (l *lab) closeIdle() {
	l.t.Helper()
	for i := range dirhandles.MaxIdle + 1 {
		name := fmt.Sprintf("idle%d", i)
		l.check(os.Mkdir(filepath.Join(l.path, "must", name), 0o777))
		l.enter(&l.top, name)
	}
}

// Guards: a folder is opened again in each tree that has it, by its names and from below.
func TestFolderIsOpenedAgain(t *testing.T) {
	l := newLab(t, "must/a/b/c", "may/a/b")
	a := l.enter(&l.top, "a")
	b := l.enter(a, "b")
	c := l.enter(b, "c")
	if c.FD(may) != fsat.NoDir || !errors.Is(c.Lost(may), fs.ErrNotExist) {
		t.Errorf("a folder that the optional tree lacks: handle %d, %v", c.FD(may), c.Lost(may))
	}
	l.closeIdle()
	for _, f := range []*Folder{c, b, a} { // c by its names, the others from below
		if f.FD(must) != fsat.NoDir || f.FD(may) != fsat.NoDir {
			t.Fatalf("%s is still open", f.Path())
		}
		l.check(f.Acquire())
		if f.FD(must) == fsat.NoDir || (f.FD(may) == fsat.NoDir) != (f == c) {
			t.Errorf("%s: handles %d, %d", f.Path(), f.FD(must), f.FD(may))
		}
		var here, there fsat.Stat
		l.check(fsat.StatHandle(f.FD(must), &here))
		l.check(fsat.StatAt(l.top.FD(must), f.Path(), &there))
		if !here.SameFile(&there) {
			t.Errorf("%s is another folder", f.Path())
		}
		l.check(f.Release())
	}
}

// Guards: the handle of another folder is never taken for that of the one that was entered.
func TestFolderThatWasReplaced(t *testing.T) {
	l := newLab(t, "must/a/b", "may/a")
	a := l.enter(&l.top, "a")
	b := l.enter(a, "b")
	l.closeIdle()
	l.check(os.Rename(filepath.Join(l.path, "must/a/b"), filepath.Join(l.path, "must/b")))
	l.check(os.Mkdir(filepath.Join(l.path, "must/a/b"), 0o777))
	err := b.Acquire()
	if !errors.Is(err, ErrMoved) || !strings.Contains(err.Error(), "open in must a/b: ") {
		t.Errorf("a folder in the place of another: %v", err)
	}
	l.check(os.Remove(filepath.Join(l.path, "must/a/b")))
	if err := b.Acquire(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is gone: %v", err)
	}
	if _, err := b.Again(must); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is gone, once more: %v", err)
	}
	l.check(os.Rename(filepath.Join(l.path, "must/b"), filepath.Join(l.path, "must/a/b")))
	l.check(b.Acquire())
	l.check(b.Release())
}

// Guards: what an optional tree lost says why, and is not looked for again.
func TestFolderThatIsLost(t *testing.T) {
	l := newLab(t, "must/a/b", "may/a/b")
	a := l.enter(&l.top, "a")
	l.closeIdle()
	l.check(os.RemoveAll(filepath.Join(l.path, "may/a")))
	l.check(a.Acquire())
	if err := a.Lost(may); a.FD(may) != fsat.NoDir || !errors.Is(err, fs.ErrNotExist) ||
		!strings.HasPrefix(err.Error(), "open in may: ") {
		t.Errorf("handle %d, %v", a.FD(may), err)
	}
	b := l.enter(a, "b")
	if b.FD(may) != fsat.NoDir || b.Lost(may) != a.Lost(may) {
		t.Errorf("below: handle %d, %v", b.FD(may), b.Lost(may))
	}
	l.check(a.Release())
	l.check(b.Leave())
	l.check(a.Leave())
}

// Guards: paths, those of bases, too.
func TestFolderPaths(t *testing.T) {
	l := newLab(t, "must/x/y/a/b", "may/a/b")
	var base Folder
	base.BeginBase(&l.top, "x/y", "")
	l.check(base.Open(must))
	l.check(base.Open(may))
	l.check(base.Enter())
	a := l.enter(&base, "a")
	b := l.enter(a, "b")
	for _, c := range []struct {
		f           *Folder
		must, may   string
		child, name string
	}{
		{&l.top, "", "", "n", ""},
		{&base, "x/y", "", "x/y/n", ""},
		{a, "x/y/a", "a", "x/y/a/n", "a"},
		{b, "x/y/a/b", "a/b", "x/y/a/b/n", "b"},
	} {
		if c.f.Path() != c.must || c.f.PathIn(may) != c.may || c.f.Child("n") != c.child || c.f.Name() != c.name {
			t.Errorf("%q, %q, %q, %q; want %v", c.f.Path(), c.f.PathIn(may), c.f.Child("n"), c.f.Name(), c)
		}
	}
	l.closeIdle()
	for _, f := range []*Folder{b, &base} {
		l.check(f.Acquire())
		if f.FD(must) == fsat.NoDir || f.FD(may) == fsat.NoDir {
			t.Errorf("%q: handles %d, %d", f.Path(), f.FD(must), f.FD(may))
		}
		l.check(f.Release())
	}
	l.check(b.Leave())
	for _, root := range []int{must, may} { // after it was left, too
		fd, err := b.Again(root)
		l.check(err)
		l.check(fsat.Close(fd))
	}
}
