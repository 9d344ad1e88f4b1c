package history

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zeebo/blake3"

	"snapcopy/index"
	"snapcopy/internal/archive"
)

// The benchmarks of histories use an archive of a million files in four levels of folders, of which a hundredth
// changes from each of 60 snapshots to the next. SNAPCOPY_BENCH names a folder to keep its catalogs (4 GB) in.
const (
	benchFiles     = 1_000_000
	benchSnapshots = 60
	benchInFolder  = 20
)

// benchTree is a tree whose folders have 16 folders each down to the fourth level, which has the files.
type benchTree struct {
	version []uint16 // of each file
	w       *index.Writer
	next    int // file
}

func (b *benchTree) write(parent index.DirID, name string, level int) (e index.Entry, err error) {
	e = index.Entry{Name: name, Type: index.Dir, Mode: 0o755, Mtime: index.Time{Sec: 1_700_000_000}}
	id, err := b.w.StartDir(parent, name)
	if err != nil {
		return e, err
	}
	var entries []index.Entry
	if level < 4 {
		for i := range 15 {
			child, err := b.write(id, fmt.Sprintf("folder-%02d", i), level+1)
			if err != nil {
				return e, err
			}
			entries = append(entries, child)
		}
	} else {
		for i := range benchInFolder {
			entries = append(entries, b.file(i))
		}
	}
	slices.SortFunc(entries, func(a, b index.Entry) int { return strings.Compare(a.Name, b.Name) })
	err = b.w.AddDir(id, entries, &e)
	return e, err
}

func (b *benchTree) file(i int) index.Entry {
	n := b.next
	b.next++
	version := b.version[n%len(b.version)]
	var key [10]byte
	binary.BigEndian.PutUint64(key[:], uint64(n))
	binary.BigEndian.PutUint16(key[8:], version)
	hash := blake3.Sum256(key[:])
	mtime := index.Time{Sec: 1_700_000_000 + int64(version)*86400 + int64(hash[0]),
		Nsec: binary.BigEndian.Uint32(hash[1:]) % 1e9}
	return index.Entry{Name: fmt.Sprintf("document-%03d.txt", i), Type: index.File, Mode: 0o644, UID: 1000, GID: 1000,
		Nlink: 1, Size: uint64(binary.BigEndian.Uint16(hash[5:])) + 1, Hash: hash, Mtime: mtime, Ctime: mtime,
		Ino: uint64(n + 1000), Stored: uint64(n+1000) * uint64(version+1)}
}

// benchRefs makes the catalogs once.
func benchRefs(b *testing.B) (refs []archive.Snapshot) {
	b.Helper()
	dir := os.Getenv("SNAPCOPY_BENCH")
	if dir == "" {
		b.Skip("SNAPCOPY_BENCH names no folder for 60 catalogs of a million files")
	}
	version := make([]uint16, benchFiles)
	rnd := rand.New(rand.NewPCG(1, 2))
	for s := range benchSnapshots {
		name := fmt.Sprintf("2026-%02d-%02dT020000Z", 1+s/28, 1+s%28)
		path := filepath.Join(dir, name+".cat")
		refs = append(refs, archive.Snapshot{Name: name, CatalogPath: path})
		if s > 0 {
			for range benchFiles / 100 {
				version[rnd.IntN(benchFiles)]++
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
		t := benchTree{version: version, w: w}
		root, err := t.write(0, "", 0)
		if err == nil {
			err = w.Finish(root, []uint64{1}, index.Summary{Snapshot: name})
		}
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return refs
}

func BenchmarkVersions(b *testing.B) {
	refs := benchRefs(b)
	for b.Loop() {
		h, err := OpenHistory(context.Background(), refs)
		if err != nil {
			b.Fatal(err)
		}
		list, err := h.Versions(context.Background(), "folder-07/folder-03/folder-11/folder-05/document-007.txt")
		if err != nil || len(list) == 0 {
			b.Fatal(list, err)
		}
		if err := h.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVersionsOfFolder(b *testing.B) {
	refs := benchRefs(b)
	for b.Loop() {
		h, err := OpenHistory(context.Background(), refs)
		if err != nil {
			b.Fatal(err)
		}
		if list, err := h.Versions(context.Background(), "folder-07"); err != nil || len(list) == 0 {
			b.Fatal(list, err)
		}
		if err := h.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	refs := benchRefs(b)
	for b.Loop() {
		h, err := OpenHistory(context.Background(), refs)
		if err != nil {
			b.Fatal(err)
		}
		found := 0
		err = h.Find(context.Background(), Query{Patterns: []string{"document-007.txt"}}, func(Match) error {
			found++
			return nil
		})
		if err != nil || found == 0 {
			b.Fatal(found, err)
		}
		if err := h.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
