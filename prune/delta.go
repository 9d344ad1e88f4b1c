package prune

import (
	"context"

	"snapcopy/index"
)

// delta finds what one snapshot has more, or less, than the one before it. Folders in which the same stored files have the
// same places are not read.
type delta struct {
	ctx      context.Context
	old, new *index.Catalog // nil: none
	snapshot uint32         // position of the new one
	oldEra   uint32
	newEra   uint32
	out      *eventSorter
	batch    []event
}

const eventBatch = 4096

func (d *delta) run() error {
	var before, after index.Entry
	if d.old != nil {
		before = d.old.Root()
	}
	if d.new != nil {
		after = d.new.Root()
	}
	err := d.dirs(&before, &after)
	d.out.add(d.batch)
	d.batch = d.batch[:0]
	return err
}

// dirs compares two folders, of which one may be missing.
func (d *delta) dirs(before, after *index.Entry) error {
	if before.Type == index.Dir && after.Type == index.Dir && before.Inodes == after.Inodes && d.oldEra == d.newEra {
		return nil
	}
	if err := d.ctx.Err(); err != nil {
		return context.Cause(d.ctx)
	}
	var olds, news entries
	if err := olds.open(d.old, before); err != nil {
		return err
	}
	if err := news.open(d.new, after); err != nil {
		return err
	}
	var none index.Entry
	for olds.ok || news.ok {
		a, b := &olds.e, &news.e
		switch {
		case !news.ok || olds.ok && a.Name < b.Name:
			b = &none
		case !olds.ok || b.Name < a.Name:
			a = &none
		}
		if err := d.pair(a, b); err != nil {
			return err
		}
		if a != &none {
			olds.next()
		}
		if b != &none {
			news.next()
		}
	}
	return nil
}

// entries are those of one folder, in order.
type entries struct {
	cur index.Cursor
	e   index.Entry
	ok  bool
}

func (s *entries) open(c *index.Catalog, dir *index.Entry) error {
	if dir.Type != index.Dir {
		return nil
	}
	rec, err := c.ReadDir(dir.Child)
	if err != nil {
		return err
	}
	s.cur = rec.Cursor()
	s.next()
	return nil
}

func (s *entries) next() { s.ok = s.cur.Next(&s.e) }

// pair compares what two snapshots have under one name, either of which may be nothing (Type 0).
func (d *delta) pair(before, after *index.Entry) error {
	if before.Type == index.Dir || after.Type == index.Dir {
		var none index.Entry
		oldDir, newDir := before, after
		if before.Type != index.Dir {
			oldDir = &none
			d.note(before, d.oldEra, -1)
		}
		if after.Type != index.Dir {
			newDir = &none
			d.note(after, d.newEra, 1)
		}
		return d.dirs(oldDir, newDir)
	}
	if before.Stored == after.Stored && d.oldEra == d.newEra {
		return nil
	}
	d.note(before, d.oldEra, -1)
	d.note(after, d.newEra, 1)
	return nil
}

func (d *delta) note(e *index.Entry, era uint32, names int32) {
	if e.Type == 0 || e.Stored == 0 {
		return
	}
	d.batch = append(d.batch, event{inode: inode{era, e.Stored}, snapshot: d.snapshot, names: names, blocks: e.Blocks})
	if len(d.batch) == eventBatch {
		d.out.add(d.batch)
		d.batch = d.batch[:0]
	}
}
