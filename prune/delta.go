package prune

import (
	"cmp"
	"context"
	"slices"

	"snapcopy/index"
	"snapcopy/internal/extsort"
)

// delta finds what one snapshot has more, or less, than the one before it. Folders that hold the same in both are not
// read. What has which name does not matter: how many names a stored file has in each is all that is counted.
type delta struct {
	ctx      context.Context
	old, new *index.Catalog // nil: none
	snapshot uint32         // position of the new one
	oldEra   uint32
	newEra   uint32
	out      *extsort.Sorter[event]
	batch    []event
	spare    []*index.Held
}

const eventBatch = 4096

func (d *delta) run() error {
	var before, after index.HeldDir
	if d.old != nil {
		root := d.old.Root()
		before = index.HeldDir{Sum: root.Inodes, Space: root.Space}
	}
	if d.new != nil {
		root := d.new.Root()
		after = index.HeldDir{Sum: root.Inodes, Space: root.Space}
	}
	err := d.dirs(before, after)
	d.out.Add(d.batch...)
	d.batch = d.batch[:0]
	return err
}

// dirs compares two folders, of which one may be missing (Space 0).
func (d *delta) dirs(before, after index.HeldDir) error {
	if d.oldEra == d.newEra && before.Space != 0 && after.Space != 0 && before.Sum == after.Sum {
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
	a, b := old.Dirs, now.Dirs
	for len(a) > 0 || len(b) > 0 {
		var x, y index.HeldDir
		order := 0
		switch {
		case len(b) == 0:
			order = -1
		case len(a) == 0:
			order = 1
		default:
			order = cmp.Compare(a[0].Name, b[0].Name)
		}
		if order <= 0 {
			x, a = a[0], a[1:]
		}
		if order >= 0 {
			y, b = b[0], b[1:]
		}
		if err := d.dirs(x, y); err != nil {
			return err
		}
	}
	d.spare = append(d.spare, old, now)
	return nil
}

// read gives what a folder holds: the inodes ascending, the folders by their names.
func (d *delta) read(c *index.Catalog, dir index.HeldDir) (*index.Held, error) {
	h := new(index.Held)
	if n := len(d.spare); n > 0 {
		h, d.spare = d.spare[n-1], d.spare[:n-1]
	}
	h.Inodes, h.Dirs = h.Inodes[:0], h.Dirs[:0]
	if dir.Space == 0 {
		return h, nil
	}
	if err := c.Held(dir.Space, h); err != nil {
		return nil, err
	}
	slices.SortFunc(h.Inodes, func(a, b index.HeldInode) int { return cmp.Compare(a.Stored, b.Stored) })
	slices.SortFunc(h.Dirs, compareDirs)
	return h, nil
}

func compareDirs(a, b index.HeldDir) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.Sum[:], b.Sum[:]))
}

// cancelEqual takes folders that are in both out of both, so that one that has only changed its place among others is not
// taken for another.
func cancelEqual(old, now *index.Held) {
	a, b := old.Dirs[:0], now.Dirs[:0]
	i, j := 0, 0
	for i < len(old.Dirs) && j < len(now.Dirs) {
		switch order := compareDirs(old.Dirs[i], now.Dirs[j]); {
		case order < 0:
			a = append(a, old.Dirs[i])
			i++
		case order > 0:
			b = append(b, now.Dirs[j])
			j++
		default:
			i++
			j++
		}
	}
	old.Dirs = append(a, old.Dirs[i:]...)
	now.Dirs = append(b, now.Dirs[j:]...)
}

// inodes notes what only one of two folders holds.
func (d *delta) inodes(old, now []index.HeldInode) {
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].Stored < now[0].Stored:
			d.note(old[0], d.oldEra, -1)
			old = old[1:]
		case len(old) == 0 || now[0].Stored < old[0].Stored:
			d.note(now[0], d.newEra, 1)
			now = now[1:]
		default:
			if d.oldEra != d.newEra { // the same number, another file
				d.note(old[0], d.oldEra, -1)
				d.note(now[0], d.newEra, 1)
			}
			old, now = old[1:], now[1:]
		}
	}
}

func (d *delta) note(h index.HeldInode, era uint32, names int32) {
	d.batch = append(d.batch, event{inode: inode{era, h.Stored}, snapshot: d.snapshot, names: names, blocks: h.Blocks})
	if len(d.batch) == eventBatch {
		d.out.Add(d.batch...)
		d.batch = d.batch[:0]
	}
}
