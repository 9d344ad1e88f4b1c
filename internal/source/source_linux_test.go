package source_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/filter"
	"snapcopy/internal/fsat"
	"snapcopy/internal/source"
	"snapcopy/internal/testtree"
)

func TestMain(m *testing.M) { archivetest.Main(m) }

const tree = `
dir d 0750 mtime=5.5 xattr.user.d="1"
dir d/e 0700
file d/f 0644 "text" mtime=1000.25 xattr.user.note="hello"
link d/g d/f
file "odd\n\xff" 0600 random=100000:1
file sparse 0644 "head" at=900000:tail hole=500000
symlink s "to\xffwhere"
fifo p 0640
`

// kinds opens a folder and a snapshot of it as sources.
func kinds(t *testing.T) (folder, snapshot source.Source, src string) {
	t.Helper()
	l := archivetest.New(t)
	l.Build(tree)
	testtree.Settle()
	rep := l.Run()
	local, err := source.OpenLocal(l.Src, new(filter.Filter))
	if err != nil {
		t.Fatal(err)
	}
	a := l.Open()
	catalog, err := index.Open(a.CatalogPath(rep.Snapshot))
	if err != nil {
		t.Fatal(err)
	}
	s, err := source.OpenSnapshot(a.Root, rep.Snapshot, catalog)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(local.Close(), s.Close(), a.Close()); err != nil {
			t.Error(err)
		}
	})
	return local, s, l.Src
}

// Guards: a snapshot says of every entry what the folder says of which it is one.
func TestKindsAgree(t *testing.T) {
	folder, snapshot, _ := kinds(t)
	a, err := folder.Top()
	if err != nil {
		t.Fatal(err)
	}
	b, err := snapshot.Top()
	if err != nil {
		t.Fatal(err)
	}
	if n := agree(t, "", a, b); n != 8 {
		t.Errorf("%d entries were compared", n)
	}
}

// agree compares two folders, and closes them.
func agree(t *testing.T, path string, a, b source.Folder) (entries int) {
	t.Helper()
	buf := make([]byte, 64<<10)
	names, err := a.List(buf)
	also, err2 := b.List(buf)
	if err != nil || err2 != nil || !slices.Equal(names, also) {
		t.Fatalf("%q: %v, %v; %v, %v", path, names, err, also, err2)
	}
	if again, err := a.List(buf); err != nil || !slices.Equal(names, again) {
		t.Errorf("%q listed again: %v, %v", path, again, err)
	}
	sameMetadata(t, path, a.Metadata("", nil), b.Metadata("", nil))
	for _, part := range [][]fsat.DirEntry{names, names[len(names)/2:], append(slices.Clone(names[:1]), fsat.DirEntry{Name: "zz"})} {
		x, y := make([]source.Stat, len(part)), make([]source.Stat, len(part))
		if len(part) == 0 {
			continue
		}
		a.Look(part, x)
		b.Look(part, y)
		for i := range part {
			if part[i].Type == fsat.Directory {
				continue
			}
			if fsat.IsGone(x[i].Err) != fsat.IsGone(y[i].Err) || x[i].Err == nil && !alike(&x[i], &y[i]) {
				t.Errorf("%s/%q:\n%+v\n%+v", path, part[i].Name, x[i], y[i])
			}
		}
	}
	for _, name := range names {
		entries++
		if name.Type == fsat.Directory {
			entries += agreeBelow(t, path+"/"+name.Name, name.Name, a, b)
			continue
		}
		var x, y source.Stat
		if err := errors.Join(source.LookAt(a, name.Name, &x), source.LookAt(b, name.Name, &y)); err != nil {
			t.Fatal(err)
		}
		sameMetadata(t, name.Name, a.Metadata(name.Name, &x), b.Metadata(name.Name, &y))
		if x.Type == fsat.Regular {
			sameFile(t, name.Name, a, b)
		}
	}
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	return entries
}

