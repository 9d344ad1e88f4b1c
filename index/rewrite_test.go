package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Guards: a copy of a catalog without a path is a sound catalog of all the rest, with the same entries.
func TestCopyWithout(t *testing.T) {
	root := makeTree(11, 1000)
	c := tempCatalog(t, root)
	var paths []string
	dump := func(c *Catalog) map[string]string {
		all := map[string]string{}
		if err := c.Walk(func(dir string, _ *Record, e *Entry) error {
			set, err := c.Xattrs(e.Xattrs)
			if err != nil {
				return err
			}
			same := *e
			same.Child, same.Space, same.Xattrs, same.Hash, same.Below, same.Inodes = 0, 0, 0, Hash{}, Totals{}, Sum{}
			if e.Type == File {
				same.Hash = e.Hash
			}
			all[Join(dir, e.Name)] = fmt.Sprintf("%+v %v", same, set)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := dump(c)
	for path := range before {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for i := range 20 { // some of them, from all over the tree
		paths[i] = paths[i*len(paths)/20]
	}
	for i, path := range append([]string{"not there", "not/there"}, paths[:20]...) {
		file := filepath.Join(t.TempDir(), "copy")
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		w, err := NewWriter(f)
		if err != nil {
			t.Fatal(err)
		}
		left, err := c.CopyWithout(context.Background(), w, path)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		got, err := Open(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Check(context.Background()); err != nil {
			t.Fatalf("without %q: %v", path, err)
		}
		if got.Summary() != c.Summary() {
			t.Errorf("without %q: summary %+v", path, got.Summary())
		}
		after := dump(got)
		gone := 0
		for p, e := range before {
			if p == path || strings.HasPrefix(p, path+"/") {
				gone++
				if _, ok := after[p]; ok {
					t.Errorf("without %q: it has %q", path, p)
				}
			} else if after[p] != e {
				t.Errorf("without %q: %q is\n%s, want\n%s", path, p, after[p], e)
			}
		}
		if len(after) != len(before)-gone || int(left.Files+left.Dirs) != gone || (i < 2) != (gone == 0) {
			t.Errorf("without %q: %d entries of %d, %+v left out", path, len(after), len(before), left)
		}
		if gone == 0 && got.Root().Hash != c.Root().Hash {
			t.Errorf("without %q: another hash", path)
		}
		if err := got.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Guards: a copy of a catalog with other places of its entries is a sound catalog in which nothing else differs, and a new
// inode does not get the final blocks of a former one with its number.
func TestCopyChanged(t *testing.T) {
	c := tempCatalog(t, makeTree(12, 800))
	const base = 1 << 40
	file := filepath.Join(t.TempDir(), "copy")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	moved := func(dir string, e *Entry) bool { return len(dir+e.Name)%3 == 0 && e.Type != Dir }
	n := uint64(0)
	err = c.CopyChanged(t.Context(), w, func(dir string, e *Entry) {
		if moved(dir, e) {
			n++
			e.Stored, e.Blocks, e.Flags = base+n, 7, e.Flags&^CatalogOnly|TimeCatalogOnly
		}
	})
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if err := got.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if got.Root().Hash != c.Root().Hash {
		t.Error("the state of the source has changed")
	}
	met := uint64(0)
	err = got.Walk(func(dir string, _ *Record, e *Entry) error {
		was, found, err := c.Lookup(Join(dir, e.Name))
		switch {
		case err != nil || !found:
			t.Errorf("%s/%s: %v", dir, e.Name, err)
		case moved(dir, e):
			met++
			if e.Stored <= base || e.Blocks != 7 || e.Flags&CatalogOnly != TimeCatalogOnly {
				t.Errorf("%s/%s: %+v", dir, e.Name, e)
			}
		case e.Stored != was.Stored || e.Blocks != was.Blocks || e.Flags != was.Flags:
			t.Errorf("%s/%s: %+v, was %+v", dir, e.Name, e, was)
		}
		return nil
	})
	if err != nil || met != n || n == 0 {
		t.Errorf("%d of %d, %v", met, n, err)
	}
}
