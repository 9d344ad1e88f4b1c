package instant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/outcome"
	"snapcopy/internal/tree"
)

// settler is the state of one worker of a walk of the mounted tree.
type settler struct {
	copier             filecopy.Copier
	buf                []byte
	copied, changed    uint64
	bytesChecked       uint64
	merged, upper, low int // of the folder it works on
	_                  [64]byte
}

func newSettlers(n int, progress *outcome.RestoreProgress) []settler {
	list := make([]settler, n)
	for i := range list {
		w := &list[i]
		w.buf, w.copier.Buf = make([]byte, 64<<10), make([]byte, filecopy.BufferSize)
		w.copier.Tick = func(n int) { progress.Bytes.Add(uint64(n)) }
	}
	return list
}

// open opens a folder in all its layers. ok is false if it no longer exists.
func (w *settler) open(m merge, root, upper, lower int) (ok bool, err error) {
	w.merged, w.upper, w.low = fsat.NoDir, fsat.NoDir, fsat.NoDir
	names := m.at.names()
	if w.merged, err = fsat.OpenBelow(root, names); err == nil {
		w.upper, err = fsat.OpenBelow(upper, names)
	}
	if fsat.IsNoDir(err) || errors.Is(err, unix.EXDEV) { // a mount over it is later listed among the users
		return false, nil
	}
	if err == nil && m.lower {
		if w.low, err = fsat.OpenBelow(lower, m.low.names()); fsat.IsNoDir(err) {
			err = nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("open %q: %w", strings.Join(names, "/"), err)
	}
	return true, nil
}

func (w *settler) close() error {
	return errors.Join(fsat.Close(w.merged), fsat.Close(w.upper), fsat.Close(w.low))
}

// list lists the folder that is open, in the mounted tree and in the upper folder.
func (w *settler) list() (seen, own []fsat.DirEntry, err error) {
	if seen, err = fsat.ReadDir(w.merged, w.buf); err == nil {
		own, err = fsat.ReadDir(w.upper, w.buf)
	}
	return seen, own, err
}

// copying is one walk of the mounted tree, in which the kernel copies the entries that only the snapshot has.
type copying struct {
	layers   layers
	notes    *notes
	progress *outcome.RestoreProgress
	step     func(string) error
	checked  bool // an earlier walk has compared all stored files that were copied before
	sharing  bool // the kernel copies by reflinks

	root, upper, lower int // handles: of the mounted tree and of its two folders

	workers  []settler
	failures outcome.Failures
}

// walk visits every folder of the mounted tree.
func (c *copying) walk(ctx context.Context, threads int) (err error) {
	if c.sharing, err = shares(c.lower, c.upper); err != nil {
		return err
	}
	c.workers = newSettlers(threads, c.progress)
	top := merge{lower: true, pos: c.layers.catalog.Root().Child}
	return spread(ctx, threads, top, func(worker int, m merge) (below []merge, err error) {
		w := &c.workers[worker]
		open, err := w.open(m, c.root, c.upper, c.lower)
		defer func() { err = errors.Join(err, w.close()) }()
		if err != nil || !open {
			return nil, err
		}
		return c.folder(ctx, w, m)
	})
}

// addTo adds the figures of the walk to a report.
func (c *copying) addTo(r *SettleReport) {
	for i := range c.workers {
		r.Copied += c.workers[i].copied
		r.Changed += c.workers[i].changed
		r.BytesChecked += c.workers[i].bytesChecked
	}
	r.Failed, r.FailedCount, _ = c.failures.Sorted()
}

// folder makes the kernel copy every entry of a folder that only the snapshot has, and returns the folders in it. One
// worker handles all of a folder: the kernel resets its time after each copy, and two copies would confuse it.
func (c *copying) folder(ctx context.Context, w *settler, m merge) (below []merge, err error) {
	seen, own, err := w.list()
	if fsat.IsGone(err) { // it was removed since it was opened
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", strings.Join(m.at.names(), "/"), err)
	}
	record, err := c.record(w, m)
	if err != nil {
		return nil, err
	}
	for _, e := range seen {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if e.Type, err = typeOf(w.merged, e); fsat.IsGone(err) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("stat %q: %w", pathIn(m.at, e.Name), err)
		}
		if err := c.entry(ctx, w, m, record, e, isIn(own, e.Name)); err != nil {
			return nil, err
		}
		if e.Type != fsat.Directory {
			c.progress.Files.Add(1)
			continue
		}
		child, err := c.layers.child(w.upper, m, record, e.Name)
		if fsat.IsGone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", strings.Join(m.at.names(), "/")+"/"+e.Name, err)
		}
		below = append(below, child)
	}
	return below, nil
}

