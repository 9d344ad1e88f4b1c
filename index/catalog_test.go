package index

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// genNode draws a directory tree with everything the format can hold.
func genNode(t *rapid.T, name string, typ Type, depth int) *node {
	n := &node{entry: Entry{
		Name: name, Type: typ,
		Mode:  rapid.Uint32Range(0, 0o7777).Draw(t, "mode"),
		UID:   rapid.Uint32().Draw(t, "uid"),
		GID:   rapid.Uint32().Draw(t, "gid"),
		Mtime: genTime(t),
		Ctime: genTime(t),
		Dev:   rapid.Uint32Range(0, 3).Draw(t, "dev"),
		Ino:   rapid.Uint64().Draw(t, "ino"),
		Flags: Flags(rapid.Uint32Range(0, uint32(allFlags)).Draw(t, "flags")),
	}}
	if n.entry.Flags&Kept != 0 && name != "" {
		n.entry.AsOf = rapid.SampledFrom([]string{"2026-11-19T020000Z", "2026-11-20T020000Z"}).Draw(t, "as of")
	} else {
		n.entry.Flags &^= Kept
	}
	n.entry.Stored = rapid.Uint64().Draw(t, "stored")
	if typ != Dir {
		n.entry.Nlink = rapid.Uint32().Draw(t, "nlink")
	}
	switch typ {
	case File:
		n.entry.Size = rapid.Uint64().Draw(t, "size")
		n.entry.Hash = genHash(t)
	case Symlink:
		n.entry.Target = rapid.StringN(0, 40, 80).Draw(t, "target")
		n.entry.Size = uint64(len(n.entry.Target))
	case CharDevice, BlockDevice:
		n.entry.Major = rapid.Uint32().Draw(t, "major")
		n.entry.Minor = rapid.Uint32().Draw(t, "minor")
	case Dir:
		if depth == 0 {
			break
		}
		for _, name := range rapid.SliceOfNDistinct(genName, 0, 8, rapid.ID).Draw(t, "names") {
			typ := Type(rapid.IntRange(int(File), int(BlockDevice)).Draw(t, "type"))
			n.children = append(n.children, genNode(t, name, typ, depth-1))
		}
		n.sort()
	}
	if rapid.IntRange(0, 3).Draw(t, "has xattrs") == 0 {
		for _, name := range rapid.SliceOfNDistinct(rapid.StringN(1, 8, 16).Filter(func(s string) bool {
			return !strings.Contains(s, "\x00")
		}), 1, 3, rapid.ID).Draw(t, "xattrs") {
			value := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "value")
			n.xattrs = append(n.xattrs, Xattr{Name: name, Value: value})
		}
	}
	return n
}

func genTime(t *rapid.T) Time {
	return Time{Sec: rapid.Int64().Draw(t, "sec"), Nsec: rapid.Uint32Range(0, 999_999_999).Draw(t, "nsec")}
}

func genHash(t *rapid.T) (h Hash) {
	copy(h[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
	return h
}

var genName = rapid.OneOf(
	rapid.StringMatching(`[a-c]{1,3}`),
	rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 12), func(b []byte) string { return string(b) }),
).Filter(validName)

func genSummary(t *rapid.T) Summary {
	s := Summary{
		Snapshot: rapid.String().Draw(t, "snapshot"), Start: genTime(t), End: genTime(t),
		Source: rapid.String().Draw(t, "source"), Host: "host", Previous: "p",
		Anchor: rapid.Uint64().Draw(t, "anchor"), Granularity: 1, Incomplete: rapid.Bool().Draw(t, "incomplete"),
	}
	for i, v := range s.Counts.fields() {
		*v = uint64(i) * 1000
	}
	return s
}

// Whatever is written, in whatever order and by however many goroutines, reads back equal.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		root := genNode(rt, "", Dir, 3)
		summary := genSummary(rt)
		devices := rapid.SliceOfN(rapid.Uint64(), 0, 3).Draw(rt, "devices")
		path := filepath.Join(dir, "c")
		writeTree(t, path, root, devices, summary, 4)
		c, err := Open(path)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := c.Close(); err != nil {
				rt.Error(err)
			}
		}()
		if err := c.Check(context.Background()); err != nil {
			rt.Fatal(err)
		}
		if c.Root() != root.entry || c.Summary() != summary || !slices.Equal(c.Devices(), devices) {
			rt.Fatalf("root %+v\nsummary %+v\ndevices %v", c.Root(), c.Summary(), c.Devices())
		}
		equalTree(rt, c, root)
	})
}

