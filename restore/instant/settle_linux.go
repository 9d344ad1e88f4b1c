package instant

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/overlay"
	"snapcopy/internal/rmtree"
)

// maxRounds is the number of walks in search of entries that escaped earlier ones, as entries of folders that are
// being renamed can.
const maxRounds = 20

func settle(ctx context.Context, from archive.OpenSnapshot, mountpoint string, opt SettleOptions) (r *SettleReport, err error) {
	in, err := locate(mountpoint)
	if err != nil {
		return nil, err
	}
	in.fault = opt.Fault
	defer func() {
		done := err == nil && r.Settled
		if err = in.named(errors.Join(err, in.close())); done { // it cannot be repeated
			r.After, err = err, nil
		}
	}()
	if err := in.open(false); err != nil {
		return nil, err
	}
	found, err := in.load()
	if err == nil && !found {
		err = in.removeFolder() // a removal was cut short
	}
	if err == nil && (!found || in.Phase == making) {
		err = &fs.PathError{Op: "settle", Path: in.path, Err: ErrNotInstant}
	}
	if err != nil {
		return nil, err
	}
	r = &SettleReport{Snapshot: in.Snapshot, Mountpoint: in.path}
	s := &settling{instant: in, from: from, opt: opt, report: r, notes: notes{state: in.state}}
	if err := s.run(ctx); err != nil {
		return r, err
	}
	return r, nil
}

// settling is the state of one Settle.
type settling struct {
	*instant
	from   archive.OpenSnapshot
	opt    SettleOptions
	report *SettleReport
	notes  notes
	gone   time.Time // since when the mountpoint has no tree; zero: it has one
}

func (s *settling) threads() int {
	if s.opt.Threads > 0 {
		return s.opt.Threads
	}
	return 16
}

func (s *settling) run(ctx context.Context) (err error) {
	if s.Phase == mounted {
		if err := s.copyAll(ctx); err != nil || s.report.FailedCount > 0 {
			return err
		}
	}
	if s.gone.IsZero() {
		s.gone = time.Now()
	}
	if s.Phase == cleaning {
		if err := s.cleanUp(ctx); err != nil {
			return err
		}
	}
	if err := s.swap(); err != nil {
		return err
	}
	s.report.Unavailable = time.Since(s.gone)
	s.report.Settled = true
	if s.report.Damaged, err = s.notes.damaged(); err != nil {
		return err
	}
	if s.opt.Released != nil {
		if err := s.opt.Released(); err != nil {
			return err
		}
	}
	return s.removeAll()
}

// copyAll copies entries until the snapshot has none that the upper folder lacks, and the mount is gone.
func (s *settling) copyAll(ctx context.Context) error {
	if s.from.Catalog == nil || s.from.Catalog.Summary().Snapshot != s.Snapshot {
		err := fmt.Errorf("%w: %s is needed", ErrOtherSnapshot, s.Snapshot)
		return &fs.PathError{Op: "settle", Path: s.path, Err: err}
	}
	s.opt.Progress.ExpectFiles.Store(s.from.Catalog.Root().Below.Files)
	s.opt.Progress.ExpectBytes.Store(s.from.Catalog.Root().Below.Bytes)
	for range maxRounds {
		s.opt.Progress.Files.Store(0)
		if err := s.makeSureItIsMounted(); err != nil {
			return err
		}
		if err := s.copyRound(ctx); err != nil || s.report.FailedCount > 0 {
			return err
		}
		if !s.Checked { // files copied later are checked then
			s.Checked = true
			if err := s.save(mounted); err != nil {
				return err
			}
		}
		if err := s.unmount(); err != nil {
			return err
		}
		left, err := s.firstLeft(ctx)
		if err != nil {
			return err
		}
		if left == "" {
			return s.complete()
		}
	}
	err := errors.New("folders are renamed more quickly than they can be copied")
	return &fs.PathError{Op: "settle", Path: s.path, Err: err}
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
	c := &copying{
		layers: s.layers(), notes: &s.notes, progress: s.opt.Progress, step: s.step, checked: s.Checked,
		root: root, upper: s.upper, lower: lower,
	}
	err = c.walk(ctx, s.threads())
	c.addTo(s.report)
	return err
}

// layers returns how the tree is layered.
func (s *settling) layers() layers { return layers{s.from.Catalog, s.UserXattr} }

// firstLeft returns an entry that only the snapshot has, "" if there is none.
func (s *settling) firstLeft(ctx context.Context) (left string, err error) {
	if err := s.openLayers(); err != nil {
		return "", err
	}
	lower, err := fsat.OpenRoot(s.from.Dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, fsat.Close(lower)) }()
	return s.unmounted().firstLeft(ctx, s.layers(), lower)
}

// unmounted returns the upper folder, which is open, as a tree on which nothing is mounted.
func (s *settling) unmounted() *upperTree {
	return &upperTree{fd: s.upper, userXattr: s.UserXattr, threads: s.threads(), step: s.step}
}

// complete is the point of no return: the snapshot is no longer needed.
func (s *settling) complete() error {
	var st fsat.Stat
	if err := fsat.StatHandle(s.upper, &st); err != nil {
		return err
	}
	s.Upper = st.Ino
	if err := s.syncAll(); err != nil {
		return err
	}
	return s.save(cleaning)
}