// record reads the record of a folder, nil if it has none, and notes the entries that the snapshot's folder has lost.
func (c *copying) record(w *settler, m merge) (*index.Record, error) {
	if m.pos == 0 {
		return nil, nil
	}
	record, err := c.layers.catalog.ReadDir(m.pos)
	if err != nil {
		return nil, err
	}
	return record, c.missing(w, m, record)
}

// typeOf returns the type of a listed entry, which not every file system tells in a listing.
func typeOf(dir int, e fsat.DirEntry) (uint32, error) {
	if e.Type != 0 {
		return e.Type, nil
	}
	var st fsat.Stat
	err := fsat.StatAt(dir, e.Name, &st)
	return st.Type, err
}

// isIn reports whether a sorted listing has a name.
func isIn(list []fsat.DirEntry, name string) bool {
	_, ok := slices.BinarySearchFunc(list, name, func(e fsat.DirEntry, n string) int { return strings.Compare(e.Name, n) })
	return ok
}

// recorded returns the entry of a record, nil if there is no such entry or no record.
func recorded(r *index.Record, name string) *index.Entry {
	if r == nil {
		return nil
	}
	e, ok := r.Find(name)
	if !ok {
		return nil
	}
	return &e
}

// entry makes the kernel copy one entry, unless it is copied already.
func (c *copying) entry(ctx context.Context, w *settler, m merge, r *index.Record, e fsat.DirEntry, copied bool) error {
	known := recorded(r, e.Name)
	if copied {
		if known != nil && known.Type == index.File && e.Type == fsat.Regular && w.low >= 0 {
			return c.checkCopied(ctx, w, m, known)
		}
		return nil
	}
	if m.lower {
		if err := c.checkStored(ctx, w, m, known, e); err != nil {
			return err
		}
	}
	if err := c.step("copy"); err != nil {
		return err
	}
	if e.Type == fsat.Regular {
		if err := c.hasRoom(w, e.Name); err != nil {
			return fmt.Errorf("copy %q: %w", pathIn(m.at, e.Name), err)
		}
	}
	switch err := touch(w.merged, e.Name); {
	case err == nil:
		w.copied++
	case fsat.IsGone(err): // removed meanwhile
	case ctx.Err() != nil || fsat.IsNoSpace(err):
		return fmt.Errorf("copy %q: %w", pathIn(m.at, e.Name), err)
	default:
		c.failures.Add(outcome.Failure{Path: pathIn(m.at, e.Name), Err: fmt.Errorf("copy: %w", err)})
	}
	return nil
}

// touch makes the kernel copy a file. If another process removes or replaces the file meanwhile, the copy fails
// because the name is taken, and the new file needs no copy.
func touch(dir int, name string) (err error) {
	for range 3 {
		if err = fsat.TouchAccess(dir, name); !fsat.IsExist(err) {
			break
		}
	}
	return err
}

// hasRoom leaves a little space to the users of the tree: on a full file system they could not even remove a file,
// because that takes a whiteout.
func (c *copying) hasRoom(w *settler, name string) error {
	const mostKept, partKept = 64 << 20, 50
	if c.sharing || w.low < 0 {
		return nil
	}
	var st fsat.Stat
	if err := fsat.StatAt(w.low, name, &st); fsat.IsGone(err) || err == nil && st.Blocks == 0 {
		return nil
	} else if err != nil {
		return err
	}
	space, err := fsat.FileSystem(c.upper)
	if err == nil && uint64(st.Blocks)*512+min(mostKept, space.Total/partKept) > space.Free {
		err = unix.ENOSPC
	}
	return err
}

