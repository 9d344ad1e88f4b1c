package prune

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"

	"snapcopy/index"
	"snapcopy/internal/inodeset"
	"snapcopy/internal/pair"
)

// Place is a file or a folder and the space it takes in all snapshots considered.
type Place struct {
	Path     string
	Folder   bool
	Bytes    uint64 // allocated: each stored file once, under the first name met; folders of every snapshot
	Versions uint64 // File: number of different stored files under this name. Folder: of stored files below.
}

// Top returns the files and the folders that take the most space, count of each, the largest first. A stored file with
// several names counts under one of them. since, if not nil, is a snapshot before those of the list. Its stored files
// do not count, nor do folders themselves, so that the result shows growth. The work grows with the differences
// between the snapshots.
func Top(ctx context.Context, list []Catalog, since *Catalog, count int) (files, folders []Place, err error) {
	t := topper{ctx: ctx, files: places{most: count}, folders: places{most: count}}
	defer func() {
		for _, c := range t.catalogs {
			err = errors.Join(err, c.Close())
		}
	}()
	var at []placed
	all := list
	if since != nil {
		all = append([]Catalog{*since}, list...)
	}
	for i := range all {
		c, err := all[i].open()
		if err != nil {
			return nil, nil, fmt.Errorf("count space of %s: %w", all[i].Name, err)
		}
		c.KeepBlocks(2)
		t.catalogs = append(t.catalogs, c)
		at = append(at, placed{c, c.Root(), 1})
	}
	var old *placed
	if since != nil {
		old, at = &at[0], at[1:]
		if err := t.meet(old.catalog, old.entry.Space); err != nil {
			return nil, nil, err
		}
	}
	if _, err := t.folder("", at, old); err != nil {
		return nil, nil, err
	}
	return t.files.sorted(), t.folders.sorted(), nil
}

// placed is the entry that one or more snapshots have under one path.
type placed struct {
	catalog *index.Catalog
	entry   index.Entry
	times   uint64 // in so many snapshots it is the same
}

type topper struct {
	ctx            context.Context
	catalogs       []*index.Catalog
	files, folders places
	seen           inodeset.Set // stored files that were met
}

// meet marks all stored files below a folder as met.
func (t *topper) meet(c *index.Catalog, space uint64) error {
	if err := t.ctx.Err(); err != nil {
		return context.Cause(t.ctx)
	}
	var h index.Space
	if err := c.ReadSpace(space, &h); err != nil {
		return err
	}
	for _, e := range h.Inodes {
		t.seen.Claim(e.Stored)
	}
	for i := range h.Dirs {
		if err := t.meet(c, h.Dirs[i].Space); err != nil {
			return err
		}
	}
	return nil
}

// sum is the space of the stored files under one path, and their number.
type sum struct{ bytes, files uint64 }

func (s *sum) add(other sum) {
	s.bytes += other.bytes
	s.files += other.files
}

// folder counts the entries under one path in some snapshots. It reads equal folders once, and none that equals old,
// if old is not nil.
func (t *topper) folder(path string, in []placed, old *placed) (all sum, err error) {
	if err := t.ctx.Err(); err != nil {
		return sum{}, context.Cause(t.ctx)
	}
	different := distinct(in, old)
	if old == nil {
		for _, p := range in {
			all.bytes += p.entry.Blocks * blockSize * p.times
		}
	}
	lists, err := pull(different)
	if err != nil {
		return sum{}, err
	}
	var before *index.Record
	if old != nil && len(different) > 0 && old.entry.Type == index.Dir {
		if before, err = old.catalog.ReadDir(old.entry.Child); err != nil {
			return sum{}, err
		}
	}
	var folders []placed
	for row := range pair.Rows(lists, index.CompareNames) {
		name, file := "", sum{}
		name, file, folders = t.row(row, different, folders[:0])
		child := joinPath(path, name)
		if file.files > 0 {
			t.files.add(Place{Path: child, Bytes: file.bytes, Versions: file.files})
			all.add(file)
		}
		if len(folders) > 0 {
			below, err := t.folder(child, slices.Clone(folders), old.child(before, name))
			if err != nil {
				return sum{}, err
			}
			all.add(below)
		}
	}
	if path != "" {
		t.folders.add(Place{Path: path, Folder: true, Bytes: all.bytes, Versions: all.files})
	}
	return all, nil
}

// distinct returns the different folders of a list, without those that equal old.
func distinct(in []placed, old *placed) (different []placed) {
	for _, p := range in {
		if old != nil && p.entry.Inodes == old.entry.Inodes {
			continue
		}
		i := slices.IndexFunc(different, func(q placed) bool {
			return q.entry.Inodes == p.entry.Inodes && q.entry.Hash == p.entry.Hash
		})
		if i < 0 {
			different = append(different, p)
		} else {
			different[i].times += p.times
		}
	}
	return different
}

// pull returns the entries of each folder.
func pull(in []placed) ([]pair.Next[index.Entry], error) {
	lists := make([]pair.Next[index.Entry], len(in))
	for i, p := range in {
		rec, err := p.catalog.ReadDir(p.entry.Child)
		if err != nil {
			return nil, err
		}
		lists[i] = rec.Pull()
	}
	return lists, nil
}

// row counts the stored files under one name of some folders, and appends its folders to a list.
func (t *topper) row(row []*index.Entry, of []placed, folders []placed) (name string, file sum, _ []placed) {
	for i, e := range row {
		if e == nil {
			continue
		}
		name = e.Name
		if e.Type == index.Dir {
			folders = append(folders, placed{of[i].catalog, *e, of[i].times})
		} else if e.Stored != 0 && t.seen.Claim(e.Stored) {
			file.add(sum{e.Blocks * blockSize, 1})
		}
	}
	return name, file, folders
}

// child returns the entry of a folder under a name. rec is the record of the folder, or nil if it is none.
func (p *placed) child(rec *index.Record, name string) *placed {
	if p == nil {
		return nil
	}
	child := &placed{catalog: p.catalog}
	if rec != nil {
		child.entry, _ = rec.Find(name)
	}
	return child
}

func joinPath(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// places keeps the largest places.
type places struct {
	most int
	list []Place
}

func (p *places) Len() int           { return len(p.list) }
func (p *places) Less(i, j int) bool { return comparePlaces(p.list[i], p.list[j]) > 0 }
func (p *places) Swap(i, j int)      { p.list[i], p.list[j] = p.list[j], p.list[i] }
func (p *places) Push(x any)         { p.list = append(p.list, x.(Place)) }
func (p *places) Pop() any {
	last := p.list[len(p.list)-1]
	p.list = p.list[:len(p.list)-1]
	return last
}

// comparePlaces sorts by size, the larger first, then by path.
func comparePlaces(a, b Place) int {
	return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Path, b.Path))
}

func (p *places) add(place Place) {
	if place.Bytes == 0 || p.most < 1 {
		return
	}
	if len(p.list) < p.most {
		heap.Push(p, place)
	} else if comparePlaces(place, p.list[0]) < 0 {
		p.list[0] = place
		heap.Fix(p, 0)
	}
}

func (p *places) sorted() []Place {
	slices.SortFunc(p.list, comparePlaces)
	return p.list
}
