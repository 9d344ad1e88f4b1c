package index

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// storedFile is what a test knows about a stored file.
type storedFile struct {
	e   Entry
	loc Location
}

// addition makes a stored file with one of few contents and metadata, so that they meet often.
func addition(stored uint64, content, meta int, dir DirID, pos uint32) storedFile {
	e := Entry{Type: File, Name: "f", Mode: uint32(meta), Stored: stored, Mtime: Time{Sec: int64(meta)},
		Size: largeSize + uint64(content) - 1}
	e.Hash = hashOf([]byte{byte(content), byte(content >> 8)})
	return storedFile{e, Location{Dir: dir, Entry: pos, Stored: stored, Meta: MetaFingerprint(&e)}}
}

func openIndex(t testing.TB, path string) *Index {
	t.Helper()
	x, err := OpenIndex(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// mergeInto adds files to a Builder and merges them with old into path.
func mergeInto(t testing.TB, old *Index, snapshot, path string, limit int, files []storedFile) *Index {
	t.Helper()
	b := NewBuilder(t.TempDir())
	b.sorter.Limit = limit
	for i := range files {
		b.Add(&files[i].e, files[i].loc.Dir, files[i].loc.Entry)
	}
	if b.Len() != len(files) {
		t.Fatalf("builder has %d, want %d", b.Len(), len(files))
	}
	if err := b.Merge(old, snapshot, path); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(b.sorter.Dir); err != nil || len(left) > 0 {
		t.Fatalf("temporary files are left: %v %v", left, err)
	}
	return openIndex(t, path)
}

// Merging any additions in any number of runs gives an index that holds exactly them.
func TestIndexModel(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		path := filepath.Join(base, "index")
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			rt.Fatal(err)
		}
		want := map[uint64]storedFile{}
		var x *Index
		stored := uint64(0)
		for run := range rapid.IntRange(1, 4).Draw(rt, "runs") {
			snapshot := fmt.Sprintf("s%d", run)
			var files []storedFile
			for range rapid.IntRange(0, 120).Draw(rt, "additions") {
				stored++
				f := addition(stored, rapid.IntRange(0, 5).Draw(rt, "content"), rapid.IntRange(0, 3).Draw(rt, "meta"),
					DirID(stored*3), uint32(stored*5))
				f.loc.Snapshot = snapshot
				files = append(files, f)
				want[stored] = f
			}
			for s, f := range want {
				// The same stored file again, under another name: the new location counts.
				if s%7 == 0 && f.loc.Snapshot != snapshot {
					f.loc.Dir += 1000
					f.loc.Snapshot = snapshot
					files = append(files, f)
					want[s] = f
				}
			}
			x = mergeInto(t, x, snapshot, path, rapid.SampledFrom([]int{3, 50, 1000}).Draw(rt, "limit"), files)
		}
		if err := x.Check(context.Background()); err != nil {
			rt.Fatal(err)
		}
		if x.Len() != uint64(len(want)) {
			rt.Fatalf("%d records, want %d", x.Len(), len(want))
		}
		equalIndex(rt, x, want)
	})
}

