package index

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
)

const benchEntries = 150_000

func BenchmarkWrite(b *testing.B) {
	root := makeTree(1, benchEntries)
	for b.Loop() {
		w, err := NewWriter(io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		if err := writeDir(w, root, 0, make(chan struct{})); err != nil {
			b.Fatal(err)
		}
		if err := w.Finish(root.entry, nil, Summary{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchEntries, "ns/entry")
}

func BenchmarkWalk(b *testing.B) {
	path := filepath.Join(b.TempDir(), "s.cat")
	writeTree(b, path, makeTree(1, benchEntries), nil, Summary{Snapshot: "s"}, 1)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Walk(func(string, *Record, *Entry) error { return nil }); err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchEntries, "ns/entry")
	b.ReportMetric(float64(info.Size())/benchEntries, "bytes/entry")
}

// benchIndex makes an index of as many stored files as a snapshot of benchEntries has.
func benchIndex(b *testing.B) (x *Index, files []storedFile) {
	for i := range benchEntries {
		files = append(files, addition(uint64(i+1), i, 0, DirID(i), 0))
		files[i].e.Hash = hashOf([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
	}
	return mergeInto(b, nil, "s", filepath.Join(b.TempDir(), "index"), runRecords, files), files
}

func BenchmarkIndexLookup(b *testing.B) {
	x, files := benchIndex(b)
	for name, add := range map[string]byte{"hit": 0, "miss": 1} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				h := files[i%len(files)].e.Hash
				h[19] += add
				found := 0
				if err := x.Lookup(h, func(Location) bool { found++; return true }); err != nil || found != 1-int(add) {
					b.Fatal(found, err)
				}
			}
		})
	}
}

func BenchmarkIndexMerge(b *testing.B) {
	x, files := benchIndex(b)
	path := filepath.Join(b.TempDir(), "index")
	for b.Loop() {
		b2 := NewBuilder(b.TempDir())
		for i := range files[:1000] {
			files[i].e.Stored += benchEntries
			b2.Add(&files[i].e, 1, uint32(i))
		}
		if err := b2.Merge(x, "t", path); err != nil {
			b.Fatal(err)
		}
		if err := b2.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIndexOpen(b *testing.B) {
	x, _ := benchIndex(b)
	for b.Loop() {
		again, err := OpenIndex(x.path)
		if err != nil {
			b.Fatal(err)
		}
		if err := again.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	path := filepath.Join(b.TempDir(), "s.cat")
	writeTree(b, path, makeTree(1, benchEntries), nil, Summary{Snapshot: "s"}, 1)
	c := openCatalog(b, path)
	for b.Loop() {
		if err := c.Check(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
