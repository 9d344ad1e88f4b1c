package index

import (
	"context"
	"fmt"
	"strings"
)

// CopyWithout writes to the new Writer w a catalog of all entries of c except the entry at path, elements joined by
// '/', and everything below that entry. It returns the totals of the entries left out, which are zero if c does not
// contain path. Memory is bounded by the records on the way from the root.
func (c *Catalog) CopyWithout(ctx context.Context, w *Writer, path string) (left Totals, err error) {
	if path == "" {
		return left, fmt.Errorf("copy catalog %s: the root cannot be left out", c.path)
	}
	t := rewriter{ctx: ctx, from: c, to: w, change: func(string, *Entry) {}}
	err = t.all(path)
	return t.left, err
}

// CopyChanged writes to the new Writer w a catalog of all entries of c after change was called with each of them but the
// root, and with the path of its folder. change may set the fields that tell the place of the entry in the archive:
// Stored, Blocks, and the flags in CatalogOnly. Memory is that of CopyWithout.
func (c *Catalog) CopyChanged(ctx context.Context, w *Writer, change func(dir string, e *Entry)) error {
	t := rewriter{ctx: ctx, from: c, to: w, change: change}
	return t.all("")
}

type rewriter struct {
	ctx    context.Context
	from   *Catalog
	to     *Writer
	change func(dir string, e *Entry)
	left   Totals
	moved  map[uint64]struct{} // stored inodes that change has put in the place of others
}

// all copies the catalog without a path; "": with all entries.
func (t *rewriter) all(without string) error {
	t.moved = make(map[uint64]struct{})
	root := t.from.Root()
	if err := t.dir(&root, 0, "", without); err != nil {
		return err
	}
	for stored, blocks := range t.from.tail.finalBlocks {
		if _, moved := t.moved[stored]; !moved { // the number may be that of an inode that is gone
			t.to.SetBlocks(stored, blocks)
		}
	}
	return t.to.Finish(root, t.from.Devices(), t.from.Summary())
}

// dir copies the directory at a path, whose own entry is self, and updates self. without is the path to leave out,
// relative to this directory, or "".
func (t *rewriter) dir(self *Entry, parent DirID, path, without string) error {
	if err := t.ctx.Err(); err != nil {
		return context.Cause(t.ctx)
	}
	if err := t.xattrs(self); err != nil {
		return err
	}
	id, err := t.to.StartDir(parent, self.Name)
	if err != nil {
		return err
	}
	rec, err := t.from.ReadDir(self.Child)
	if err != nil {
		return err
	}
	first, rest, _ := strings.Cut(without, "/")
	entries := make([]Entry, 0, rec.Len())
	for _, e := range rec.written().Entries() {
		below := ""
		if without != "" && e.Name == first {
			if rest == "" {
				t.left.count(e)
				continue
			}
			below = rest
		}
		entries = append(entries, *e)
		last := &entries[len(entries)-1]
		t.changed(path, last)
		if last.Type == Dir {
			err = t.dir(last, id, Join(path, last.Name), below)
		} else {
			err = t.xattrs(last)
		}
		if err != nil {
			return err
		}
	}
	return t.to.AddDir(id, entries, self)
}

// changed calls change, and remembers a new stored inode.
func (t *rewriter) changed(dir string, e *Entry) {
	was := e.Stored
	t.change(dir, e)
	if e.Stored != was {
		t.moved[e.Stored] = struct{}{}
	}
}

func (t *rewriter) xattrs(e *Entry) error {
	set, err := t.from.Xattrs(e.Xattrs)
	if err != nil {
		return err
	}
	e.Xattrs, _, err = t.to.AddXattrs(set)
	return err
}
