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
	"snapcopy/internal/overlay"
	"snapcopy/internal/tree"
)

// settler is the state of one worker.
type settler struct {
	copier             filecopy.Copier
	buf                []byte
	copied, changed    uint64
	bytesChecked       uint64
	merged, upper, low int // of the folder it works on
	_                  [64]byte
}

// merge is a folder of the mounted tree: the upper folder at the same place, and the folder of the snapshot that shows
// through.
type merge struct {
	at    *way
	lower bool   // something does
	low   *way   // which folder of the snapshot
	pos   uint64 // its record in the catalog; 0: it has none
}

// copyRound walks the mounted tree once.
func (s *settling) copyRound(ctx context.Context) (err error) {
	root, err := fsat.OpenDir(s.parent, s.leaf)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(root)) }()
	lower, err := fsat.OpenRoot(s.from.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(lower)) }()
	if s.sharing, err = s.shares(lower); err != nil {
		return err
	}
	s.workers = make([]settler, s.threads())
	for i := range s.workers {
		w := &s.workers[i]
		w.buf, w.copier.Buf = make([]byte, 64<<10), make([]byte, filecopy.BufferSize)
		w.copier.Tick = func(n int) { s.opt.Progress.Bytes.Add(uint64(n)) }
	}
	top := merge{lower: true, pos: s.from.Catalog.Root().Child}
	err = spread(ctx, len(s.workers), top, func(worker int, m merge) (below []merge, err error) {
		w := &s.workers[worker]
		open, err := w.open(m, root, s.upper, lower)
		defer func() { err = errors.Join(err, w.close()) }()
		if err != nil || !open {
			return nil, err
		}
		return s.copyFolder(ctx, w, m)
	})
	for i := range s.workers {
		s.report.Copied += s.workers[i].copied
		s.report.Changed += s.workers[i].changed
		s.report.BytesChecked += s.workers[i].bytesChecked
	}
	s.report.Failed, s.report.FailedCount, _ = s.failures.Sorted()
	return err
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

