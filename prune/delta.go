package prune

import (
	"cmp"
	"context"
	"slices"

	"snapcopy/index"
	"snapcopy/internal/extsort"
	"snapcopy/internal/pair"
)

// delta finds the names of stored files that one snapshot has gained or lost since the snapshot before it. It does not
// read folders with equal sums. The names themselves do not matter, only the number of names of each stored file.
type delta struct {
	ctx      context.Context
	old, new *index.Catalog // nil: none
	snapshot uint32         // position of the new one
	oldEra   uint32
	newEra   uint32
	out      *extsort.Sorter[event]
	batch    []event
	spare    []*index.Space
}

const eventBatch = 4096

func (d *delta) run() error {
	err := d.dirs(rootOf(d.old), rootOf(d.new))
	d.out.Add(d.batch...)
	d.batch = d.batch[:0]
	return err
}

// rootOf returns the top folder of a catalog, and a missing folder for no catalog.
func rootOf(c *index.Catalog) index.SpaceDir {
	if c == nil {
		return index.SpaceDir{}
	}
	root := c.Root()
	return index.SpaceDir{Sum: root.Inodes, Space: root.Space}
}

// dirs compares two folders. Space 0 stands for a missing one.
func (d *delta) dirs(before, after index.SpaceDir) error {
	if d.equal(before, after) {
		return nil
	}
	if err := d.ctx.Err(); err != nil {
		return context.Cause(d.ctx)
	}
	old, err := d.read(d.old, before)
	if err != nil {
		return err
	}
	now, err := d.read(d.new, after)
	if err != nil {
		return err
	}
	d.inodes(old.Inodes, now.Inodes)
	if d.oldEra == d.newEra {
		cancelEqual(old, now)
	}
	byName := func(a, b *index.SpaceDir) int { return cmp.Compare(a.Name, b.Name) }
	for a, b := range pair.Lists(pair.Slice(old.Dirs), pair.Slice(now.Dirs), byName) {
		if err := d.dirs(orMissing(a), orMissing(b)); err != nil {
			return err
		}
	}
	d.spare = append(d.spare, old, now)
	return nil
}

// equal reports whether two folders contain the same stored files.
func (d *delta) equal(a, b index.SpaceDir) bool {
	return d.oldEra == d.newEra && a.Space != 0 && b.Space != 0 && a.Sum == b.Sum
}

func orMissing(dir *index.SpaceDir) index.SpaceDir {
	if dir == nil {
		return index.SpaceDir{}
	}
	return *dir
}

// read returns the space record of a folder: the inodes ascending, the folders sorted by name.
func (d *delta) read(c *index.Catalog, dir index.SpaceDir) (*index.Space, error) {
	h := new(index.Space)
	if n := len(d.spare); n > 0 {
		h, d.spare = d.spare[n-1], d.spare[:n-1]
	}
	h.Inodes, h.Dirs = h.Inodes[:0], h.Dirs[:0]
	if dir.Space == 0 {
		return h, nil
	}
	if err := c.ReadSpace(dir.Space, h); err != nil {
		return nil, err
	}
	slices.SortFunc(h.Inodes, func(a, b index.SpaceInode) int { return cmp.Compare(a.Stored, b.Stored) })
	slices.SortFunc(h.Dirs, func(a, b index.SpaceDir) int { return compareDirs(&a, &b) })
	return h, nil
}

func compareDirs(a, b *index.SpaceDir) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.Sum[:], b.Sum[:]))
}

// cancelEqual removes folders that are in both lists, so that a folder that only changed its place is not compared
// with another one.
func cancelEqual(old, now *index.Space) {
	a, b := old.Dirs[:0], now.Dirs[:0]
	for x, y := range pair.Lists(pair.Slice(old.Dirs), pair.Slice(now.Dirs), compareDirs) {
		if y == nil {
			a = append(a, *x)
		}
		if x == nil {
			b = append(b, *y)
		}
	}
	old.Dirs, now.Dirs = a, b
}

// inodes records the names that only one of two folders has.
func (d *delta) inodes(old, now []index.SpaceInode) {
	byStored := func(a, b *index.SpaceInode) int { return cmp.Compare(a.Stored, b.Stored) }
	for a, b := range pair.Lists(pair.Slice(old), pair.Slice(now), byStored) {
		if a != nil && b != nil && d.oldEra == d.newEra { // in another era the same number is another file
			continue
		}
		if a != nil {
			d.note(*a, d.oldEra, -1)
		}
		if b != nil {
			d.note(*b, d.newEra, 1)
		}
	}
}

func (d *delta) note(h index.SpaceInode, era uint32, names int32) {
	d.batch = append(d.batch, event{inode: inode{era, h.Stored}, snapshot: d.snapshot, names: names, blocks: h.Blocks})
	if len(d.batch) == eventBatch {
		d.out.Add(d.batch...)
		d.batch = d.batch[:0]
	}
}
