package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Every fuzz test says the same of one decoder: it never panics, and what it accepts encodes to the same bytes.

func FuzzRecord(f *testing.F) {
	for _, n := range []*node{goldenTree(), keptTree(), makeTree(2, 40), {entry: Entry{Type: Dir}}} {
		c := tempCatalog(f, n)
		body, _, err := c.readSized(&c.tail.records, c.Root().Child-1)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	names := []string{"2026-11-20T020000Z", "2026-11-19T020000Z"}
	f.Fuzz(func(t *testing.T, body []byte) {
		var table nameTable
		for _, name := range names {
			table.number(name)
		}
		r, err := decodeRecord(bytes.Clone(body), 1<<40, &tail{names: names})
		if err != nil {
			return
		}
		var entries []Entry
		for i, e := range r.Entries() {
			if at, ok := r.At(i); !ok || at != *e {
				t.Fatalf("entry %d: %+v %v", i, at, ok)
			}
			if found, ok := r.Find(e.Name); !ok || found != *e {
				t.Fatalf("find %q: %+v %v", e.Name, found, ok)
			}
			entries = append(entries, *e)
		}
		var self Entry
		rec, space := new(scratch).encode(r.ID(), entries, &self, &table)
		want := append(appendUvarint(nil, uint64(len(body))), body...)
		if !bytes.Equal(rec, want) || self.Hash != r.hash() || self.Below != r.totals {
			t.Fatalf("accepted %x\nencodes to %x", want, rec)
		}
		d := decoder{b: space}
		var held Space
		if err := held.decode(d.take(d.uvarint()), 1<<62); err != nil && self.Below.Dirs == 0 {
			t.Fatalf("space of %x: %v", want, err)
		}
	})
}

func FuzzHeld(f *testing.F) {
	h := Space{Inodes: []SpaceInode{{9, 8}, {9, 8}, {3, 0}, {1 << 63, 1 << 40}}, Dirs: []SpaceDir{{7, Sum{1}, 5}, {8, Sum{}, 6}}}
	b, _ := h.encode(nil)
	f.Add(b)
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Space
		if h.decode(b, 1<<40) != nil {
			return
		}
		if again, sum := h.encode(nil); !bytes.Equal(again, b) {
			t.Errorf("accepted %x\nencodes to %x, %x", b, again, sum)
		}
	})
}

func FuzzXattrs(f *testing.F) {
	for _, set := range [][]Xattr{{{Name: "a"}}, {{Name: "user.a", Value: []byte("1")}, {Name: "user.b", Value: []byte("22")}}} {
		b, err := appendXattrs(nil, set)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		set, err := decodeXattrs(b)
		if err != nil {
			return
		}
		again, err := appendXattrs(nil, set)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("accepted %x\nencodes to %x, %v", b, again, err)
		}
	})
}

