package rmtree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"snapcopy/internal/dirhandles"
	"snapcopy/internal/fsat"
	"snapcopy/internal/walk"
	"snapcopy/internal/workers"
)

// Options are the options of Empty. The zero value removes everything as fast as possible.
type Options struct {
	// Workers is the number of directories emptied at once. 0: one for each processor, at least 2 (so that one can
	// wait for the disk) and at most 16.
	Workers int
	// Spare, if set, is asked about each name directly in the directory. A name for which it returns true is left
	// alone.
	Spare func(name string) bool
	// Pace, if set, is called before names are removed, with their number, and may wait. An error ends Empty.
	Pace func(ctx context.Context, names int) error
	// Removed, if set, is called with the number of names removed since the last call. Several workers call it at
	// once.
	Removed func(names int)
}

// Empty removes everything in the directory with handle dir, on several workers, by one unlink for each name and a
// stat of each directory, but of no other entry. Several processes can empty the same directory at once.
//
// A name that cannot be removed stops nothing: the rest goes, and the error lists the first such names. Directories
// that are mounted, or that contain a mountpoint, stay. Only directories are ever changed, to get access. Memory grows
// with the listings of depth × workers directories; no more than some 80 of them are open at once, at any depth.
func Empty(ctx context.Context, dir int, opt Options) error {
	e := emptier{ctx: ctx, opt: opt, top: dir}
	e.opt.Workers = workers.Number(e.opt.Workers)
	e.dirs.Open, e.dirs.OpenFrom, e.dirs.Close = e.reopen, (*folder).openFrom, (*folder).close
	e.bufs = make([][]byte, e.opt.Workers)
	for i := range e.bufs {
		e.bufs[i] = make([]byte, listBuffer)
	}
	root, err := e.start()
	if err != nil {
		return err
	}
	err = walk.Run(ctx, e.opt.Workers, root, len(root.names), walk.Tree[*folder]{
		Items: e.items, Enter: e.enter, Leave: e.leave,
	})
	return errors.Join(err, e.dirs.CloseAll(), e.failures())
}

const listBuffer = 64 << 10

// emptier is the state of one Empty.
type emptier struct {
	ctx  context.Context
	opt  Options
	top  int // handle of the directory to empty
	at   fsat.Stat
	bufs [][]byte // one for each worker
	full fullDisk
	dirs dirhandles.Set[*folder]

	mu     sync.Mutex
	failed []error // the first of them
	count  uint64
}

// folder is a directory being emptied. It is a tree.Folder of one tree, written out: package tree knows catalogs, and
// stands above this one.
type folder struct {
	dirhandles.Dir[*folder]
	fd       int
	parent   *folder // nil: the directory given to Empty
	name     string
	dev, ino uint64
	names    []fsat.DirEntry
	stays    atomic.Bool // something in it could not be removed
}

// maxFailed is the number of errors kept; all are counted.
const maxFailed = 5

// fail records that a name stays, and therefore all directories above it.
func (e *emptier) fail(in *folder, op, name string, err error) {
	e.mu.Lock()
	if e.count++; len(e.failed) < maxFailed {
		e.failed = append(e.failed, &fs.PathError{Op: op, Path: strings.Join(append(in.path(), name), "/"), Err: err})
	}
	e.mu.Unlock()
	in.stays.Store(true)
}

func (e *emptier) failures() error {
	err := errors.Join(e.failed...)
	if more := e.count - uint64(len(e.failed)); more > 0 {
		err = fmt.Errorf("%w\nand %d more", err, more)
	}
	return err
}

// path returns the names from the directory that Empty was called for.
func (d *folder) path() (names []string) {
	for at := d; at.parent != nil; at = at.parent {
		names = append(names, at.name)
	}
	slices.Reverse(names)
	return names
}

