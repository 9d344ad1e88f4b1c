package index

import (
	"context"
	"fmt"
	"strings"
)

// CopyWithout writes to w, which is new, a catalog of everything in c but for what is at a path from the root, elements
// joined by '/', and below it. It reports what that was: nothing, if the path is not in c. Memory is bounded by the records
// on the way from the root.
func (c *Catalog) CopyWithout(ctx context.Context, w *Writer, path string) (left Totals, err error) {
	if path == "" {
		return left, fmt.Errorf("copy catalog %s: the root cannot be left out", c.path)
	}
	t := rewriter{ctx: ctx, from: c, to: w}
	root := c.Root()
	if err := t.dir(&root, 0, "", path); err != nil {
		return left, err
	}
	for stored, blocks := range c.tail.settled {
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

// dir copies a directory, whose own entry is self, and sets in self what is new. without is the path of what is left out,
// from here; "" if it is not below this directory.
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
