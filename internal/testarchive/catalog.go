package testarchive

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"snapcopy/index"
)

// Model is a model of a snapshot: entries by path, "" is the root. Parents are directories.
type Model map[string]index.Entry

// File puts a regular file and the directories above it into the tree. Equal contents have equal hashes.
func (m Model) File(path, content string) Model {
	e := index.Entry{Type: index.File, Mode: 0o644, Nlink: 1, Size: uint64(len(content))}
	copy(e.Hash[:], content+"\x01")
	return m.Put(path, e)
}

func (m Model) Put(path string, e index.Entry) Model {
	m[path] = e
	for path != "" {
		path = index.FolderOf(path)
		if _, ok := m[path]; !ok {
			m[path] = index.Entry{Type: index.Dir, Mode: 0o755}
		}
	}
	return m
}

func (m Model) Edit(path string, change func(*index.Entry)) Model {
	e := m[path]
	change(&e)
	return m.Put(path, e)
}

// Catalog writes the tree as a catalog and opens it.
func (m Model) Catalog(t rapid.TB, dir, name string) *index.Catalog {
	return m.CatalogOf(t, dir, index.Summary{Snapshot: name})
}

// CatalogOf writes the tree as the catalog of the snapshot that s tells of.
func (m Model) CatalogOf(t rapid.TB, dir string, s index.Summary) *index.Catalog {
	path := filepath.Join(dir, s.Snapshot)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := index.NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	root, err := m.write(w, "", 0)
	if err == nil {
		err = errors.Join(w.Finish(root, []uint64{1}, s), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := index.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (m Model) write(w *index.Writer, path string, parent index.DirID) (e index.Entry, err error) {
	e = m[path]
	id, err := w.StartDir(parent, path[strings.LastIndexByte(path, '/')+1:])
	if err != nil {
		return e, err
	}
	var entries []index.Entry
	for child, c := range m {
		if child == "" || index.FolderOf(child) != path {
			continue
		}
		if c.Type == index.Dir {
			if c, err = m.write(w, child, id); err != nil {
				return e, err
			}
		}
		c.Name = child[strings.LastIndexByte(child, '/')+1:]
		entries = append(entries, c)
	}
	slices.SortFunc(entries, func(a, b index.Entry) int { return cmp.Compare(a.Name, b.Name) })
	err = w.AddDir(id, entries, &e)
	return e, err
}

// CloseAll closes catalogs.
func CloseAll(t rapid.TB, list ...*index.Catalog) {
	for _, c := range list {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