// start lists that directory, by a handle of its own.
func (e *emptier) start() (*folder, error) {
	fd, err := fsat.OpenDir(e.top, ".")
	if err != nil {
		return nil, err
	}
	d := &folder{fd: fd}
	if err = fsat.StatHandle(fd, &e.at); err == nil {
		d.dev, d.ino = e.at.Dev, e.at.Ino
		d.names, err = fsat.ListByInode(fd, e.bufs[0])
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	if e.opt.Spare != nil {
		d.names = slices.DeleteFunc(d.names, func(n fsat.DirEntry) bool { return e.opt.Spare(n.Name) })
	}
	if err := e.unlinkAll(d); err != nil {
		return nil, errors.Join(err, d.close())
	}
	e.dirs.Start(&d.Dir, d)
	return d, nil
}

// items returns all remaining names: they are directories to go into.
func (e *emptier) items(_ int, _ *folder, from, to int) (descend []int, err error) {
	if e.ctx.Err() != nil {
		return nil, context.Cause(e.ctx)
	}
	for i := from; i < to; i++ {
		descend = append(descend, i)
	}
	return descend, nil
}

// unlinkAll removes the names in a directory that are not directories. One worker does it for all of them: the system
// lets only one at a time remove names from a directory, and two would wait for each other.
func (e *emptier) unlinkAll(d *folder) error {
	const some = 256
	left := d.names[:0]
	for names := range slices.Chunk(d.names, some) {
		if e.ctx.Err() != nil {
			return context.Cause(e.ctx)
		}
		if e.opt.Pace != nil {
			if err := e.opt.Pace(e.ctx, len(names)); err != nil {
				return err
			}
		}
		removed := 0
		for _, n := range names {
			if n.Type != fsat.Directory {
				done, err := unlink(d.fd, n.Name, &e.full)
				if done {
					removed++
					continue
				}
				if err != nil {
					e.fail(d, "unlink", n.Name, whoseOpen(d.fd, err))
					continue
				}
			}
			left = append(left, n)
		}
		e.removed(removed)
	}
	d.names = left
	return nil
}

func (e *emptier) removed(names int) {
	if e.opt.Removed != nil && names > 0 {
		e.opt.Removed(names)
	}
}

// enter opens and lists a directory.
func (e *emptier) enter(id int, parent *folder, item int) (d *folder, items int, ok bool, err error) {
	if err := parent.Acquire(); fsat.IsNoDir(err) {
		return nil, 0, false, nil
	} else if err != nil {
		return nil, 0, false, err
	}
	defer func() { err = errors.Join(err, parent.Release()) }()
	d = &folder{parent: parent, name: parent.names[item].Name}
	switch op, err := e.open(d, e.bufs[id]); {
	case fsat.IsGone(err): // somebody else removes it, too
		return nil, 0, false, d.close()
	case err != nil:
		e.fail(parent, op, d.name, err)
		return nil, 0, false, d.close()
	}
	if err := e.unlinkAll(d); err != nil {
		return nil, 0, false, errors.Join(err, d.close())
	}
	return d, len(d.names), true, d.Enter(&parent.Dir, d)
}

func (e *emptier) open(d *folder, buf []byte) (op string, err error) {
	d.fd, err = openFully(d.parent.fd, d.name, func(st *fsat.Stat) error {
		if st.Dev != e.at.Dev || st.Mount != e.at.Mount {
			return ErrMounted
		}
		d.dev, d.ino = st.Dev, st.Ino
		return nil
	})
	if err != nil {
		return "open", err
	}
	d.names, err = fsat.ListByInode(d.fd, buf)
	return "list", err
}

// leave removes an emptied directory from the directory above.
func (e *emptier) leave(_ int, d *folder) (err error) {
	if d.parent == nil {
		return d.Leave()
	}
	if err := d.parent.Acquire(); fsat.IsNoDir(err) {
		return d.Leave()
	} else if err != nil {
		return errors.Join(err, d.Leave())
	}
	defer func() { err = errors.Join(err, d.parent.Release()) }()
	if err := d.Leave(); err != nil {
		return err
	}
	if d.stays.Load() {
		d.parent.stays.Store(true)
		return nil
	}
	rmdir := func() error { return fsat.Rmdir(d.parent.fd, d.name) }
	switch err := e.full.try(d.parent.fd, rmdir); {
	case err == nil:
		e.removed(1)
	case !fsat.IsGone(err):
		e.fail(d.parent, "rmdir", d.name, err)
	}
	return nil
}

func (d *folder) close() error {
	fd := d.fd
	d.fd = fsat.NoDir
	return fsat.Close(fd)
}

// reopen opens a directory by the names from the top.
func (e *emptier) reopen(d *folder) (err error) {
	if d.fd, err = fsat.OpenBelow(e.top, d.path()); err != nil {
		return &fs.PathError{Op: "open again", Path: strings.Join(d.path(), "/"), Err: err}
	}
	if !d.same() {
		return errors.Join(&fs.PathError{Op: "open again", Path: strings.Join(d.path(), "/"), Err: errMoved}, d.close())
	}
	return nil
}

// openFrom opens a directory from a directory directly below it.
func (d *folder) openFrom(below *folder) (done bool, err error) {
	if d.fd, err = fsat.OpenParent(below.fd); err != nil {
		return false, nil // the names will do
	}
	if !d.same() {
		return false, d.close()
	}
	return true, nil
}

// same reports whether the handle belongs to the directory that was entered.
func (d *folder) same() bool {
	var st fsat.Stat
	return fsat.StatHandle(d.fd, &st) == nil && st.Dev == d.dev && st.Ino == d.ino
}
