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
	t := rewriter{ctx: ctx, from: c, to: w}
	root := c.Root()
	if err := t.dir(&root, 0, "", path); err != nil {
		return left, err
	}
	for stored, blocks := range c.tail.finalBlocks {
		w.SetBlocks(stored, blocks)
	}
	return t.left, w.Finish(root, c.Devices(), c.Summary())
}

type rewriter struct {
	ctx  context.Context
	from *Catalog
	to   *Writer
	left Totals
}

// dir copies the directory whose own entry is self, and updates self. without is the path to leave out, relative to
// this directory, or "".
func (t *rewriter) dir(self *Entry, parent DirID, name, without string) error {
	if err := t.ctx.Err(); err != nil {
		return context.Cause(t.ctx)
	}
	if err := t.xattrs(self); err != nil {
		return err
	}
	id, err := t.to.StartDir(parent, name)
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
		if last.Type == Dir {
			err = t.dir(last, id, last.Name, below)
		} else {
			err = t.xattrs(last)
		}
		if err != nil {
			return err
		}
	}
	return t.to.AddDir(id, entries, self)
}

func (t *rewriter) xattrs(e *Entry) error {
	set, err := t.from.Xattrs(e.Xattrs)
	if err != nil {
		return err
	}
	e.Xattrs, _, err = t.to.AddXattrs(set)
	return err
}
