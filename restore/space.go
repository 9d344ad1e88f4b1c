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
func (r *run) checkSpace(space *fsat.Space, empty bool, selected []tree.Selection) error {
	var from, to fsat.Stat
	if err := errors.Join(fsat.StatHandle(r.scope.fd, &from), fsat.StatHandle(r.target.fd, &to)); err != nil {
		return &fs.PathError{Op: "stat", Path: r.target.path, Err: err}
	}
	if !empty || from.Dev == to.Dev || r.opt.IgnoreSpace || r.opt.Progress.ExpectBytes.Load() <= space.Free {
		return nil
	}
	need, err := r.needed(selected)
	if err == nil && need > space.Free {
		err = &SpaceError{Target: r.target.path, Need: need, Free: space.Free}
	}
	return err
}

// needed adds up the space for the restore, without holes, entries left out, and further names of an inode. It is
// called only if the sizes alone exceed the free space.
func (r *run) needed(selected []tree.Selection) (uint64, error) {
	c := spaceCount{run: r, seen: make(map[tree.GroupKey]bool)}
	if selected == nil {
		root := r.scope.Catalog.Root()
		c.below("", &root)
	}
	for i := range selected {
		e := &selected[i].Entry
		c.add(selected[i].Folder, func(yield func(int, *index.Entry) bool) { yield(0, e) })
	}
	return c.bytes, context.Cause(r.ctx)
}

type spaceCount struct {
	run   *run
	bytes uint64
	seen  map[tree.GroupKey]bool // inodes with several names
}

// below counts the entries in a folder, or takes the folder's totals if its record is damaged.
func (c *spaceCount) below(path string, dir *index.Entry) {
	if c.run.ctx.Err() != nil {
		return
	}
	rec, err := c.run.scope.Catalog.ReadDir(dir.Child)
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
		case !dir && e.Type != index.File || c.run.opt.excludes(index.Join(folder, e.Name), dir):
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
