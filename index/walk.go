package index

import (
	"errors"
	"io/fs"
)

// SkipDir, returned by the function given to Walk, skips the directory that the call was about, or what is left of
// the directory that holds the entry. SkipAll ends the walk without an error.
var (
	SkipDir = fs.SkipDir
	SkipAll = fs.SkipAll
)

// Walk calls fn for every entry below the root, a directory before what is in it, each directory in the order of
// the names. dir is the path of the directory with the record r that holds e, "" for the root. e is valid until
// fn returns. Memory is bounded by the records on the way from the root.
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
		} else if err == SkipDir && e.Type == Dir {
			err = nil
		}
		if err == SkipDir {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
