package index

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// node is a directory tree in memory: what a catalog written from it has to give back.
type node struct {
	entry    Entry
	xattrs   []Xattr
	children []*node // sorted by name
}

// writeTree writes a catalog of the tree and fills in what the writer finds out. With workers above 1 it writes
// directories concurrently, in an order that differs from call to call.
func writeTree(t testing.TB, path string, root *node, devices []uint64, s Summary, workers int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	w, err := NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	slots := make(chan struct{}, max(workers-1, 0))
	if err := writeDir(w, root, 0, slots); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(root.entry, devices, s); err != nil {
		t.Fatal(err)
	}
}

func writeDir(w *Writer, n *node, parent DirID, slots chan struct{}) error {
	id, err := w.StartDir(parent, n.entry.Name)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, len(n.children))
	for i, c := range n.children {
		if c.entry.Xattrs, c.entry.XattrHash, err = w.AddXattrs(c.xattrs); err != nil {
			return err
		}
		if c.entry.Type != Dir {
			continue
		}
		select {
		case slots <- struct{}{}:
			wg.Go(func() {
				errs[i] = writeDir(w, c, id, slots)
				<-slots
			})
		default:
			errs[i] = writeDir(w, c, id, slots)
		}
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	if n.entry.Name == "" {
		if n.entry.Xattrs, n.entry.XattrHash, err = w.AddXattrs(n.xattrs); err != nil {
			return err
		}
	}
	entries := make([]Entry, len(n.children))
	for i, c := range n.children {
		entries[i] = c.entry
	}
	return w.AddDir(id, entries, &n.entry)
}

// makeTree builds a reproducible tree of about the given number of entries, 10 to 30 in a directory.
func makeTree(seed uint64, entries int) *node {
	rnd := rand.New(rand.NewPCG(seed, 1))
	root := &node{entry: Entry{Type: Dir, Mode: 0o755}}
	dirs := []*node{root}
	ino := uint64(100)
	for n := 0; n < entries; {
		d := dirs[0]
		dirs = dirs[1:]
		count := 10 + rnd.IntN(20)
		for i := range count {
			ino++
			c := &node{entry: Entry{
				Name: fmt.Sprintf("%s-%03d.%s", words[rnd.IntN(len(words))], i, words[rnd.IntN(4)]),
				Type: File, Mode: 0o644, UID: 1000, GID: 1000, Nlink: 1,
				Mtime: Time{Sec: 1_600_000_000 + int64(rnd.IntN(1e8)), Nsec: uint32(rnd.IntN(1e9))}, Size: uint64(rnd.IntN(50_000)),
				Ino: ino, Stored: ino + 7_000_000,
			}}
			c.entry.Ctime = Time{Sec: c.entry.Mtime.Sec + int64(rnd.IntN(1000)), Nsec: uint32(rnd.IntN(1e9))}
			if i%16 < 2 {
				c.entry.Type, c.entry.Size, c.entry.Nlink, c.entry.Mode = Dir, 0, 0, 0o755
				dirs = append(dirs, c)
			} else {
				for j := range 4 {
					v := rnd.Uint64()
					for k := range 8 {
						c.entry.Hash[j*8+k] = byte(v >> (8 * k))
					}
				}
			}
			d.children = append(d.children, c)
		}
		d.sort()
		n += count
	}
	return root
}

var words = strings.Fields("go txt html json readme license index main config module package data build core")

func (n *node) sort() {
	slices.SortFunc(n.children, func(a, b *node) int { return strings.Compare(a.entry.Name, b.entry.Name) })
}

// all calls fn for every node below n, as Walk does.
func (n *node) all(dir string, fn func(dir string, n *node)) {
	for _, c := range n.children {
		fn(dir, c)
		c.all(Join(dir, c.entry.Name), fn)
	}
}

func openCatalog(t testing.TB, path string) *Catalog {
	t.Helper()
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func tempCatalog(t testing.TB, root *node) *Catalog {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.cat")
	writeTree(t, path, root, []uint64{42}, Summary{Snapshot: "s"}, 2)
	return openCatalog(t, path)
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
