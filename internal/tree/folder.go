package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/dirhandles"
	"snapcopy/internal/fsat"
)

// maxRoots is the number of trees that can be walked side by side: a snapshot and the target of its restore.
const maxRoots = 2

// A Root is the top of one of the trees of a walk.
type Root struct {
	// Dir is the handle of a folder, open as long as the walk goes on, and Path the top's path below it; "": Dir is
	// the top.
	Dir  int
	Path string
	// Optional makes the walk go on without this tree in a folder that cannot be opened again; Folder.Lost has the
	// error, and no second attempt is made. In other trees the error is returned by Acquire.
	Optional bool
	// Op begins the text of an error from opening a folder again: "open in target".
	Op string
}

// A Walk is a walk through one or several trees side by side, with the folders that were entered and not left. Most of
// them are closed while the walk is far away; package dirhandles decides that. The zero value is ready for Start.
type Walk struct {
	dirs  dirhandles.Set[*Folder]
	roots []Root
}

// A Folder is a folder on the way of a walk, in all of its trees. It knows its path, has a handle in each tree with
// this folder, and, if its ID was set, makes sure that a handle is never that of another folder. The zero value has no
// handles. Roots are numbered in the order given to Start.
//
// Begin sets the folder's place, Open or Put its handles. Enter makes it a part of the walk, which opens and closes
// the handles from then on: they are valid between Acquire and Release. Leave ends it. The owner closes a Folder that
// was not entered.
type Folder struct {
	walk    *Walk
	parent  *Folder
	name    string
	paths   []string // path in each tree, of a base or of a top in the middle of the trees; nil: it has a name
	handles dirhandles.Dir[*Folder]
	places  [maxRoots]place
}

// place is a folder in one of the trees.
type place struct {
	handle int     // plus one, so that the zero value is none
	id     InodeID // zero: not compared
	was    bool    // it was open when the folder was entered
	lost   error
}

// Start enters the top, whose handles were set by Put. They stay open until it is left.
func (w *Walk) Start(top *Folder, roots ...Root) {
	w.roots = roots
	w.dirs.Open, w.dirs.OpenFrom, w.dirs.Close = (*Folder).openByPath, (*Folder).openFrom, (*Folder).Close
	top.walk = w
	top.entered()
	w.dirs.Start(&top.handles, top)
}

// CloseAll closes the handles still open after a walk that ended early, when no worker uses them any more.
func (w *Walk) CloseAll() error { return w.dirs.CloseAll() }

// Begin makes f the folder of that name in parent.
func (f *Folder) Begin(parent *Folder, name string) {
	f.walk, f.parent, f.name = parent.walk, parent, name
}

// BeginBase makes f a folder anywhere below the top, by its path in each of the trees; the paths may differ.
func (f *Folder) BeginBase(top *Folder, paths ...string) {
	f.walk, f.parent, f.paths = top.walk, top, paths
}

// BeginTop makes f the top of a walk that begins in the middle of the trees, by its path in each of them.
func (f *Folder) BeginTop(paths ...string) { f.paths = paths }

// Name returns the folder's name; "" for the top and a base.
func (f *Folder) Name() string { return f.name }

// Path returns the folder's path in the first tree, elements joined by '/'; "" for the top.
func (f *Folder) Path() string { return f.PathIn(0) }