// agreeBelow goes down, with the folders above closed meanwhile.
func agreeBelow(t *testing.T, path, name string, a, b source.Folder) int {
	t.Helper()
	x, err := a.Open(name)
	y, err2 := b.Open(name)
	var from, to source.Stat
	if err := errors.Join(err, err2, x.Stat(&from), y.Stat(&to)); err != nil {
		t.Fatal(err)
	}
	if !alike(&from, &to) {
		t.Errorf("%q:\n%+v\n%+v", path, from, to)
	}
	above := strings.TrimPrefix(strings.TrimSuffix(path, "/"+name), "/")
	if err := errors.Join(a.Close(), b.Close(), a.Reopen(above, x), b.Reopen(above, y)); err != nil {
		t.Fatal(err)
	}
	n := agree(t, path, x, y)
	if err := errors.Join(a.Close(), b.Close(), a.Reopen(above, nil), b.Reopen(above, nil)); err != nil {
		t.Fatal(err)
	}
	return n
}

// alike compares what both kinds tell.
func alike(a, b *source.Stat) bool {
	x, y := a.Stat, b.Stat
	for _, st := range []*fsat.Stat{&x, &y} {
		st.Mount, st.Blocks, st.BlockLen, st.Btime, st.Attrs, st.AttrsTold, st.Mounted = 0, 0, 0, fsat.Time{}, 0, 0, false
		if st.Type == fsat.Directory {
			st.Nlink, st.Size = 0, 0
		}
	}
	return x == y && a.Flags == b.Flags && a.Known == nil && b.Known != nil
}

func sameMetadata(t *testing.T, name string, a, b source.Metadata) {
	t.Helper()
	if err := errors.Join(a.Err, b.Err, a.TargetErr, b.TargetErr); err != nil {
		t.Errorf("%q: %v", name, err)
	}
	if a.Target != b.Target || !slices.EqualFunc(a.Xattrs, b.Xattrs, func(x, y fsat.Xattr) bool {
		return x.Name == y.Name && bytes.Equal(x.Value, y.Value)
	}) {
		t.Errorf("%q: %+v, %+v", name, a, b)
	}
}

func sameFile(t *testing.T, name string, a, b source.Folder) {
	t.Helper()
	var contents [2][32]byte
	var holes [2]bool
	for i, f := range []source.Folder{a, b} {
		var st source.Stat
		file, err := f.OpenFile(name, &st)
		if err != nil {
			t.Fatal(err)
		}
		holes[i] = file.HasHoles(st.Size)
		copier := filecopy.Copier{Buf: make([]byte, 4096)}
		n, hash, err := file.CopyTo(context.Background(), &copier, filecopy.NoFile, st.Size, holes[i])
		if contents[i] = hash; err != nil || n != st.Size || st.Known != nil && st.Known.Hash != hash {
			t.Errorf("%q: %d bytes, %v", name, n, err)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	if contents[0] != contents[1] || holes[0] != holes[1] {
		t.Errorf("%q: contents or holes differ: %v", name, holes)
	}
}

// Guards: a folder that was moved is not read on as if it were where it was, and a name that is gone is told as gone.
func TestLocalMoves(t *testing.T) {
	folder, _, src := kinds(t)
	top, err := folder.Top()
	if err != nil {
		t.Fatal(err)
	}
	d, err := top.Open("d")
	var st source.Stat
	if err := errors.Join(err, d.Stat(&st), d.Close(), os.Rename(src+"/d", src+"/x"), os.Mkdir(src+"/d", 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := d.Reopen("d", nil); !errors.Is(err, source.ErrMoved) {
		t.Errorf("reopened by its path: %v", err)
	}
	if err := d.Reopen("x", nil); err != nil {
		t.Errorf("reopened where it is: %v", err)
	}
	if err := source.LookAt(d, "none", &st); !fsat.IsGone(err) {
		t.Errorf("look at what is not there: %v", err)
	}
	if err := folder.Find("x", "f", &st); err != nil || st.Size != 4 {
		t.Errorf("find: %v, %d bytes", err, st.Size)
	}
	if err := errors.Join(d.Close(), top.Close()); err != nil {
		t.Error(err)
	}
}
