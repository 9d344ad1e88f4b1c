package index

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
)

// forget takes snapshots out of the index at path, as its callers do, and returns what is left.
func forget(t *testing.T, path string, gone []string, stay []*Catalog) *Index {
	t.Helper()
	old := openIndex(t, path)
	f := Forget(old, func(name string) bool { return slices.Contains(gone, name) }, t.TempDir())
	f.b.sorter.Limit = 100 // records in memory
	wanted := make(map[uint64]bool)
	err := f.Affected(t.Context(), func(stored uint64) { wanted[stored] = true })
	for _, c := range stay {
		if err == nil {
			err = f.Look(t.Context(), c, func(stored uint64) (take, more bool) {
				take = wanted[stored]
				delete(wanted, stored)
				return take, len(wanted) > 0
			})
		}
	}
	if err == nil {
		err = f.Commit(t.Context(), path)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return openIndex(t, path)
}

// Guards: whichever snapshots are forgotten, the index finds each stored file of the others once, where it is, and
// nothing else.
func TestForget(t *testing.T) {
	paths, _ := history(t) // the newest first
	for set := range 1 << len(paths) {
		path := filepath.Join(t.TempDir(), "index")
		if err := Rebuild(t.Context(), paths, t.TempDir(), path); err != nil {
			t.Fatal(err)
		}
		var gone []string
		var stay []*Catalog
		held := make(map[uint64]Hash)
		for i, p := range paths {
			c := openCatalog(t, p)
			if set&(1<<i) != 0 {
				gone = append(gone, c.Summary().Snapshot)
				continue
			}
			stay = append(stay, c)
			err := c.Walk(func(_ string, _ *Record, e *Entry) error {
				if e.Type == File && e.Stored != 0 {
					held[e.Stored] = e.Hash
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		x := forget(t, path, gone, stay)
		if err := x.Check(t.Context()); err != nil {
			t.Errorf("without %q: %v", gone, err)
		}
		for _, name := range gone {
			if slices.Contains(x.Snapshots(), name) {
				t.Errorf("%q is not forgotten", name)
			}
		}
		if x.Len() != uint64(len(held)) {
			t.Errorf("without %q: %d records, want %d", gone, x.Len(), len(held))
		}
		for stored, hash := range held {
			checkLocation(t, x, stay, stored, hash)
		}
	}
}

func checkLocation(t *testing.T, x *Index, catalogs []*Catalog, stored uint64, hash Hash) {
	t.Helper()
	found := 0
	err := x.Lookup(hash, func(loc Location) bool {
		if loc.Stored != stored {
			return true
		}
		found++
		i := slices.IndexFunc(catalogs, func(c *Catalog) bool { return c.Summary().Snapshot == loc.Snapshot })
		if i < 0 {
			t.Errorf("stored file %d is said to be in %q", stored, loc.Snapshot)
			return true
		}
		e, ok, err := catalogs[i].At(loc.Dir, loc.Entry)
		if err != nil || !ok || e.Stored != stored || e.Hash != hash {
			t.Errorf("stored file %d is not where it is said to be: %+v, %v, %v", stored, e, ok, err)
		}
		return true
	})
	if err != nil || found != 1 {
		t.Errorf("stored file %d is found %d times, %v", stored, found, err)
	}
}

// Guards: nothing is written, and nothing left, where forgetting is cut short.
func TestForgetCancelled(t *testing.T) {
	paths, want := history(t)
	path := filepath.Join(t.TempDir(), "index")
	if err := Rebuild(t.Context(), paths, t.TempDir(), path); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := Forget(openIndex(t, path), func(string) bool { return true }, t.TempDir())
	for what, err := range map[string]error{
		"affected": f.Affected(ctx, func(uint64) {}),
		"look":     f.Look(ctx, openCatalog(t, paths[0]), func(uint64) (bool, bool) { return true, true }),
		"commit":   f.Commit(ctx, path),
		"close":    f.Close(),
	} {
		if wrong := !errors.Is(err, context.Canceled); wrong != (what == "close") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if x := openIndex(t, path); x.Len() != uint64(len(want)) {
		t.Errorf("%d records, want %d", x.Len(), len(want))
	}
}
