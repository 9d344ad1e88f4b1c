package index

import (
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
