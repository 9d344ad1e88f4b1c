package prune

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/zeebo/blake3"

	"snapcopy/index"
)

// The benchmarks use an archive of a million files, of which a hundredth changes from each of 60 snapshots to the next,
// spread over the whole tree. SNAPCOPY_BENCH names a folder to keep its catalogs (4 GB) in.
const (
	benchFiles     = 1_000_000
	benchSnapshots = 60
	benchInFolder  = 20
	benchFolders   = 100 // in a folder, on each of two levels
)

type benchTree struct {
	stored []uint64 // of each file
	w      *index.Writer
}

func (b *benchTree) folder(parent index.DirID, name string, level, first, files int) (index.Entry, error) {
	e := index.Entry{Name: name, Type: index.Dir, Mode: 0o755, Blocks: 8}
	id, err := b.w.StartDir(parent, name)
	if err != nil {
		return e, err
	}
	var entries []index.Entry
	if files <= benchInFolder {
		for i := range files {
			stored := b.stored[first+i]
			key := binary.BigEndian.AppendUint64(nil, stored)
			entries = append(entries, index.Entry{Name: fmt.Sprintf("document-%03d.txt", i), Type: index.File, Mode: 0o644,
				Nlink: 1, Size: stored%50_000 + 1, Hash: blake3.Sum256(key), Mtime: index.Time{Sec: int64(stored)},
				Ino: uint64(first + i + 1000), Stored: stored, Blocks: (stored%50_000 + 4096) / 4096 * 8})
		}
		return e, b.w.AddDir(id, entries, &e)
	}
	part := max(files/benchFolders, benchInFolder)
	for i := 0; i*part < files; i++ {
		child, err := b.folder(id, fmt.Sprintf("folder-%03d", i), level+1, first+i*part, min(part, files-i*part))
		if err != nil {
			return e, err
		}
		entries = append(entries, child)
	}
	return e, b.w.AddDir(id, entries, &e)
}

// benchCatalogs makes the catalogs once.
func benchCatalogs(b *testing.B) (list []Catalog) {
	b.Helper()
	dir := os.Getenv("SNAPCOPY_BENCH")
	if dir == "" {
		b.Skip("SNAPCOPY_BENCH names no folder for 60 catalogs of a million files")
	}
	stored := make([]uint64, benchFiles)
	next := uint64(1000)
	for i := range stored {
		stored[i] = next
		next++
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for s := range benchSnapshots {
		name := fmt.Sprintf("space-%02d", s)
		path := filepath.Join(dir, name+".cat")
		list = append(list, Catalog{Name: name, Path: path})
		if s > 0 {
			for range benchFiles / 100 {
				stored[rng.IntN(benchFiles)] = next
				next++
			}
		}
		if _, err := os.Stat(path); err == nil {
			continue
		}
		f, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		w, err := index.NewWriter(f)
		if err != nil {
			b.Fatal(err)
		}
		t := benchTree{stored: stored, w: w}
		root, err := t.folder(0, "", 0, 0, benchFiles)
		if err == nil {
			err = w.Finish(root, []uint64{1}, index.Summary{Snapshot: name, Anchor: 1})
		}
		if err = errors.Join(err, f.Close()); err != nil {
			b.Fatal(err)
		}
	}
	return list
}

func countSpace(b *testing.B, list []Catalog, ledger string) *Space {
	s, err := Account(context.Background(), list, AccountOptions{Ledger: ledger, Note: func(err error) { b.Error(err) }})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkAccountAll counts all snapshots, with nothing remembered.
func BenchmarkAccountAll(b *testing.B) {
	list := benchCatalogs(b)
	for b.Loop() {
		countSpace(b, list, "")
	}
}

// BenchmarkAccountOneMore counts one more snapshot than is remembered.
func BenchmarkAccountOneMore(b *testing.B) {
	list := benchCatalogs(b)
	ledger := filepath.Join(b.TempDir(), "space")
	countSpace(b, list[:len(list)-1], ledger)
	old, err := os.ReadFile(ledger)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		if err := os.WriteFile(ledger, old, 0o600); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		countSpace(b, list, ledger)
	}
}

// BenchmarkAccountAgain counts when all is remembered.
func BenchmarkAccountAgain(b *testing.B) {
	list := benchCatalogs(b)
	ledger := filepath.Join(b.TempDir(), "space")
	countSpace(b, list, ledger)
	for b.Loop() {
		countSpace(b, list, ledger)
	}
}
