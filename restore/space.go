package restore

import (
	"context"
	"errors"
	"io/fs"
	"iter"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// checkSpace checks that an empty target has space for everything. No requirement can be computed for entries that may
// share the archive's blocks, or that exist already.
func (r *run) checkSpace(space *fsat.Space, empty bool) error {
	var from, to fsat.Stat
	if err := errors.Join(fsat.StatHandle(r.scope.fd, &from), fsat.StatHandle(r.target.fd, &to)); err != nil {
		return &fs.PathError{Op: "stat", Path: r.target.path, Err: err}
	}
	if !empty || from.Dev == to.Dev || r.opt.IgnoreSpace || r.opt.Progress.ExpectBytes.Load() <= space.Free {
		return nil
	}
	// The sizes alone exceed the free space: only now the catalog is read for it.
	count := spaceCount{ctx: r.ctx, scope: &r.scope, opt: &r.opt, seen: make(map[tree.GroupKey]bool)}
	err := count.all()
	if err == nil && count.bytes > space.Free {
		err = &SpaceError{Target: r.target.path, Need: count.bytes, Free: space.Free}
	}
	return err
}

// spaceCount adds up the space for a restore, without holes, entries left out, and further names of an inode.
type spaceCount struct {
	ctx   context.Context
	scope *scope
	opt   *Options
	bytes uint64
	seen  map[tree.GroupKey]bool // inodes with several names
}

func (c *spaceCount) all() error {
	if c.scope.whole() {
		root := c.scope.Catalog.Root()
		c.below("", &root)
	}
	for i := range c.scope.selected {
		s := &c.scope.selected[i]
		c.add(s.Folder, func(yield func(int, *index.Entry) bool) { yield(0, &s.Entry) })
	}
	return context.Cause(c.ctx)
}

// below counts the entries in a folder, or takes the folder's totals if its record is damaged.
func (c *spaceCount) below(path string, dir *index.Entry) {
	if c.ctx.Err() != nil {
		return
	}
	rec, err := c.scope.Catalog.ReadDir(dir.Child)
	if err != nil {
		c.bytes += dir.Below.Bytes
		return
	}
	c.add(path, rec.Entries())
}

// add counts entries of a folder, and all entries below them.
func (c *spaceCount) add(folder string, entries iter.Seq2[int, *index.Entry]) {
	for _, e := range entries {
		dir := e.Type == index.Dir
		switch {
		case !dir && e.Type != index.File || c.opt.excludes(index.Join(folder, e.Name), dir):
		case dir:
			c.below(index.Join(folder, e.Name), e)
		case !e.Linked() || !c.known(e):
			c.bytes += withoutHoles(e)
		}
	}
}

// withoutHoles returns the size of a file without its holes: for a file large enough for them to matter, the size of
// its stored file on the disk.
func withoutHoles(e *index.Entry) uint64 {
	const small = 1 << 20
	if e.Size < small || e.Stored == 0 {
		return e.Size
	}
	return min(e.Size, e.Blocks*512)
}

// known reports whether a name of the same inode has been counted.
func (c *spaceCount) known(e *index.Entry) bool {
	key := tree.GroupKeyOf(e)
	known := c.seen[key]
	c.seen[key] = true
	return known
}