// PathIn returns the folder's path in one tree.
func (f *Folder) PathIn(root int) string {
	var names []string
	at := f
	for ; at.parent != nil && at.paths == nil; at = at.parent {
		names = append(names, at.name)
	}
	if at.paths != nil && at.paths[root] != "" {
		names = append(names, at.paths[root])
	}
	if len(names) == 1 {
		return names[0]
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}

// Child returns the path of a name in the folder, in the first tree.
func (f *Folder) Child(name string) string { return index.Join(f.Path(), name) }

// FD returns the folder's handle in one tree, valid until Release; fsat.NoDir if it has none there.
func (f *Folder) FD(root int) int { return f.places[root].handle - 1 }

// Lost returns the error why the folder has no handle in an optional tree; nil if it has one, or needs none.
func (f *Folder) Lost(root int) error { return f.places[root].lost }

// ID returns the inode of the folder in one tree, if it was set.
func (f *Folder) ID(root int) InodeID { return f.places[root].id }

// SetID sets the inode of the folder in one tree: handles opened later must have the same.
func (f *Folder) SetID(root int, id InodeID) { f.places[root].id = id }

// Put sets the folder's handle in one tree, or the error why it has none.
func (f *Folder) Put(root, fd int, err error) {
	if err != nil {
		fd = fsat.NoDir
	}
	f.places[root].handle, f.places[root].lost = fd+1, err
}

// Open opens the folder in one tree: by its name in the folder above, which must be acquired, or a base by its path.
// If the folder above has no handle, Open returns the same error.
func (f *Folder) Open(root int) error {
	var fd int
	var err error
	switch above := &f.parent.places[root]; {
	case f.paths != nil:
		fd, err = f.byPath(root)
	case above.handle == 0:
		f.places[root].lost = above.lost
		return above.lost
	default:
		fd, err = fsat.OpenDir(above.handle-1, f.name)
	}
	f.Put(root, fd, f.failed(root, err))
	return err
}

// failed returns the error for a handle that cannot be opened. In an optional tree it has no path, since it is reported
// with the path of an entry.
func (f *Folder) failed(root int, err error) error {
	if err == nil {
		return nil
	}
	if r := &f.walk.roots[root]; r.Optional { // it is told with the path of an entry
		return fmt.Errorf("%s: %w", r.Op, err)
	}
	return &fs.PathError{Op: f.walk.roots[root].Op, Path: f.Path(), Err: err}
}

// Enter makes the folder a part of the walk. From here on the walk closes its handles, even after an error.
func (f *Folder) Enter() error {
	f.entered()
	return f.handles.Enter(&f.parent.handles, f)
}

// entered records the trees that have the folder.
func (f *Folder) entered() {
	for i := range f.places {
		f.places[i].was = f.places[i].handle != 0
	}
}

// Acquire makes sure that the handles are open until Release.
func (f *Folder) Acquire() error { return f.handles.Acquire() }

// Release ends one Acquire.
func (f *Folder) Release() error { return f.handles.Release() }

// Leave ends the folder. All folders below it must have been left.
func (f *Folder) Leave() error { return f.handles.Leave() }

// Close closes the handles of a folder that was not entered.
func (f *Folder) Close() error {
	var errs [maxRoots]error
	for i := range f.places {
		errs[i] = fsat.Close(f.FD(i))
		f.places[i].handle = 0
	}
	if err := errors.Join(errs[:]...); err != nil {
		return &fs.PathError{Op: "close folder", Path: f.Path(), Err: err}
	}
	return nil
}

// Again opens the folder once more in one tree. It works after Leave, too, and the caller closes the handle.
func (f *Folder) Again(root int) (int, error) {
	if f.parent == nil || f.paths != nil {
		fd, err := f.byPath(root)
		return fd, f.failed(root, err)
	}
	fd := fsat.NoDir
	open, err := f.handles.IfOpen(func() (err error) {
		fd, err = fsat.OpenDir(f.FD(root), ".")
		return err
	})
	if open {
		return fd, err
	}
	parent, err := f.parent.Again(root)
	if err != nil {
		return fsat.NoDir, err
	}
	fd, err = f.places[root].same(fsat.OpenDir(parent, f.name))
	if closeErr := fsat.Close(parent); closeErr != nil {
		return fsat.NoDir, errors.Join(err, closeErr, fsat.Close(fd))
	}
	return fd, f.failed(root, err)
}

// byPath opens the folder in one tree by the names from the root.
func (f *Folder) byPath(root int) (int, error) {
	r := &f.walk.roots[root]
	path := f.PathIn(root)
	if r.Path != "" && path != "" {
		path = r.Path + "/" + path
	} else {
		path += r.Path
	}
	return f.places[root].same(fsat.OpenPath(r.Dir, path))
}

// openByPath opens the handles by the names from the roots. That takes long for a deep folder, but leaves no other
// handle open.
func (f *Folder) openByPath() error {
	for i := range f.places {
		if err := f.reopen(i); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return nil
}

// reopen opens one handle by the names from the root, if there was one.
func (f *Folder) reopen(root int) error {
	if !f.places[root].expected() {
		return nil
	}
	fd, err := f.byPath(root)
	err = f.failed(root, err)
	if f.walk.roots[root].Optional {
		f.Put(root, fd, err)
		return nil
	}
	f.places[root].handle = fd + 1
	return err
}

// openFrom opens the handles from those of a folder directly below. A tree in which the folder below has no handle may
// still have f.
func (f *Folder) openFrom(below *Folder) (done bool, err error) {
	for i := range f.places {
		p, from := &f.places[i], &below.places[i]
		switch {
		case !p.expected():
		case from.handle == 0:
			err = f.reopen(i)
		default:
			var fd int
			fd, err = p.same(fsat.OpenParent(from.handle - 1))
			p.handle = fd + 1
		}
		if err != nil { // the folder below was moved elsewhere: openByPath will do
			return false, f.Close()
		}
	}
	return true, nil
}

// expected reports whether the folder has, or had, a handle in this tree.
func (p *place) expected() bool { return p.was && p.lost == nil }

// same checks that an opened handle belongs to the folder.
func (p *place) same(fd int, err error) (int, error) {
	if err != nil || p.id == (InodeID{}) {
		return fd, err
	}
	return p.id.Same(fd, nil)
}
