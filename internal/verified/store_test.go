package verified

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func newStore(t testing.TB) *Store {
	dir := t.TempDir()
	return &Store{Path: filepath.Join(dir, "verified"), DamagePath: filepath.Join(dir, "damaged.json"), Anchor: 7}
}

func (s *Store) all(t testing.TB) (list []Record) {
	t.Helper()
	if err := s.Records(func(r *Record) error { list = append(list, *r); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

func (s *Store) note(t testing.TB, list ...Record) {
	t.Helper()
	c := NewChanges(t.TempDir())
	c.Add(list...)
	if err := errors.Join(s.Note(t.Context(), c), c.Close()); err != nil {
		t.Fatal(err)
	}
}

// refresh makes the store agree with list, and returns the dated records.
func (s *Store) refresh(t testing.TB, since int64, list ...Record) (dated []Record) {
	t.Helper()
	if err := s.Refresh(t.Context(), presentOf(since, list, &dated)); err != nil {
		t.Fatal(err)
	}
	return dated
}

func presentOf(since int64, list []Record, dated *[]Record) Present {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Record) int { return Compare(&a, &b) })
	return Present{
		Since: time.Unix(since, 0),
		Records: func() (func(*Record) (bool, error), error) {
			rest := list
			return func(r *Record) (bool, error) {
				if len(rest) == 0 {
					return false, nil
				}
				*r, rest = rest[0], rest[1:]
				return true, nil
			}, nil
		},
		Dated: func(r *Record) error { *dated = append(*dated, *r); return nil },
		Again: func() error { *dated = nil; return nil },
	}
}

func stored(ino uint64, tag Tag, at int64) Record {
	return Record{Stored: ino, Tag: tag, Size: 10 * ino, Time: at}
}

func read(ino uint64, tag Tag, at int64) Record {
	return Record{Stored: ino, Tag: tag, Size: 10 * ino, Time: at, Read: true}
}

// Guards: a stored file keeps its date as long as it exists, another one with its inode number does not inherit it, and
// an earlier date or the time of storing never replaces a later check.
func TestDates(t *testing.T) {
	for _, c := range []struct {
		name                 string
		before, exist, later []Record
		want                 []Record
	}{
		{"nothing", nil, nil, nil, nil},
		{"new ones", nil, []Record{stored(2, 5, 100), stored(1, 9, 50)}, nil, []Record{stored(1, 9, 50), stored(2, 5, 100)}},
		{"kept", []Record{read(1, 9, 70)}, []Record{stored(1, 9, 50)}, nil, []Record{read(1, 9, 70)}},
		{"its oldest snapshot is gone", []Record{read(1, 9, 70)}, []Record{stored(1, 9, 90)}, nil, []Record{read(1, 9, 70)}},
		{"reused number", []Record{read(1, 9, 70)}, []Record{stored(1, 8, 90)}, nil, []Record{stored(1, 8, 90)}},
		{"gone", []Record{read(1, 9, 70), read(2, 9, 70)}, []Record{stored(2, 9, 50)}, nil, []Record{read(2, 9, 70)}},
		{"added meanwhile", []Record{read(1, 9, 1000)}, nil, nil, []Record{read(1, 9, 1000)}},
		{"a wrong clock", []Record{read(1, 9, 1<<40), read(2, 9, 1<<40)}, []Record{stored(1, 9, 50)}, nil, []Record{stored(1, 9, 50)}},
		{"read", nil, []Record{stored(1, 9, 50)}, []Record{read(1, 9, 2000)}, []Record{read(1, 9, 2000)}},
		{"read before", []Record{read(1, 9, 70)}, []Record{stored(1, 9, 50)}, []Record{read(1, 9, 60)}, []Record{read(1, 9, 70)}},
		{"two contents of a number", nil, []Record{stored(1, 9, 50), stored(1, 3, 40)}, []Record{read(1, 3, 70)},
			[]Record{read(1, 3, 70), stored(1, 9, 50)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			s.note(t, c.before...)
			dated := s.refresh(t, 1000, c.exist...)
			for i := range dated {
				if at := slices.IndexFunc(c.exist, func(r Record) bool { return Compare(&r, &dated[i]) == 0 }); at < 0 {
					t.Errorf("%+v was dated and does not exist", dated[i])
				}
			}
			if len(dated) != len(c.exist) {
				t.Errorf("%d were dated, %d exist", len(dated), len(c.exist))
			}
			s.note(t, c.later...)
			if got := s.all(t); !slices.Equal(got, c.want) {
				t.Errorf("records %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// Guards: the sums of the table are those of the records, whatever is noted in whatever order.
func TestTableSumsUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newStore(t)
		model := make(map[[2]uint64]Record)
		for range rapid.IntRange(1, 4).Draw(rt, "notes") {
			var list []Record
			for range rapid.IntRange(0, 30).Draw(rt, "records") {
				r := Record{Stored: rapid.Uint64Range(0, 40).Draw(rt, "ino"), Tag: Tag(rapid.Uint64Range(0, 3).Draw(rt, "tag")),
					Size: rapid.Uint64Range(0, 1<<50).Draw(rt, "size"), Time: rapid.Int64Range(-1e6, 1e6).Draw(rt, "time"),
					Read: rapid.Bool().Draw(rt, "read")}
				key := [2]uint64{r.Stored, uint64(r.Tag)}
				if old, known := model[key]; known {
					r.Size = old.Size
				}
				if old, known := model[key]; !known || r.isNewerThan(&old) {
					model[key] = r
				}
				list = append(list, r)
			}
			s.note(t, list...)
		}
		var want []Record
		sums := make(days)
		for _, r := range model {
			want = append(want, r)
			sums.add(&r)
		}
		slices.SortFunc(want, func(a, b Record) int { return Compare(&a, &b) })
		if got := s.all(t); !slices.Equal(got, want) {
			rt.Fatalf("records %+v\nwant %+v", got, want)
		}
		table, err := s.Table()
		if err != nil || !slices.Equal(table.Days, sums.list()) {
			rt.Fatalf("table %+v, %v; want %+v", table, err, sums.list())
		}
	})
}

// Guards: a file with any byte changed, cut short, or of another archive, is as good as none.
func TestUnusableFile(t *testing.T) {
	s := newStore(t)
	var list []Record
	for i := range uint64(50) {
		list = append(list, read(i+1, Tag(i), int64(1000+i)))
	}
	s.note(t, list...)
	whole, err := os.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	unusable := func(what string) {
		t.Helper()
		dated := s.refresh(t, 5000, stored(3, 2, 40))
		if len(dated) != 1 || dated[0] != stored(3, 2, 40) {
			t.Errorf("%s: dated %+v", what, dated)
		}
		if got := s.all(t); !slices.Equal(got, dated) {
			t.Errorf("%s: records %+v", what, got)
		}
	}
	for at := 0; at < len(whole); at += 5 {
		bad := slices.Clone(whole)
		bad[at] ^= 1 << rand.IntN(8)
		if err := os.WriteFile(s.Path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		unusable("a byte changed")
	}
	for _, n := range []int{0, 10, len(whole) / 2, len(whole) - 1} {
		if err := os.WriteFile(s.Path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		unusable("cut short")
	}
	if err := os.WriteFile(s.Path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Anchor++
	unusable("of another archive")
}

// Guards: what processes record at the same time is all kept, even if unfinished files are removed under them, and a
// record is not dropped by a check that had begun before it was added.
func TestConcurrentNotes(t *testing.T) {
	s := newStore(t)
	var wait sync.WaitGroup
	stop := make(chan struct{})
	wait.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
			names, _ := filepath.Glob(filepath.Join(filepath.Dir(s.Path), ".*.tmp"))
			for _, n := range names[:min(len(names), 1)] {
				_ = os.Remove(n) // it may be in place already
			}
		}
	})
	var notes sync.WaitGroup
	for i := range uint64(8) {
		notes.Go(func() {
			for j := range uint64(3) {
				c := NewChanges("")
				c.Add(read(1+10*i+j, 1, 2000))
				if err := errors.Join(s.Note(context.Background(), c), c.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	notes.Wait()
	close(stop)
	wait.Wait()
	if dated := s.refresh(t, 1000); len(dated) != 0 || len(s.all(t)) != 24 {
		t.Errorf("%d dated; %d records", len(dated), len(s.all(t)))
	}
}

// Guards: looking without writing gives the same dates and sums as refreshing, and leaves the file alone.
func TestLook(t *testing.T) {
	s := newStore(t)
	s.note(t, read(1, 9, 70), read(2, 9, 80))
	if err := s.Structure(t.Context(), time.Unix(90, 0), "a", "b"); err != nil {
		t.Fatal(err)
	}
	exist := []Record{stored(1, 9, 10), stored(3, 3, 30)}
	before, err := os.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	var seen, dated []Record
	p := presentOf(1000, exist, &seen)
	p.Snapshots = []string{"b"}
	look, err := s.Look(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(s.Path)
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("the file was changed (%v)", err)
	}
	p = presentOf(1000, exist, &dated)
	p.Snapshots = []string{"b"}
	if err := s.Refresh(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	table, err := s.Table()
	if err != nil || !slices.Equal(table.Days, look.Days) || !slices.Equal(seen, dated) {
		t.Errorf("looked: %+v %+v; refreshed: %+v %+v; %v", look, seen, table, dated, err)
	}
	if len(table.Structures) != 1 || table.Structures["b"] != 90 || look.Structures["b"] != 90 {
		t.Errorf("structures %v, %v", table.Structures, look.Structures)
	}
}

// Guards: a table that is accepted is the one that was written.
func FuzzTable(f *testing.F) {
	f.Add((&Table{}).encode())
	f.Add((&Table{Updated: 5, Days: []Day{{-3, false, 1, 2, -300000}, {-3, true, 1, 2, -300000}},
		Structures: map[string]int64{"a": 1, "b": -2}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if table, ok := decodeTable(b); ok && string(table.encode()) != string(b) {
			t.Errorf("%x is read as %+v, which is written as %x", b, table, table.encode())
		}
	})
}

// Guards: whatever is in the place of the records, reading them ends, with records in order.
func FuzzRecords(f *testing.F) {
	s := newStore(f)
	s.note(f, read(1, 2, 3), stored(1, 3, 9), stored(1<<60, 1, -5))
	whole, err := os.ReadFile(s.Path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newStore(t)
		if err := os.WriteFile(s.Path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s.all(t)
		s.note(t, read(4, 4, 4))
		found := false
		for _, r := range s.all(t) {
			found = found || r.Stored == 4 && r.Tag == 4
		}
		if !found {
			t.Error("what was noted is lost")
		}
	})
}