// equalTree compares everything below the root, through every way of reading.
func equalTree(t interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}, c *Catalog, root *node) {
	t.Helper()
	type visit struct {
		dir string
		n   *node
	}
	var want []visit
	root.all("", func(dir string, n *node) { want = append(want, visit{dir, n}) })
	err := c.Walk(func(dir string, r *Record, e *Entry) error {
		if len(want) == 0 {
			return fmt.Errorf("%s/%q is too much", dir, e.Name)
		}
		w := want[0]
		want = want[1:]
		if dir != w.dir || *e != w.n.entry {
			return fmt.Errorf("got %q %+v\nwant %q %+v", dir, *e, w.dir, w.n.entry)
		}
		set, err := c.Xattrs(e.Xattrs)
		if err != nil || fmt.Sprint(set) != fmt.Sprint(sorted(w.n.xattrs)) {
			return fmt.Errorf("%q: xattrs %v, %v; want %v", e.Name, set, err, w.n.xattrs)
		}
		if found, ok := r.Find(e.Name); !ok || found != *e {
			return fmt.Errorf("find %q: %+v %v", e.Name, found, ok)
		}
		if _, ok := r.Find(e.Name + "/"); ok {
			return fmt.Errorf("found a name that is not there")
		}
		looked, ok, err := c.Lookup(Join(dir, e.Name))
		if err != nil || !ok || looked != *e {
			return fmt.Errorf("lookup %q: %+v %v %v", e.Name, looked, ok, err)
		}
		if path, err := c.Path(r.ID()); err != nil || path != dir {
			return fmt.Errorf("path of %d: %q %v, want %q", r.ID(), path, err, dir)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(want) > 0 {
		t.Fatalf("%d entries are missing, the first is %+v", len(want), want[0].n.entry)
	}
}

func sorted(set []Xattr) []Xattr {
	return slices.SortedFunc(slices.Values(set), func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
}

// A hash says what a directory holds, not when or where it was written.
func TestHashIsOfContentOnly(t *testing.T) {
	dir := t.TempDir()
	hash := func(seed uint64, workers int, change func(*node)) Hash {
		root := makeTree(seed, 3000)
		root.all("", func(_ string, n *node) { change(n) })
		path := filepath.Join(dir, "c")
		writeTree(t, path, root, nil, Summary{}, workers)
		return openCatalog(t, path).Root().Hash
	}
	plain := hash(1, 1, func(*node) {})
	for workers := range 5 {
		if got := hash(1, workers, func(*node) {}); got != plain {
			t.Errorf("with %d workers the hash differs", workers)
		}
	}
	private := hash(1, 1, func(n *node) {
		e := &n.entry
		e.Ino, e.Stored, e.Dev, e.Ctime, e.Flags = e.Ino+1, e.Stored+1, 1, Time{Sec: 1, Nsec: 1}, Racy
	})
	if private != plain {
		t.Error("the hash depends on where the entries were or are stored")
	}
	for name, change := range map[string]func(*Entry){
		"mode":  func(e *Entry) { e.Mode ^= 1 },
		"uid":   func(e *Entry) { e.UID++ },
		"gid":   func(e *Entry) { e.GID++ },
		"sec":   func(e *Entry) { e.Mtime.Sec++ },
		"nsec":  func(e *Entry) { e.Mtime.Nsec ^= 1 },
		"size":  func(e *Entry) { e.Size++ },
		"nlink": func(e *Entry) { e.Nlink++ },
		"hash":  func(e *Entry) { e.Hash[31] ^= 1 },
		"name":  func(e *Entry) { e.Name += "x" },
	} {
		done := false
		got := hash(1, 1, func(n *node) {
			// Deep in the tree: the change has to reach the root through every directory on the way.
			if !done && n.entry.Type == File && n.entry.Ino > 2500 {
				change(&n.entry)
				done = true
			}
		})
		if got == plain {
			t.Errorf("the hash does not depend on the %s", name)
		}
	}
}

func TestEqualSubtreesHaveEqualHash(t *testing.T) {
	root := &node{entry: Entry{Type: Dir}}
	for _, name := range []string{"a", "b"} {
		sub := makeTree(7, 500)
		sub.entry.Name = name
		root.children = append(root.children, sub)
	}
	other := makeTree(8, 500)
	other.entry.Name = "c"
	root.children = append(root.children, other)
	c := tempCatalog(t, root)
	a, _, errA := c.Lookup("a")
	b, _, errB := c.Lookup("b")
	d, _, errD := c.Lookup("c")
	if err := errors.Join(errA, errB, errD); err != nil {
		t.Fatal(err)
	}
	if a.Hash != b.Hash || a.Below != b.Below || a.Child == b.Child {
		t.Errorf("equal subtrees: %+v and %+v", a, b)
	}
	if a.Hash == d.Hash {
		t.Error("different subtrees have the same hash")
	}
}

// Records, rows and sets that are longer than a block, or end at any place in one.
func TestLargeDirectory(t *testing.T) {
	root := &node{entry: Entry{Type: Dir}}
	for i := range 20_000 {
		n := &node{entry: Entry{Name: fmt.Sprintf("name-%06d", i*3), Type: File, Hash: Hash{byte(i), byte(i >> 8)}}}
		if i%4 == 0 {
			n.entry.Type, n.entry.Hash = Dir, Hash{}
			n.entry.Name += strings.Repeat("d", i%200)
		}
		if i%97 == 0 {
			n.xattrs = []Xattr{{Name: "user.big", Value: []byte(strings.Repeat("v", i))}}
		}
		root.children = append(root.children, n)
	}
	c := tempCatalog(t, root)
	if err := c.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(c.tail.dirs.blocks); n < 4 {
		t.Fatalf("only %d blocks of rows", n)
	}
	r, err := c.ReadDir(c.Root().Child)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < r.Len(); i += 61 {
		want := root.children[i].entry
		if e, ok := r.At(i); !ok || e != want {
			t.Fatalf("entry %d: %+v %v, want %+v", i, e, ok, want)
		}
		if e, ok := r.Find(want.Name); !ok || e != want {
			t.Fatalf("find %q: %+v %v", want.Name, e, ok)
		}
		if _, ok := r.Find(want.Name[:8]); ok {
			t.Fatal("found the beginning of a name")
		}
	}
	for _, i := range []int{-1, r.Len()} {
		if _, ok := r.At(i); ok {
			t.Errorf("an entry at %d", i)
		}
	}
	for i, want := range root.children {
		if want.entry.Xattrs == 0 {
			continue
		}
		set, err := c.Xattrs(want.entry.Xattrs)
		if err != nil || len(set) != 1 || len(set[0].Value) != i {
			t.Fatalf("xattrs of entry %d: %d of them, %v", i, len(set), err)
		}
	}
}

func TestFindByDirectoryNumber(t *testing.T) {
	root := makeTree(3, 2000)
	c := tempCatalog(t, root)
	seen := make(map[DirID]bool)
	err := c.Walk(func(dir string, r *Record, e *Entry) error {
		if e.Type == Dir || seen[r.ID()] {
			return nil
		}
		seen[r.ID()] = true
		got, err := c.dir(r.ID())
		if err != nil {
			return err
		}
		for i, want := range got.Entries() {
			if have, ok, err := c.At(r.ID(), uint32(i)); err != nil || !ok || have != *want {
				t.Fatalf("%d/%d: %+v %v %v", r.ID(), i, have, ok, err)
			}
		}
		return nil
	})
	if err != nil || len(seen) == 0 {
		t.Fatal(len(seen), err)
	}
	if _, err := c.dir(DirID(c.tail.dirs.rows)); err == nil {
		t.Error("a directory beyond the last")
	}
	if _, err := c.Path(math.MaxUint32); err == nil {
		t.Error("a path beyond the last directory")
	}
	if _, ok, err := c.At(0, 1<<20); ok || err != nil {
		t.Error("an entry beyond the last", ok, err)
	}
}

func TestLookup(t *testing.T) {
	file := &node{entry: Entry{Name: "f", Type: File, Size: 3}}
	dir := &node{entry: Entry{Name: "d", Type: Dir}, children: []*node{file}}
	c := tempCatalog(t, &node{entry: Entry{Type: Dir}, children: []*node{dir}})
	for path, want := range map[string]bool{
		"": true, "d": true, "d/f": true, "d/f/x": false, "f": false, "/": false, "d/": false, "/d": false, "d//f": false,
		".": false, "d/..": false,
	} {
		e, ok, err := c.Lookup(path)
		if ok != want || err != nil {
			t.Errorf("lookup %q: %+v %v %v", path, e, ok, err)
		}
	}
}

func TestWalkEnds(t *testing.T) {
	root := &node{entry: Entry{Type: Dir}}
	for _, name := range []string{"a", "b", "c"} {
		d := &node{entry: Entry{Name: name, Type: Dir}}
		for _, name := range []string{"1", "2"} {
			d.children = append(d.children, &node{entry: Entry{Name: name, Type: File}})
		}
		root.children = append(root.children, d)
	}
	c := tempCatalog(t, root)
	for stop, want := range map[string]struct {
		with    error
		visited string
	}{
		"b":   {SkipAll, "a a/1 a/2 b"},
		"b/2": {SkipAll, "a a/1 a/2 b b/1 b/2"},
		"a":   {io.ErrClosedPipe, "a"},
	} {
		var visited []string
		err := c.Walk(func(dir string, _ *Record, e *Entry) error {
			visited = append(visited, Join(dir, e.Name))
			if Join(dir, e.Name) == stop {
				return want.with
			}
			return nil
		})
		if got := strings.Join(visited, " "); got != want.visited {
			t.Errorf("%v at %s: visited %s", want.with, stop, got)
		}
		if wantErr := want.with == io.ErrClosedPipe; wantErr != (err != nil) {
			t.Errorf("%v at %s: %v", want.with, stop, err)
		}
	}
}

// A directory that vanished between its name and its content has a row, but no record.
func TestVanishedDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	must := func(id DirID, err error) DirID {
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	rootID := must(w.StartDir(9, "ignored"))
	gone := must(w.StartDir(rootID, "gone"))
	root := Entry{Type: Dir}
	if err = w.AddDir(rootID, nil, &root); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(root, nil, Summary{}); err != nil {
		t.Fatal(err)
	}
	c := openCatalog(t, path)
	if err := c.Check(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := c.dir(gone); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("record of a vanished directory: %v", err)
	}
	if _, ok, err := c.At(gone, 0); ok || err != nil {
		t.Errorf("entry of a vanished directory: %v %v", ok, err)
	}
	if got, err := c.Path(gone); got != "gone" || err != nil {
		t.Errorf("path %q %v", got, err)
	}
}

func TestWriterRefuses(t *testing.T) {
	w, err := NewWriter(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.AddDir(0, nil, new(Entry)); err == nil {
		t.Error("a record without a directory")
	}
	if _, err := w.StartDir(0, ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "a/b", "a\x00b", strings.Repeat("x", maxName+1)} {
		if _, err := w.StartDir(0, name); err == nil {
			t.Errorf("directory %.10q", name)
		}
		if err := w.AddDir(0, []Entry{{Name: name, Type: File}}, new(Entry)); err == nil {
			t.Errorf("file %.10q", name)
		}
	}
	if _, err := w.StartDir(1, "a"); err == nil {
		t.Error("a directory before its parent")
	}
	for name, entries := range map[string][]Entry{
		"order":    {{Name: "b", Type: File}, {Name: "a", Type: File}},
		"twice":    {{Name: "a", Type: File}, {Name: "a", Type: File}},
		"no type":  {{Name: "a"}},
		"type":     {{Name: "a", Type: BlockDevice + 1}},
		"mode":     {{Name: "a", Type: File, Mode: 0o10000}},
		"flags":    {{Name: "a", Type: File, Flags: allFlags + 1}},
		"mtime":    {{Name: "a", Type: File, Mtime: Time{Nsec: 1e9}}},
		"ctime":    {{Name: "a", Type: File, Ctime: Time{Nsec: 1e9}}},
		"no child": {{Name: "a", Type: Dir}},
		"child":    {{Name: "a", Type: Dir, Child: 1, Space: 1}},
		"hash":     {{Name: "a", Type: File, XattrHash: Hash{1}}},
		"ref":      {{Name: "a", Type: File, Xattrs: 1}},
		"sets":     {{Name: "a", Type: File, Xattrs: 1, XattrHash: Hash{1}}},
	} {
		if err := w.AddDir(0, entries, new(Entry)); err == nil {
			t.Errorf("entries with wrong %s", name)
		}
	}
	for _, set := range [][]Xattr{{{}}, {{Name: "a\x00"}}, {{Name: "a"}, {Name: "a"}}} {
		if _, _, err := w.AddXattrs(set); err == nil {
			t.Errorf("set %v", set)
		}
	}
	if err := w.Finish(Entry{Type: Dir, Child: 1, Space: 1}, nil, Summary{}); err == nil {
		t.Error("a root without a record")
	}

	// None of these refusals has spoiled the catalog.
	root := Entry{Type: Dir}
	if err := w.AddDir(0, nil, &root); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(root, nil, Summary{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.StartDir(0, "a"); err == nil {
		t.Error("a directory after the end")
	}
}

// An xattr set is stored once, whatever the order it comes in.
func TestXattrsOnce(t *testing.T) {
	w, err := NewWriter(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	set := []Xattr{{Name: "b", Value: []byte("2")}, {Name: "a", Value: []byte("1")}}
	ref, h, err := w.AddXattrs(set)
	if err != nil || ref == 0 || h == (Hash{}) {
		t.Fatal(ref, h, err)
	}
	if set[0].Name != "b" {
		t.Error("the caller's set was changed")
	}
	slices.Reverse(set)
	if again, h2, err := w.AddXattrs(set); again != ref || h2 != h || err != nil {
		t.Error("the same set got", again, err)
	}
	if ref, h, err := w.AddXattrs(nil); ref != 0 || h != (Hash{}) || err != nil {
		t.Error("the empty set got", ref, h, err)
	}
}

// failAfter fails once it has taken n bytes.
type failAfter struct{ n int }

func (w *failAfter) Write(b []byte) (int, error) {
	if w.n -= len(b); w.n < 0 {
		return 0, io.ErrShortWrite
	}
	return len(b), nil
}

func TestWriteErrorsStick(t *testing.T) {
	for n := range 400 {
		w, err := NewWriter(&failAfter{n})
		if err == nil {
			root := goldenTree()
			if err = writeDir(w, root, 0, nil); err == nil {
				err = w.Finish(root.entry, nil, Summary{})
			}
		}
		if !errors.Is(err, io.ErrShortWrite) {
			t.Fatalf("write that fails after %d bytes: %v", n, err)
		}
		if w != nil {
			if err := w.Finish(Entry{Type: Dir, Child: 1, Space: 1}, nil, Summary{}); !errors.Is(err, io.ErrShortWrite) {
				t.Fatalf("the error after %d bytes did not stick: %v", n, err)
			}
		}
	}
}

// Reading does not allocate for an entry: a name is a view of the record.
func TestNoAllocationPerEntry(t *testing.T) {
	c := tempCatalog(t, goldenTree())
	dir, _, err := c.Lookup("2\xfe")
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.ReadDir(dir.Child)
	if err != nil {
		t.Fatal(err)
	}
	var e Entry
	allocs := testing.AllocsPerRun(20, func() {
		for cur := r.Cursor(); cur.Next(&e); {
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations for %d entries", allocs, r.Len())
	}
	if allocs := testing.AllocsPerRun(20, func() {
		if _, err := c.ReadDir(dir.Child); err != nil {
			t.Error(err)
		}
	}); allocs > 5 {
		t.Errorf("%v allocations for a record of %d entries", allocs, r.Len())
	}
}
