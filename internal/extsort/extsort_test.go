package extsort

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

type counted struct {
	key uint64
	n   uint32
}

var kind = Kind[counted]{
	Compare: func(a, b counted) int { return cmp.Compare(a.key, b.key) },
	Join:    func(a *counted, b counted) { a.n += b.n },
	Size:    12,
	Encode: func(b []byte, v *counted) {
		binary.LittleEndian.PutUint64(b, v.key)
		binary.LittleEndian.PutUint32(b[8:], v.n)
	},
	Decode: func(b []byte, v *counted) {
		v.key, v.n = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])
	},
}

func newSorter(t testing.TB, limit int) *Sorter[counted] {
	s := &Sorter[counted]{Kind: kind, Dir: t.TempDir(), Name: "test-*", Limit: limit}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(s.Dir); err != nil || len(left) > 0 {
			t.Errorf("temporary files are left: %v %v", left, err)
		}
	})
	return s
}

// check compares what the sorter gives with want: how often each key was added.
func check(t *testing.T, s *Sorter[counted], want map[uint64]uint32) {
	t.Helper()
	m, err := s.Merge()
	if err != nil {
		t.Fatal(err)
	}
	var v counted
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if more, err := m.Next(&v); !more || err != nil || v != (counted{key, want[key]}) {
			t.Fatalf("%v, %v, %v, want %d %d times", v, more, err, key, want[key])
		}
	}
	for range 2 {
		if more, err := m.Next(&v); more || err != nil {
			t.Fatalf("%v, %v, %v after the last value", v, more, err)
		}
	}
}

// Guards: whether values stay in memory, fill some files, or so many that files are merged into one, they are given in
// order, equal ones joined.
func TestSorter(t *testing.T) {
	for name, c := range map[string]struct{ values, limit, runs int }{
		"nothing":               {0, 10, 0},
		"in memory":             {99, 100, 0},
		"one file, no rest":     {100, 100, 1},
		"some files":            {1050, 100, 10},
		"files become one":      {100 * (maxRuns + 1), 100, 2},
		"one file becomes more": {100*maxRuns*3 + 7, 100, 3},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, uint64(c.values)))
			s := newSorter(t, c.limit)
			want := map[uint64]uint32{}
			for range c.values {
				v := counted{rng.Uint64N(1 << 40), 1}
				if rng.IntN(3) == 0 {
					v.key %= 50
				}
				want[v.key]++
				s.Add(v)
				if len(s.kept) >= c.limit || len(s.runs) > maxRuns {
					t.Fatalf("%d values in memory, %d files", len(s.kept), len(s.runs))
				}
			}
			if len(s.runs) != c.runs {
				t.Errorf("%d files, want %d", len(s.runs), c.runs)
			}
			check(t, s, want)
			check(t, s, want) // once more from the beginning
		})
	}
}

// Guards: values come from several goroutines.
func TestAddFromGoroutines(t *testing.T) {
	s := newSorter(t, 64)
	want := map[uint64]uint32{}
	var wait sync.WaitGroup
	for range 4 {
		for key := range uint64(1000) {
			want[key]++
		}
		wait.Go(func() {
			for key := range uint64(500) {
				s.Add(counted{key * 2, 1}, counted{key*2 + 1, 1})
			}
		})
	}
	wait.Wait()
	check(t, s, want)
}

// Guards: an error of the temporary files is not lost, and nothing is kept in memory after it.
func TestNoTemporaryFile(t *testing.T) {
	s := &Sorter[counted]{Kind: kind, Dir: filepath.Join(t.TempDir(), "missing"), Name: "test-*", Limit: 2}
	for key := range uint64(10) {
		s.Add(counted{key, 1})
	}
	if len(s.kept) > 2 {
		t.Errorf("%d values are kept", len(s.kept))
	}
	if _, err := s.Merge(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Guards: a file that got shorter is an error, not the end.
func TestCutFile(t *testing.T) {
	s := newSorter(t, 10)
	for key := range uint64(10) {
		s.Add(counted{key, 1})
	}
	if err := s.runs[0].file.Truncate(int64(9*kind.Size + 5)); err != nil {
		t.Fatal(err)
	}
	m, err := s.Merge()
	if err != nil {
		t.Fatal(err)
	}
	var v counted
	for n := 0; ; n++ {
		more, err := m.Next(&v)
		if err != nil {
			return
		}
		if !more || n > 9 {
			t.Fatalf("the end after %d values", n)
		}
	}
}