// shares reports whether the kernel copies by reflinks, which take no space. An XFS made without reflinks then reports
// by itself that it is full.
func shares(lower, upper int) (bool, error) {
	var a, b fsat.Stat
	if err := errors.Join(fsat.StatHandle(lower, &a), fsat.StatHandle(upper, &b)); err != nil {
		return false, err
	}
	space, err := fsat.FileSystem(upper)
	return a.Dev == b.Dev && (space.Kind == "btrfs" || space.Kind == "xfs"), err
}

func pathIn(at *way, name string) string { return strings.Join(append(at.names(), name), "/") }

// checkStored compares an entry of the archive, which the kernel is going to copy, with its record; nil: it has none.
func (c *copying) checkStored(ctx context.Context, w *settler, m merge, known *index.Entry, e fsat.DirEntry) error {
	switch {
	case known == nil || tree.KindOf(known.Type) != e.Type: // something else was put into the archive
		return c.notes.addDamaged(pathIn(m.low, e.Name))
	case known.Type == index.File:
		return c.check(ctx, w, m, known)
	}
	return nil
}

// check compares a stored file with its hash. It reads the archive and not the mounted tree, so that no writer there
// interferes: the kernel copies the bytes that are read here.
func (c *copying) check(ctx context.Context, w *settler, m merge, e *index.Entry) (err error) {
	fd, stored, err := tree.OpenStored(w.low, errNoFolder, e)
	if err == nil {
		var hash [32]byte
		var n int64
		n, hash, err = w.copier.Copy(ctx, filecopy.NoFile, fd, stored.Size, fsat.HasHoles(fd, stored.Size))
		w.bytesChecked += uint64(w.copier.Data)
		if err == nil && (uint64(n) != e.Size || hash != e.Hash) {
			err = tree.ErrContent
		}
		if err == nil && stored.Blocks*512 < stored.Size {
			err = c.notedHoles(fd, stored.Size, pathIn(m.at, e.Name))
		}
		err = errors.Join(err, fsat.Close(fd))
	}
	var failed *stateError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &failed):
		return err
	case !errors.Is(tree.StoredError(err), tree.ErrDamaged):
		return fmt.Errorf("check stored file %q: %w", pathIn(m.low, e.Name), err)
	}
	return c.notes.addDamaged(pathIn(m.low, e.Name))
}

var errNoFolder = fmt.Errorf("%w: its stored folder is gone", tree.ErrDamaged)

// stateError is a failure to write to the state folder.
type stateError struct{ err error }

func (e *stateError) Error() string { return e.err.Error() }
func (e *stateError) Unwrap() error { return e.err }

func (c *copying) notedHoles(fd int, size int64, path string) error {
	holes, err := holesOf(fd, size)
	if err != nil || len(holes) == 0 {
		return err
	}
	if err := c.notes.addHoles(path, holes); err != nil {
		return &stateError{err}
	}
	return nil
}

// checkCopied checks the stored file of a file that was copied before, by the process that first opened it for writing
// or by an earlier call, unless it has been changed since. A changed file belongs to its user.
func (c *copying) checkCopied(ctx context.Context, w *settler, m merge, known *index.Entry) error {
	if c.checked {
		return nil
	}
	var stored, own fsat.Stat
	err := errors.Join(fsat.StatAt(w.low, known.Name, &stored), fsat.StatAt(w.upper, known.Name, &own))
	switch {
	case fsat.IsGone(err): // removed meanwhile, or noted as missing
		return nil
	case err != nil:
		return fmt.Errorf("stat %q: %w", pathIn(m.at, known.Name), err)
	case uint64(own.Size) != known.Size || own.Mtime != known.Mtime && own.Mtime != stored.Mtime:
		w.changed++
		return nil
	}
	return c.check(ctx, w, m, known)
}

// missing records the entries that the snapshot's folder has lost.
func (c *copying) missing(w *settler, m merge, r *index.Record) error {
	var list []fsat.DirEntry
	if w.low >= 0 {
		var err error
		if list, err = fsat.ReadDir(w.low, w.buf); err != nil {
			return fmt.Errorf("list stored folder %q: %w", strings.Join(m.low.names(), "/"), err)
		}
	}
	for e, listed := range tree.Beside(r, list) {
		if e == nil || listed != nil || e.Flags&index.NotStored != 0 {
			continue
		}
		if err := c.notes.addDamaged(pathIn(m.low, e.Name)); err != nil {
			return err
		}
	}
	return nil
}
