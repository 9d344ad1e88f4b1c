package index

import (
	"errors"
	"io/fs"
)

// SkipAll, returned by the function given to Walk, ends the walk without an error.
var SkipAll = fs.SkipAll

// Walk calls fn for every entry below the root, a directory before the entries below it, and the entries of each
// directory in the order of their names. dir is the path of the directory that contains e, "" for the root, and r is
// its record. e is valid until fn returns. Memory is bounded by the records on the way from the root.
func (c *Catalog) Walk(fn func(dir string, r *Record, e *Entry) error) error {
	err := c.walk("", c.tail.root.Child, fn)
	if errors.Is(err, SkipAll) {
		return nil
	}
	return err
}

func (c *Catalog) walk(dir string, pos uint64, fn func(string, *Record, *Entry) error) error {
	r, err := c.ReadDir(pos)
	if err != nil {
		return err
	}
	var e Entry
	for cur := r.Cursor(); cur.Next(&e); {
		err := fn(dir, r, &e)
		if err == nil && e.Type == Dir {
			err = c.walk(Join(dir, e.Name), e.Child, fn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
