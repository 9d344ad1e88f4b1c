package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/folders"
	"snapcopy/internal/fsat"
	"snapcopy/internal/inodeset"
)

// forget takes removed snapshots out of the content-hash index. A stored file that other snapshots have as well gets a
// location in one of them. A missing or damaged index is left to the next run.
//
// To find stored files elsewhere, forget searches the newest snapshot first: it has most of them, and will exist for
// long, so that the next removal has little to do. Then comes the snapshot right after each removed one: a file
// missing from it is usually gone for good. While the removed folder is still in the trash, the number of names of a
// stored file proves that. Only if some files remain in doubt are the catalogs of all other snapshots read.
func (a *Locked) forget(ctx context.Context) (err error) {
	x, err := index.OpenIndex(a.IndexPath())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, index.ErrDamaged) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	snapshots, err := a.Snapshots()
	if err != nil {
		return err
	}
	g := forgetter{ctx: ctx, archive: a.Archive, snapshots: snapshots}
	for _, name := range x.Snapshots() {
		if !slices.ContainsFunc(snapshots, func(s Snapshot) bool { return s.Name == name }) {
			g.gone = append(g.gone, name)
		}
	}
	if g.gone == nil {
		return nil
	}
	slices.Sort(g.gone)
	comparable, err := g.comparable()
	if err != nil {
		return err
	}
	if !comparable {
		return a.MakeIndex(ctx, snapshots)
	}
	g.Forgetting = index.Forget(x, func(name string) bool { return slices.Contains(g.gone, name) }, a.WorkPath())
	defer func() { err = errors.Join(err, g.Close()) }()
	if err := g.relocate(); err != nil {
		return err
	}
	return g.Commit(ctx, a.IndexPath())
}

// forgetter is one change of the index under way.
type forgetter struct {
	*index.Forgetting
	ctx       context.Context
	archive   *Archive
	snapshots []Snapshot
	gone      []string     // sorted
	wanted    inodeset.Set // stored files that the index found in those gone, and has not found elsewhere
	left      uint64       // how many
}