// copyFolder makes the kernel copy every entry of a folder that only the snapshot has, and returns the folders in it.
// One worker handles all of a folder: the kernel resets its time after each copy, and two copies would confuse it.
func (s *settling) copyFolder(ctx context.Context, w *settler, m merge) (below []merge, err error) {
	seen, err := fsat.ReadDir(w.merged, w.buf)
	var own []fsat.DirEntry
	if err == nil {
		own, err = fsat.ReadDir(w.upper, w.buf)
	}
	if fsat.IsGone(err) { // it was removed since it was opened
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", strings.Join(m.at.names(), "/"), err)
	}
	var record *index.Record
	if m.pos != 0 {
		if record, err = s.from.Catalog.ReadDir(m.pos); err != nil {
			return nil, err
		}
		if err := s.missing(w, m, record); err != nil {
			return nil, err
		}
	}
	for _, e := range seen {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if e.Type == 0 { // the archive's file system does not tell
			var st fsat.Stat
			if err := fsat.StatAt(w.merged, e.Name, &st); fsat.IsGone(err) {
				continue
			} else if err != nil {
				return nil, fmt.Errorf("stat %q: %w", pathIn(m.at, e.Name), err)
			}
			e.Type = st.Type
		}
		if err := s.copyEntry(ctx, w, m, record, e, isIn(own, e.Name)); err != nil {
			return nil, err
		}
		if e.Type != fsat.Directory {
			s.opt.Progress.Files.Add(1)
			continue
		}
		child, err := s.child(w.upper, m, record, e.Name)
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

// isIn reports whether a sorted listing has a name.
func isIn(list []fsat.DirEntry, name string) bool {
	_, ok := slices.BinarySearchFunc(list, name, func(e fsat.DirEntry, n string) int { return strings.Compare(e.Name, n) })
	return ok
}

// copyEntry makes the kernel copy one entry, unless it is copied already.
func (s *settling) copyEntry(ctx context.Context, w *settler, m merge, r *index.Record, e fsat.DirEntry,
	up bool) error {
	known, ok := index.Entry{}, false
	if r != nil {
		known, ok = r.Find(e.Name)
	}
	if up {
		if ok && known.Type == index.File && e.Type == fsat.Regular && w.low >= 0 {
			return s.checkCopied(ctx, w, m, &known)
		}
		return nil
	}
	var err error
	switch {
	case !m.lower:
	case !ok || tree.KindOf(known.Type) != e.Type: // something else was put into the archive
		err = s.noteDamaged(pathIn(m.low, e.Name))
	case known.Type == index.File:
		err = s.check(ctx, w, m, &known)
	}
	if err != nil {
		return err
	}
	if err := s.step("copy"); err != nil {
		return err
	}
	if e.Type == fsat.Regular {
		if err := s.hasRoom(w, e.Name); err != nil {
			return fmt.Errorf("copy %q: %w", pathIn(m.at, e.Name), err)
		}
	}
	switch err = touch(w.merged, e.Name); {
	case err == nil:
		w.copied++
	case fsat.IsGone(err): // removed meanwhile
	case ctx.Err() != nil || fsat.IsNoSpace(err):
		return fmt.Errorf("copy %q: %w", pathIn(m.at, e.Name), err)
	default:
		s.failures.Add(tree.FailedItem{Path: pathIn(m.at, e.Name), Err: fmt.Errorf("copy: %w", err)})
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
func (s *settling) hasRoom(w *settler, name string) error {
	const mostKept, partKept = 64 << 20, 50
	if s.sharing || w.low < 0 {
		return nil
	}
	var st fsat.Stat
	if err := fsat.StatAt(w.low, name, &st); fsat.IsGone(err) || err == nil && st.Blocks == 0 {
		return nil
	} else if err != nil {
		return err
	}
	space, err := fsat.FileSystem(s.upper)
	if err == nil && uint64(st.Blocks)*512+min(mostKept, space.Total/partKept) > space.Free {
		err = unix.ENOSPC
	}
	return err
}

// shares reports whether the kernel copies by reflinks, which take no space. An XFS made without reflinks then reports
// by itself that it is full.
func (s *settling) shares(lower int) (bool, error) {
	var a, b fsat.Stat
	if err := errors.Join(fsat.StatHandle(lower, &a), fsat.StatHandle(s.upper, &b)); err != nil {
		return false, err
	}
	space, err := fsat.FileSystem(s.upper)
	return a.Dev == b.Dev && (space.Kind == "btrfs" || space.Kind == "xfs"), err
}

func pathIn(at *way, name string) string { return strings.Join(append(at.names(), name), "/") }

// check compares a stored file with its hash. It reads the archive and not the mounted tree, so that no writer there
// interferes: the kernel copies the bytes that are read here.
func (s *settling) check(ctx context.Context, w *settler, m merge, e *index.Entry) (err error) {
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
			err = s.notedHoles(fd, stored.Size, pathIn(m.at, e.Name))
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
	}
	return s.noteDamaged(pathIn(m.low, e.Name))
}

var errNoFolder = errors.New("its stored folder is gone")

// stateError is a failure to write to the state folder.
type stateError struct{ err error }

func (e *stateError) Error() string { return e.err.Error() }
func (e *stateError) Unwrap() error { return e.err }

func (s *settling) notedHoles(fd int, size int64, path string) error {
	holes, err := holesOf(fd, size)
	if err != nil || len(holes) == 0 {
		return err
	}
	if err := s.noteHoles(path, holes); err != nil {
		return &stateError{err}
	}
	return nil
}

// checkCopied checks the stored file of a file that was copied before, by the process that first opened it for writing
// or by an earlier call, unless it has been changed since. A changed file belongs to its user.
func (s *settling) checkCopied(ctx context.Context, w *settler, m merge, known *index.Entry) error {
	if s.Checked {
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
	return s.check(ctx, w, m, known)
}

// missing records the entries that the snapshot's folder has lost.
func (s *settling) missing(w *settler, m merge, r *index.Record) error {
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
		if err := s.noteDamaged(pathIn(m.low, e.Name)); err != nil {
			return err
		}
	}
	return nil
}

// child returns the layers of a folder in a merged one; upper is the open upper folder.
func (s *settling) child(upper int, m merge, r *index.Record, name string) (merge, error) {
	c := merge{at: &way{m.at, name}}
	through, err := overlay.Below(upper, name, s.UserXattr)
	if err != nil || through == "" {
		return c, err
	}
	if strings.HasPrefix(through, "/") {
		names := strings.Split(strings.Trim(through, "/"), "/")
		c.lower, c.low = true, wayOf(names)
		if s.from.Catalog != nil {
			e, ok, err := s.from.Catalog.Lookup(strings.Join(names, "/"))
			if err != nil {
				return c, err
			}
			if ok && e.Type == index.Dir {
				c.pos = e.Child
			}
		}
		return c, nil
	}
	if !m.lower {
		return c, nil
	}
	if through == "." {
		through = name
	}
	c.lower, c.low = true, &way{m.low, through}
	if r != nil {
		if e, ok := r.Find(through); ok && e.Type == index.Dir {
			c.pos = e.Child
		}
	}
	return c, nil
}