func FuzzTail(f *testing.F) {
	for _, n := range []*node{goldenTree(), keptTree(), {entry: Entry{Type: Dir}}, makeTree(1, 3000)} {
		c := tempCatalog(f, n)
		f.Add(c.tail.encode(), c.end)
	}
	f.Fuzz(func(t *testing.T, b []byte, end int64) {
		tail, err := decodeTail(bytes.Clone(b), end)
		if err != nil {
			return
		}
		if again := tail.encode(); !bytes.Equal(again, b) {
			t.Fatalf("accepted %x\nencodes to %x", b, again)
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01a\x01\x02bc"), uint32(3), uint32(0))
	f.Add([]byte("\x05\x01x"), uint32(1), uint32(9))
	f.Fuzz(func(t *testing.T, b []byte, count, first uint32) {
		if uint64(count) > uint64(len(b)/2) {
			return // the tail is refused before
		}
		rows, err := decodeRows(b, &blockRef{first: DirID(first), rows: count})
		if err != nil {
			return
		}
		var again []byte
		for _, r := range rows {
			again = appendString(appendUvarint(again, uint64(r.parent)), r.name)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("accepted %x\nencodes to %x", b, again)
		}
	})
}

// FuzzCatalogFile opens any bytes at all.
func FuzzCatalogFile(f *testing.F) {
	golden, err := os.ReadFile(filepath.Join("testdata", "v1.cat"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add(golden[:len(golden)/2])
	f.Add(golden[:headerSize])
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(dir, "c")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, checked, err := dumpCatalog(path)
		if checked == nil && !bytes.Equal(b, golden) {
			t.Logf("another sound catalog of %d bytes", len(b))
		}
		refusedOrSound(t, checked, err)
	})
}

// FuzzCatalogStreams reads a catalog in which every checksum matches, whatever the streams hold.
func FuzzCatalogStreams(f *testing.F) {
	for _, n := range []*node{goldenTree(), {entry: Entry{Type: Dir}}} {
		c := tempCatalog(f, n)
		streams := make([][]byte, 4)
		for i, s := range []*stream{&c.tail.records, &c.tail.dirs, &c.tail.xattrs, &c.tail.space} {
			for n := range s.blocks {
				b, err := c.block(s, n)
				if err != nil {
					f.Fatal(err)
				}
				streams[i] = append(streams[i], b.raw...)
			}
		}
		root := c.Root()
		f.Add(streams[0], streams[1], uint32(c.tail.dirs.rows), streams[2], root.Child, root.Hash[:], uint64(root.Xattrs),
			root.Below.Files, root.Below.Dirs, root.Below.Bytes, root.Below.Structure, root.Inodes[:], streams[3], root.Space)
	}
	var self Entry
	rec, space := new(scratch).encode(1, []Entry{{Name: "a", Type: File, Nlink: 1}}, &self, new(nameTable)) // the table has only directory 0
	f.Add(rec, []byte{0, 0}, uint32(1), []byte(nil), uint64(1), []byte(nil), uint64(0),
		self.Below.Files, self.Below.Dirs, self.Below.Bytes, self.Below.Structure, self.Inodes[:], space, uint64(1))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, records, rows []byte, count uint32, xattrs []byte, child uint64, hash []byte,
		ref, files, dirs, size, structure uint64, inodes, space []byte, held uint64) {
		root := Entry{Type: Dir, Child: child, Below: Totals{files, dirs, size, structure}, Xattrs: XattrRef(ref),
			Space: held}
		copy(root.Hash[:], hash)
		copy(root.Inodes[:], inodes)
		if ref != 0 {
			root.XattrHash = Hash{1}
		}
		if root.validate(true) != nil {
			return
		}
		path := filepath.Join(dir, "c")
		w := forge(t, path)
		w.records.raw, w.dirs.raw, w.xattrs.raw = uint64(len(records)), uint64(len(rows)), uint64(len(xattrs))
		w.dirs.rows, w.space.raw = uint64(count), uint64(len(space))
		w.cut(&w.records.stream, records)
		w.cut(&w.dirs.stream, rows)
		w.cut(&w.xattrs.stream, xattrs)
		w.cut(&w.space.stream, space)
		for i := range w.dirs.blocks {
			w.dirs.blocks[i].rows = count
		}
		w.finish(root)
		_, checked, err := dumpCatalog(path)
		refusedOrSound(t, checked, err)
	})
}

// forger writes catalogs that the Writer would refuse to write.
type forger struct {
	*Writer
	t testing.TB
	f *os.File
}

func forge(t testing.TB, path string) *forger {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	return &forger{w, t, f}
}

func (w *forger) cut(s *stream, raw []byte) {
	for len(raw) > 0 {
		n := min(len(raw), blockSize)
		block := appendBlock(nil, s.kind, raw[:n])
		offset, err := w.write(block)
		if err != nil {
			w.t.Fatal(err)
		}
		s.blocks = append(s.blocks, blockRef{offset: offset, size: uint32(len(block)), raw: uint32(n)})
		raw = raw[n:]
	}
}

func (w *forger) finish(root Entry) {
	t := tail{records: w.records.stream, dirs: w.dirs.stream, xattrs: w.xattrs.stream,
		space: w.space.stream, root: root}
	block := appendBlock(nil, tailBlock, t.encode())
	offset, err := w.write(block)
	if err == nil {
		err = w.writeFooter(offset, int64(len(block)))
	}
	if err := errors.Join(err, w.f.Close()); err != nil {
		w.t.Fatal(err)
	}
}

func refusedOrSound(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
			t.Errorf("neither sound nor damaged: %v", err)
		}
	}
}

// FuzzIndexFile opens any bytes, and the same bytes with their checksums made right.
func FuzzIndexFile(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "x")
	for _, n := range []int{0, 1, 86, 700} {
		var files []storedFile
		for i := range n {
			files = append(files, addition(uint64(i+1), i%300, 0, DirID(i), uint32(i)))
		}
		mergeInto(f, nil, "s", path, 1000, files)
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzIndex(t, path, b)
		sound := bytes.Clone(b)
		for n := 0; (n+1)*pageSize <= len(sound); n++ {
			sealPage(uint64(n), sound[n*pageSize:(n+1)*pageSize])
		}
		fuzzIndex(t, path, sound)
	})
}

func fuzzIndex(t *testing.T, path string, b []byte) {
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	x, err := OpenIndex(path)
	if err != nil {
		refusedOrSound(t, err)
		return
	}
	defer func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, key := range append([]uint64{0, 1 << 63}, x.keys...) {
		var h Hash
		binary.BigEndian.PutUint64(h[:], key)
		err := x.Lookup(h, func(Location) bool { return true })
		refusedOrSound(t, err, x.LookupMeta(h, 7, func(Location) bool { return true }))
	}
	x.MayHave(&Entry{Size: largeSize + 1})
	if err := x.Check(context.Background()); err != nil {
		refusedOrSound(t, err)
		return
	}
	again, err := os.Create(path + ".again")
	if err != nil {
		t.Fatal(err)
	}
	scan := indexScan{x: x}
	next := func() (*record, error) { return scan.next(context.Background()) }
	head := indexHeader{snapshots: x.Snapshots()}
	err = writeIndex(context.Background(), again, &head, make(bloom, len(x.bloom)), next)
	if err := errors.Join(err, again.Close()); err != nil {
		t.Fatal(err)
	}
	if written, err := os.ReadFile(path + ".again"); err != nil || !bytes.Equal(written, b) {
		t.Fatalf("an accepted index of %d bytes is written as another, of %d, %v", len(b), len(written), err)
	}
}
