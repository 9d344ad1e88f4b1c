package index

import (
	"context"
	"fmt"
	"io"

	"github.com/zeebo/blake3"
)

// maxCheckedSets bounds the sets of extended attributes whose hashes Check remembers.
const maxCheckedSets = 1 << 16

// Check proves the whole catalog: the hash of the file; every block; that each record is reached exactly once from the
// root, under the name in the directory table, with the hash and the totals that its parent states; and that each
// reference to extended attributes leads to a set with the stated hash. Check returns the first damage, or the error
// of ctx.
func (c *Catalog) Check(ctx context.Context) error {
	if err := c.checkFile(ctx); err != nil {
		return err
	}
	if err := c.checkRows(ctx); err != nil {
		return err
	}
	if err := c.checkXattrs(ctx); err != nil {
		return err
	}
	records, err := c.countRecords(ctx)
	if err != nil {
		return err
	}
	tree := treeCheck{c: c, sets: make(map[XattrRef]Hash)}
	root := c.tail.root
	if err := tree.xattrs(&root); err != nil {
		return err
	}
	if err := tree.dir(ctx, &root, 0); err != nil {
		return err
	}
	if tree.reached != records {
		return c.damaged(c.end, fmt.Errorf("%d of %d records belong to no directory: %w",
			records-tree.reached, records, errMismatch))
	}
	if tree.space != c.tail.space.raw {
		return c.damaged(c.end, fmt.Errorf("records of space belong to no directory: %w", errMismatch))
	}
	return nil
}

// checkFile compares the hash in the footer, which covers everything before it.
func (c *Catalog) checkFile(ctx context.Context) error {
	footer, err := c.pread(c.foot, footerSize)
	if err != nil {
		return err
	}
	h := blake3.New()
	covered := c.foot + footerSize - 40
	r := io.NewSectionReader(c.f, 0, covered)
	buf := make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf)
		if _, err := h.Write(buf[:n]); err != nil {
			return err
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if string(h.Sum(nil)) != string(footer[footerSize-40:footerSize-8]) {
		return c.damaged(c.foot, fmt.Errorf("file: %w", errChecksum))
	}
	return nil
}

func (c *Catalog) checkRows(ctx context.Context) error {
	for i := range c.tail.dirs.blocks {
		if _, err := c.block(&c.tail.dirs, i); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalog) checkXattrs(ctx context.Context) error {
	for ref := XattrRef(1); uint64(ref) <= c.tail.xattrs.raw; {
		b, next, err := c.readXattrs(ref)
		if err != nil {
			return err
		}
		if _, err := decodeXattrs(b); err != nil {
			return c.damagedAt(&c.tail.xattrs, uint64(ref)-1, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		ref = next
	}
	return nil
}

func (c *Catalog) countRecords(ctx context.Context) (records uint64, err error) {
	for pos := uint64(1); pos <= c.tail.records.raw; records++ {
		if _, pos, err = c.readRecord(pos); err != nil {
			return 0, err
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}
	return records, nil
}

// treeCheck walks the tree from the root. It needs no list of records visited: each record is reached under the parent
// and the name that the directory table has for its number, and no record contains a name twice.
type treeCheck struct {
	c       *Catalog
	reached uint64
	space   uint64 // bytes of the space stream
	sets    map[XattrRef]Hash
}

// dir checks the record of e, an entry of the directory parent, and all below.
func (t *treeCheck) dir(ctx context.Context, e *Entry, parent DirID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := t.c.ReadDir(e.Child)
	if err != nil {
		return err
	}
	if err := t.record(r, e, parent); err != nil {
		return t.c.damagedAt(&t.c.tail.records, e.Child-1, fmt.Errorf("directory %d: %w", r.id, err))
	}
	var child Entry
	for cur := r.Cursor(); cur.Next(&child); {
		if err := t.xattrs(&child); err != nil {
			return err
		}
		if child.Type == Dir {
			if err := t.dir(ctx, &child, r.id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *treeCheck) record(r *Record, e *Entry, parent DirID) error {
	row, err := t.c.row(r.id)
	if err != nil {
		return err
	}
	switch {
	case row.name != e.Name || row.parent != parent || (r.id == 0) != (e.Name == ""):
		return fmt.Errorf("%w: name", errMismatch)
	case r.hash() != e.Hash:
		return fmt.Errorf("hash of %q: %w", e.Name, errChecksum)
	case r.totals != e.Below:
		return fmt.Errorf("%w: totals", errMismatch)
	}
	length, err := t.c.checkSpace(r, e.Space, e.Inodes)
	t.reached++
	t.space += length
	return err
}

func (t *treeCheck) xattrs(e *Entry) error {
	if e.Xattrs == 0 {
		return nil
	}
	h, ok := t.sets[e.Xattrs]
	if !ok {
		b, _, err := t.c.readXattrs(e.Xattrs)
		if err != nil {
			return err
		}
		if _, err := decodeXattrs(b); err != nil {
			return t.c.damagedAt(&t.c.tail.xattrs, uint64(e.Xattrs)-1, err)
		}
		if len(t.sets) >= maxCheckedSets {
			clear(t.sets)
		}
		h = hashOf(b)
		t.sets[e.Xattrs] = h
	}
	if h != e.XattrHash {
		return t.c.damagedAt(&t.c.tail.xattrs, uint64(e.Xattrs)-1, fmt.Errorf("set of %q: %w", e.Name, errChecksum))
	}
	return nil
}