// comparable reports whether all catalogs speak of the same inodes: an archive that was copied to another file system
// has older catalogs with the numbers of that one.
func (g *forgetter) comparable() (bool, error) {
	paths := make([]string, 0, len(g.gone)+len(g.snapshots))
	for _, name := range g.gone {
		paths = append(paths, g.archive.Trash.path(name+CatalogExt))
	}
	for _, s := range g.snapshots {
		paths = append(paths, s.CatalogPath)
	}
	for i, path := range paths {
		c, err := index.Open(path)
		if err != nil {
			if i < len(g.gone) { // removed by other means than ours
				return false, nil
			}
			continue // nothing can be found in it
		}
		same := c.Summary().Anchor == g.archive.Anchor
		if err := c.Close(); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// relocate finds the stored files in other snapshots.
func (g *forgetter) relocate() error {
	err := g.Affected(g.ctx, func(stored uint64) {
		if g.wanted.Claim(stored) {
			g.left++
		}
	})
	if err != nil {
		return err
	}
	first, rest := g.order()
	if err := g.lookIn(first); err != nil {
		return err
	}
	if err := g.dropUnused(); err != nil {
		return err
	}
	return g.lookIn(rest)
}

// order lists the snapshots in which to look: the newest and those right after the ones gone first, and all others,
// each the newest first.
func (g *forgetter) order() (first, rest []Snapshot) {
	for n, s := range slices.Backward(g.snapshots) {
		before := ""
		for _, other := range g.snapshots {
			if other.Name < s.Name {
				before = other.Name
			}
		}
		i, _ := slices.BinarySearch(g.gone, before)
		if n == len(g.snapshots)-1 || i < len(g.gone) && g.gone[i] < s.Name {
			first = append(first, s)
		} else {
			rest = append(rest, s)
		}
	}
	return first, rest
}

func (g *forgetter) lookIn(list []Snapshot) error {
	for _, s := range list {
		if g.left == 0 {
			return nil
		}
		c, err := s.OpenCatalog()
		if err != nil {
			continue // verify tells of it
		}
		err = g.Look(g.ctx, c, func(stored uint64) (take, more bool) {
			take = g.wanted.Has(stored)
			if take {
				g.found(stored)
			}
			return take, g.left > 0
		})
		if err = errors.Join(err, c.Close()); err != nil && !errors.Is(err, index.ErrDamaged) {
			return err
		}
	}
	return nil
}

// found ends the search for a stored file.
func (g *forgetter) found(stored uint64) {
	g.wanted.Release(stored)
	g.left--
}

// maxCounted bounds the stored files with several names whose names are counted; further ones are searched for.
const maxCounted = 1 << 16

// dropUnused ends the search for stored files all of whose names are in the folders that go.
func (g *forgetter) dropUnused() error {
	names := make(map[uint64]uint32) // of stored files met: names not met yet
	for _, name := range g.gone {
		if g.left == 0 {
			return nil
		}
		if err := g.dropIn(name, names); err != nil {
			return fmt.Errorf("removed snapshot %s: %w", name, err)
		}
	}
	return nil
}

func (g *forgetter) dropIn(name string, names map[uint64]uint32) (err error) {
	c, err := index.Open(g.archive.Trash.path(name + CatalogExt))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	f := goneFolder{top: g.archive.Trash.path(name)}
	f.used = folders.Cache[string]{Open: f.open, Most: 1}
	defer func() { err = errors.Join(err, f.used.Close()) }()
	err = c.Walk(func(dir string, _ *index.Record, e *index.Entry) error {
		switch {
		case g.ctx.Err() != nil:
			return context.Cause(g.ctx)
		case e.Type != index.File || e.Stored == 0 || !g.wanted.Has(e.Stored):
			return nil
		}
		var st fsat.Stat
		if there, err := f.stat(dir, e.Name, &st); err != nil || !there || st.Ino != e.Stored {
			return err
		}
		g.meet(e.Stored, st.Nlink, names)
		return nil
	})
	if errors.Is(err, index.ErrDamaged) { // searching finds it all the same
		return nil
	}
	return err
}

// meet counts a name of a stored file. When all its names were met, the stored file goes with the snapshots.
func (g *forgetter) meet(stored uint64, links uint32, names map[uint64]uint32) {
	left, met := names[stored]
	switch {
	case !met && links > 1:
		if len(names) < maxCounted {
			names[stored] = links - 1
		}
	case !met || left == 1:
		delete(names, stored)
		g.found(stored)
	default:
		names[stored] = left - 1
	}
}

// goneFolder looks at the files of a snapshot in the trash, and keeps the folder used last open.
type goneFolder struct {
	top  string
	dir  string // asked for last, a copy
	used folders.Cache[string]
}

func (f *goneFolder) open(dir string) (fd int, err error) {
	top, err := fsat.OpenRoot(f.top)
	if err != nil {
		return fsat.NoDir, err
	}
	var below []string
	if dir != "" {
		below = strings.Split(dir, "/")
	}
	fd, err = fsat.OpenBelow(top, below)
	if closeErr := fsat.Close(top); closeErr != nil {
		return fsat.NoDir, errors.Join(closeErr, fsat.Close(fd))
	}
	return fd, err
}

// stat describes a file if its folder can be opened.
func (f *goneFolder) stat(dir, name string, st *fsat.Stat) (reached bool, err error) {
	if dir != f.dir {
		f.dir = strings.Clone(dir)
	}
	err = f.used.In(f.dir, func(fd int) error {
		err := fsat.StatAt(fd, name, st)
		reached = err == nil
		return ignoreUnreachable(err)
	})
	if fsat.IsOtherType(err) { // so the name is not below it
		return false, nil
	}
	return reached, ignoreUnreachable(err)
}

// ignoreUnreachable returns nil if err only says that a name is missing or a permission is lacking.
func ignoreUnreachable(err error) error {
	if err == nil || fsat.IsGone(err) || fsat.IsRefused(err) {
		return nil
	}
	return err
}