func (s *settling) makeSureItIsMounted() (err error) {
	if err := s.makeMountpoint(); err != nil {
		return err
	}
	place, err := s.look()
	if err != nil {
		return err
	}
	if place.Mounted {
		return s.openLayers()
	}
	fd, err := s.mount(s.from.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	if err := s.attach(fd); err != nil {
		return err
	}
	if !s.gone.IsZero() {
		s.gone = time.Time{}
	}
	return nil
}

// unmount removes the mount and makes sure that nobody can change anything through it any more: neither by a file that
// stayed open when another process unmounted it lazily, nor in another mount namespace.
func (s *settling) unmount() error {
	if err := s.syncAll(); err != nil { // so that less is left to write while the mount is gone
		return err
	}
	if err := s.step("unmount"); err != nil {
		return err
	}
	place, err := s.look()
	if err != nil {
		return err
	}
	if place.Mounted {
		begin := time.Now()
		switch err := overlay.Detach(s.parent, s.leaf); {
		case errors.Is(err, overlay.ErrBusy):
			return &BusyError{s.path, overlay.Users(place)}
		case err != nil:
			return &fs.PathError{Op: "unmount", Path: s.path, Err: err}
		}
		s.gone = begin
	}
	fd, err := s.mount(s.from.Dir)
	if errors.Is(err, overlay.ErrInUse) {
		unseen := "a process in another mount namespace, or with a file open since a lazy unmount"
		return &BusyError{s.path, []string{unseen}}
	}
	if err != nil {
		return err
	}
	return fsat.Close(fd)
}

// cleanUp turns the upper folder into an ordinary tree. Doing it a second time changes nothing.
func (s *settling) cleanUp(ctx context.Context) error {
	if err := s.openLayers(); err != nil {
		return err
	}
	if err := s.step("dig"); err != nil {
		return err
	}
	upper := s.unmounted()
	buf := make([]byte, filecopy.BufferSize)
	err := s.notes.eachWithHoles(func(path string, holes []string) error {
		if err := upper.dig(path, holes, buf); err != nil {
			return fmt.Errorf("make holes in %q: %w", path, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := upper.clean(ctx); err != nil {
		return err
	}
	if err := s.syncAll(); err != nil {
		return err
	}
	return s.save(clean)
}

// treePlace says where the tree is once it is clean.
type treePlace int

const (
	treeLost    treePlace = iota
	treeBeside            // in the state folder
	treeInPlace           // at the mountpoint: the exchange is done
)

// findTree looks for the tree, which is known by its inode number.
func (s *settling) findTree() (where treePlace, tree fsat.Stat, err error) {
	isTree := func(st *fsat.Stat, err error) bool {
		return err == nil && st.Ino == s.Upper && st.Type == fsat.Directory
	}
	var at fsat.Stat
	atErr := fsat.StatAt(s.parent, s.leaf, &at)
	if atErr != nil && !fsat.IsGone(atErr) {
		return treeLost, tree, &fs.PathError{Op: "stat", Path: s.path, Err: atErr}
	}
	err = fsat.StatAt(s.state, upperName, &tree)
	if err != nil && !fsat.IsGone(err) {
		return treeLost, tree, &fs.PathError{Op: "stat", Path: filepath.Join(s.folder, upperName), Err: err}
	}
	switch {
	case isTree(&at, atErr):
		return treeInPlace, at, nil
	case isTree(&tree, err):
		return treeBeside, tree, nil
	}
	return treeLost, tree, nil
}

// swap puts the tree into the mountpoint's place, unless that was done already.
func (s *settling) swap() error {
	where, tree, err := s.findTree()
	switch {
	case err != nil:
		return err
	case where == treeInPlace:
		return fsat.Sync(s.parent)
	case where == treeLost:
		return &fs.PathError{Op: "settle", Path: s.folder, Err: errors.New("the tree is not there any more")}
	}
	if err := s.makeMountpoint(); err != nil {
		return err
	}
	dir, err := s.openMountpoint() // it has to be empty
	if err = errors.Join(err, fsat.Close(dir)); err != nil {
		return err
	}
	if err := s.openLayers(); err != nil {
		return err
	}
	if err := s.exchange(); err != nil {
		return &fs.PathError{Op: "exchange", Path: s.path, Err: err}
	}
	// XFS updates the modification time of a folder that gets another parent. After a crash at this point the new time
	// stays: by then the tree may have been changed.
	if err := fsat.SetMtime(s.upper, tree.Mtime); err != nil {
		return &fs.PathError{Op: "set time of", Path: s.path, Err: err}
	}
	if err := s.step("exchanged"); err != nil {
		return err
	}
	return errors.Join(s.closeLayers(), fsat.Sync(s.parent), fsat.Sync(s.state))
}

// exchange gives the tree the mountpoint's name, in one step.
func (s *settling) exchange() error {
	err := s.step("exchange")
	if err == nil {
		err = fsat.Exchange(s.state, upperName, s.parent, s.leaf)
	}
	if err == unix.EINVAL || err == unix.ENOSYS || err == unix.ENOTSUP {
		// A file system without an exchange: an empty folder can be replaced in one step too. If another process put
		// an entry into it at this moment, the rename would be refused.
		err = fsat.Rename(s.state, upperName, s.parent, s.leaf)
	}
	return err
}

// removeAll removes the state folder. It keeps entries that another process put into the old folder at the very moment
// of the exchange.
func (s *settling) removeAll() error {
	if err := s.step("remove"); err != nil {
		return err
	}
	var st fsat.Stat
	err := fsat.StatAt(s.state, upperName, &st)
	if err == nil && st.Ino == s.Upper {
		return &fs.PathError{Op: "remove", Path: s.folder, Err: errors.New("the tree is still in it")}
	}
	if err == nil {
		if err := fsat.Rmdir(s.state, upperName); err != nil {
			return &fs.PathError{Op: "remove the old folder", Path: filepath.Join(s.folder, upperName), Err: err}
		}
	}
	for _, name := range []string{workName, damagedName, sparseName} {
		if err := rmtree.Remove(s.state, name); err != nil {
			return &fs.PathError{Op: "remove", Path: filepath.Join(s.folder, name), Err: err}
		}
	}
	return s.removeFolder()
}