func equalIndex(t *rapid.T, x *Index, want map[uint64]storedFile) {
	found := 0
	for content := range 7 {
		h := addition(0, content, 0, 0, 0).e.Hash
		err := x.Lookup(h, func(loc Location) bool {
			found++
			if f := want[loc.Stored]; f.loc != loc || f.e.Hash != h {
				t.Fatalf("got %+v, want %+v", loc, f.loc)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		for meta := range 4 {
			print := addition(0, content, meta, 0, 0).loc.Meta
			n, all := 0, 0
			err := x.LookupMeta(h, print, func(loc Location) bool {
				n++
				if loc.Meta != print || want[loc.Stored].e.Hash != h {
					t.Fatalf("looked for %x, got %+v", print, loc)
				}
				return true
			})
			for _, f := range want {
				if f.e.Hash == h && f.loc.Meta == print {
					all++
				}
			}
			if err != nil || n != all {
				t.Fatalf("%d of %d with content and metadata, %v", n, all, err)
			}
		}
	}
	if found != len(want) {
		t.Fatalf("found %d of %d", found, len(want))
	}
	for _, f := range want {
		if !x.MayHave(&f.e) {
			t.Fatalf("the Bloom filter denies %+v", f.e)
		}
	}
}

// Many stored files with one content, on several pages, at every alignment.
func TestDuplicatesSpanPages(t *testing.T) {
	for _, before := range []int{0, 1, 84, 85, 86, 170} {
		for _, same := range []int{1, 84, 85, 86, 300, 2000} {
			var files []storedFile
			low, high := Hash{0x40}, Hash{0x40, 31: 1} // equal in what the index keeps, one after the other
			target := Hash{0x80, 1}
			near := Hash{0x80, 1, 19: 1} // the same key of the page table, another hash
			for i := range before {
				f := addition(uint64(i+1), 0, 0, 1, uint32(i))
				f.e.Hash = []Hash{low, high}[i%2]
				files = append(files, f)
			}
			for i := range same {
				f := addition(uint64(i+10_000), 0, i/100, 2, uint32(i))
				f.e.Hash = target
				g := addition(uint64(i+20_000), 0, 0, 3, uint32(i))
				g.e.Hash = near
				files = append(files, f, g)
			}
			x := mergeInto(t, nil, "s", filepath.Join(t.TempDir(), "index"), 64, files)
			if err := x.Check(context.Background()); err != nil {
				t.Fatal(err)
			}
			count := func(h Hash) (n int) {
				if err := x.Lookup(h, func(Location) bool { n++; return true }); err != nil {
					t.Fatal(err)
				}
				return n
			}
			if n := count(target); n != same {
				t.Errorf("%d before: found %d of %d", before, n, same)
			}
			if n := count(near); n != same {
				t.Errorf("%d before: found %d of %d near", before, n, same)
			}
			if n := count(low); n != before {
				t.Errorf("found %d of %d at the beginning", n, before)
			}
			for _, h := range []Hash{{}, {0x40, 1}, {0x80}, {0x80, 1, 18: 1}, {0x80, 1, 19: 2}, {0xff}} {
				if n := count(h); n != 0 {
					t.Errorf("found %d of what is not there, %x", n, h[:hashSize])
				}
			}
			for meta := range same/100 + 2 {
				n := 0
				print := addition(0, 0, meta, 0, 0).loc.Meta
				if err := x.LookupMeta(target, print, func(loc Location) bool { n++; return loc.Meta == print }); err != nil {
					t.Fatal(err)
				}
				if want := min(max(same-meta*100, 0), 100); n != want {
					t.Errorf("found %d of %d with metadata %d", n, want, meta)
				}
			}
			visits := 0
			if err := x.Lookup(target, func(Location) bool { visits++; return false }); err != nil || visits != 1 {
				t.Errorf("%d visits after the first said enough, %v", visits, err)
			}
		}
	}
}

// More temporary files, of four records each, than are merged at once.
func TestManyRuns(t *testing.T) {
	var files []storedFile
	for i := range 3 * 64 * 4 {
		files = append(files, addition(uint64(i+1), i, 0, DirID(i), uint32(i)))
	}
	files = append(files, files[:100]...)
	for i := range 100 {
		files[len(files)-1-i].loc.Entry += 10_000
	}
	x := mergeInto(t, nil, "s", filepath.Join(t.TempDir(), "index"), 4, files)
	if err := x.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	if want := uint64(len(files) - 100); x.Len() != want {
		t.Errorf("%d records, want %d", x.Len(), want)
	}
	for i, f := range files[:100] {
		err := x.Lookup(f.e.Hash, func(loc Location) bool {
			if loc.Stored == f.loc.Stored && loc.Entry != uint32(i) {
				t.Errorf("entry %d: not the first location but %+v", i, loc)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestBuilderIgnores(t *testing.T) {
	b := NewBuilder(t.TempDir())
	b.Add(&Entry{Type: File}, 0, 0)
	b.Add(&Entry{Type: Symlink, Stored: 1}, 0, 0)
	b.Add(&Entry{Type: Dir, Stored: 1}, 0, 0)
	if b.Len() != 0 {
		t.Errorf("%d additions", b.Len())
	}
	path := filepath.Join(t.TempDir(), "index")
	if err := b.Merge(nil, "bad/name", path); err == nil {
		t.Error("a snapshot with a slash")
	}
	if err := b.Merge(nil, "s", path); err != nil {
		t.Fatal(err)
	}
	x := openIndex(t, path)
	if err := x.Check(context.Background()); err != nil || x.Len() != 0 || !slices.Equal(x.Snapshots(), []string{"s"}) {
		t.Errorf("empty index: %d records of %v, %v", x.Len(), x.Snapshots(), err)
	}
	if err := x.Lookup(Hash{}, func(Location) bool { t.Error("found"); return true }); err != nil {
		t.Error(err)
	}
	if x.MayHave(&Entry{Size: largeSize + 1}) || !x.MayHave(&Entry{Size: largeSize}) {
		t.Error("only small files may be held by an empty index")
	}
}

// Names of snapshots that take several header pages.
func TestManySnapshots(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	var x *Index
	var names []string
	for i := range 500 {
		names = append(names, fmt.Sprintf("2026-11-23T020000Z-%03d", i))
		if i%50 != 0 {
			continue
		}
		b := NewBuilder(t.TempDir())
		f := addition(uint64(i+1), i, 0, 0, 0)
		b.Add(&f.e, 0, 0)
		head := slices.Clone(names)
		if err := b.merge(context.Background(), x, head, len(head)-1, path); err != nil {
			t.Fatal(err)
		}
		x = openIndex(t, path)
		if !slices.Equal(x.Snapshots(), names) {
			t.Fatalf("%d snapshots, want %d", len(x.Snapshots()), len(names))
		}
		err := x.Lookup(f.e.Hash, func(loc Location) bool {
			if loc.Snapshot != names[i] {
				t.Errorf("snapshot %s, want %s", loc.Snapshot, names[i])
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if x.head.pages < 2 {
		t.Error("the names fit into one page")
	}
}

func TestBloomRate(t *testing.T) {
	const n = 20_000
	b := newBloom(n)
	for i := range n {
		b.add(sizeKey(largeSize+1+uint64(i), 1))
	}
	wrong := 0
	for i := range n {
		if !b.mayHave(sizeKey(largeSize+1+uint64(i), 1)) {
			t.Fatalf("false negative for %d", i)
		}
		if b.mayHave(sizeKey(largeSize+1+uint64(i), 2)) {
			wrong++
		}
	}
	if wrong > n/60 {
		t.Errorf("%d of %d questions are answered wrongly", wrong, n)
	}
}

// Golden facts of docs/format.md.
func TestGoldenIndexRecord(t *testing.T) {
	e := Entry{Type: File, Mode: 0o644, UID: 1000, GID: 100, Mtime: Time{Sec: -2, Nsec: 7}, Size: 5 << 20,
		Stored: 0x0102030405060708}
	for i := range e.Hash {
		e.Hash[i] = byte(0xa0 + i)
	}
	r := makeRecord(&e, 3, 0x11223344, 9)
	meta := hashOf([]byte("\x00\x00\x01\xa4\x00\x00\x03\xe8\x00\x00\x00\x64" +
		"\xff\xff\xff\xff\xff\xff\xff\xfe\x00\x00\x00\x07" + string(make([]byte, 32))))
	size := hashOf(append([]byte("\x00\x00\x00\x00\x00\x50\x00\x00"), meta[:4]...))
	want := fmt.Sprintf("a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3%x0102030405060708000000031122334400000009%x",
		meta[:4], size[:4])
	if got := fmt.Sprintf("%x", r[:]); got != want {
		t.Errorf("record\n got %s\nwant %s", got, want)
	}
	if MetaFingerprint(&e) != binary.BigEndian.Uint32(meta[:4]) {
		t.Error("fingerprint of the metadata")
	}
	for name, change := range map[string]func(*Entry){
		"mode": func(e *Entry) { e.Mode++ }, "uid": func(e *Entry) { e.UID++ }, "gid": func(e *Entry) { e.GID++ },
		"sec": func(e *Entry) { e.Mtime.Sec++ }, "nsec": func(e *Entry) { e.Mtime.Nsec++ },
		"xattrs": func(e *Entry) { e.XattrHash[31]++ },
	} {
		other := e
		if change(&other); MetaFingerprint(&other) == MetaFingerprint(&e) {
			t.Errorf("the fingerprint does not depend on the %s", name)
		}
	}
}

// The checksum of a page covers its number, so that a page in the wrong place is damage.
func TestGoldenPageSum(t *testing.T) {
	page := make([]byte, pagePayload)
	page[0] = 5
	want := hashOf(append([]byte{0, 0, 0, 0, 0, 0, 1, 2}, page...))
	if got := pageSum(258, page); string(got[:]) != string(want[:checksumSize]) {
		t.Errorf("checksum %x, want %x", got, want[:checksumSize])
	}
}

// What a snapshot shares with the next newer one is not added again.
func TestRebuildAddsOnce(t *testing.T) {
	dir := t.TempDir()
	root := makeTree(4, 600)
	var paths []string
	for _, name := range []string{"c", "b", "a"} {
		paths = append(paths, filepath.Join(dir, name))
		writeTree(t, paths[len(paths)-1], root, nil, Summary{Snapshot: name}, 1)
	}
	b := NewBuilder(dir)
	if _, err := b.addCatalogs(context.Background(), paths); err != nil {
		t.Fatal(err)
	}
	files := 0
	root.all("", func(_ string, n *node) {
		if n.entry.Type == File {
			files++
		}
	})
	if b.Len() != files {
		t.Errorf("%d additions for %d files", b.Len(), files)
	}
}

// history writes three catalogs: files appear, move, change and go. It returns their paths, the newest first, and
// what an index rebuilt from them holds.
func history(t testing.TB) (paths []string, want map[uint64]string) {
	t.Helper()
	dir := t.TempDir()
	want = map[uint64]string{}
	root := makeTree(5, 800)
	for i, name := range []string{"old", "middle", "new"} {
		n := uint64(0)
		root.all("", func(_ string, c *node) {
			if c.entry.Type != File {
				return
			}
			n++
			switch {
			case i > 0 && n%11 == uint64(i) && c.entry.Stored != 0: // changed
				c.entry.Hash[0]++
				c.entry.Stored += uint64(i) * 1_000_000
			case i > 0 && n%13 == 5: // moved within its directory
				c.entry.Name = "z" + c.entry.Name
			case n%17 == 3: // cannot be linked
				c.entry.Stored = 0
			}
		})
		root.sort()
		root.all("", func(_ string, c *node) { c.sort() })
		path := filepath.Join(dir, name+".cat")
		writeTree(t, path, root, nil, Summary{Snapshot: name}, 2)
		paths = slices.Insert(paths, 0, path)
		root.all("", func(_ string, c *node) {
			if c.entry.Type == File && c.entry.Stored != 0 {
				want[c.entry.Stored] = name
			}
		})
	}
	return paths, want
}

// A rebuilt index holds each stored file once, where the newest snapshot has it.
func TestRebuild(t *testing.T) {
	paths, want := history(t)
	path := filepath.Join(t.TempDir(), "index")
	if err := Rebuild(context.Background(), paths, t.TempDir(), path); err != nil {
		t.Fatal(err)
	}
	x := openIndex(t, path)
	if err := x.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	if x.Len() != uint64(len(want)) || !slices.Equal(x.Snapshots(), []string{"new", "middle", "old"}) {
		t.Errorf("%d records of %v, want %d", x.Len(), x.Snapshots(), len(want))
	}
	catalogs := map[string]*Catalog{}
	for _, p := range paths {
		c := openCatalog(t, p)
		catalogs[c.Summary().Snapshot] = c
	}
	for _, c := range catalogs {
		err := c.Walk(func(_ string, _ *Record, e *Entry) error {
			if e.Type != File || e.Stored == 0 {
				return nil
			}
			found := 0
			err := x.Lookup(e.Hash, func(loc Location) bool {
				if loc.Stored != e.Stored {
					return true
				}
				found++
				if loc.Snapshot != want[e.Stored] {
					t.Errorf("stored file %d is located in %s, want %s", e.Stored, loc.Snapshot, want[e.Stored])
				}
				got, ok, err := catalogs[loc.Snapshot].At(loc.Dir, loc.Entry)
				if err != nil || !ok || got.Stored != e.Stored || got.Hash != e.Hash || MetaFingerprint(&got) != loc.Meta {
					t.Errorf("%+v leads to %+v %v %v", loc, got, ok, err)
				}
				return true
			})
			if found != 1 {
				t.Errorf("stored file %d is there %d times", e.Stored, found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRebuildListsDamagedCatalogs(t *testing.T) {
	paths, _ := history(t)
	for _, p := range paths[:2] {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		b[100] ^= 1
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path, tmp := filepath.Join(t.TempDir(), "index"), t.TempDir()
	err := Rebuild(context.Background(), append(paths, filepath.Join(tmp, "missing")), tmp, path)
	if !errors.Is(err, ErrDamaged) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("rebuild from damaged catalogs: %v", err)
	}
	var bad []string
	for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
		if d, ok := errors.AsType[*DamageError](err); ok {
			bad = append(bad, d.Path)
		}
	}
	if !slices.Equal(bad, paths[:2]) {
		t.Errorf("damaged: %v, want %v", bad, paths[:2])
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an index was written: %v", err)
	}
}

func TestCancel(t *testing.T) {
	paths, _ := history(t)
	ctx, cancel := context.WithCancel(context.Background())
	path := filepath.Join(t.TempDir(), "index")
	if err := Rebuild(ctx, paths, t.TempDir(), path); err != nil {
		t.Fatal(err)
	}
	cancel()
	other := filepath.Join(t.TempDir(), "index")
	if err := Rebuild(ctx, paths, t.TempDir(), other); !errors.Is(err, context.Canceled) || errors.Is(err, ErrDamaged) {
		t.Errorf("rebuild: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(other)); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
	if err := openIndex(t, path).Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("check of the index: %v", err)
	}
	if err := openCatalog(t, paths[0]).Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("check of a catalog: %v", err)
	}
}

// A Merge that cannot write leaves the index as it was.
func TestMergeFails(t *testing.T) {
	dir := t.TempDir()
	f := addition(1, 1, 1, 1, 1)
	x := mergeInto(t, nil, "s", filepath.Join(dir, "index"), 10, []storedFile{f})
	b := NewBuilder(filepath.Join(dir, "missing"))
	b.sorter.Limit = 1
	b.Add(&f.e, 1, 1)
	if err := b.Merge(x, "t", filepath.Join(dir, "index")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("merge without a folder for temporary files: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	b = NewBuilder(dir)
	if err := b.Merge(x, "t", filepath.Join(dir, "missing", "index")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("merge into a missing folder: %v", err)
	}
	again := openIndex(t, filepath.Join(dir, "index"))
	if !slices.Equal(again.Snapshots(), []string{"s"}) || again.Check(context.Background()) != nil {
		t.Error("the old index has changed")
	}
}
