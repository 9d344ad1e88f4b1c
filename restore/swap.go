package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
	"snapcopy/internal/tree"
)

// Errors of Swap, told apart with errors.Is.
var (
	// ErrIncomplete reports that an entry could not be restored, so that nothing was exchanged.
	ErrIncomplete = errors.New("some entries could not be restored, so nothing was exchanged")
	// ErrExchanged reports a failure after the exchange: the report says where the old tree is.
	ErrExchanged = errors.New("the two trees are exchanged")
	// ErrMountPoint reports a target that cannot be exchanged because a file system is mounted there.
	ErrMountPoint = errors.New("a file system is mounted there, so the folder cannot be exchanged")
	// ErrMountsBelow reports a folder in which file systems are mounted: they would be moved with it, into a folder
	// that the user is told to remove.
	ErrMountsBelow = errors.New("file systems are mounted in that folder, and would be moved with it")
)

// noMountsBelow returns an error if a file system is mounted in the folder name of dir, which is to be renamed: mounts
// move along, and a person who removes the folder under its new name would empty them.
func noMountsBelow(dir int, name string) (err error) {
	fd, err := fsat.OpenDir(dir, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	list, err := fsat.MountsBelow(fd)
	if err != nil {
		return err
	}
	const most = 5
	if n := len(list); n > 0 {
		var quoted []string
		for _, at := range list[:min(n, most)] {
			quoted = append(quoted, strconv.Quote(at))
		}
		err = fmt.Errorf("%w: %s", ErrMountsBelow, strings.Join(quoted, ", "))
		if n > most {
			err = fmt.Errorf("%w and %d more", err, n-most)
		}
	}
	return err
}

// Swap restores a whole snapshot beside the folder to and exchanges the two in one step, so that to is the old tree
// until the moment at which it is the new one. The old tree is kept, and the report says where. If to does not exist,
// the new tree gets its name.
//
// If Swap is interrupted, or an entry cannot be restored, to is unchanged; the entries restored until then are beside
// it, and the next Swap goes on from there, unless the new tree was complete and only the exchange was missing. On a
// file system that cannot exchange names Swap makes two renames, between which to does not exist. Attributes that keep
// the new tree's top from being moved (chattr) are set after the exchange. opt.Overwrite, Delete, BackupSuffix,
// InPlace and DryRun have no effect.
func Swap(ctx context.Context, from archive.OpenSnapshot, to string, opt Options, now time.Time) (*Report, error) {
	s, err := openSwap(from, to, now)
	if err != nil {
		return nil, err
	}
	opt.Overwrite, opt.Delete, opt.BackupSuffix, opt.InPlace, opt.DryRun = OverwriteChanged, true, "", false, false
	if opt.Fault != nil {
		s.step = opt.Fault
	}
	report, err := start(ctx, from, nil, filepath.Join(s.parent, s.fresh), opt, &s)
	if err == nil && report.FailedCount > 0 {
		err = fmt.Errorf("%w; the restored tree is in %s", ErrIncomplete, report.Target)
	}
	if s.done {
		report.Target, report.OldTree = filepath.Join(s.parent, s.name), s.oldPath()
		if err == nil {
			err = s.settle(from.Catalog, &opt, report)
		}
		if err != nil {
			err = fmt.Errorf("exchange %s: %w, but: %w", report.Target, ErrExchanged, err)
		}
	}
	return report, errors.Join(err, fsat.Close(s.dir))
}

// exchange gives the new tree, durable with all entries in it, the target's name. Only then it removes the note: the
// note marks a tree that is not in its place yet.
func (r *run) exchange() error {
	s := r.target.swap
	if err := s.exchange(); err != nil {
		return fmt.Errorf("exchange %s: %w", filepath.Join(s.parent, s.name), whyRefused(s.dir, s.name, err))
	}
	s.done = true
	if err := r.endNote(); err != nil {
		return err
	}
	for _, m := range r.late.modes {
		if m.dir == r.top {
			if err := closeMode(m); err != nil {
				return err
			}
		}
	}
	return r.target.sync()
}

// settle does the work that has to follow the exchange.
func (s *swap) settle(from *index.Catalog, opt *Options, report *Report) error {
	root := from.Root()
	err := s.step("exchanged")
	if err == nil && opt.Attrs && root.Attrs&tree.LockingAttrs != 0 {
		err = s.lock(root.Attrs&tree.LockingAttrs, report)
	}
	if err == nil {
		err = fsat.Sync(s.dir)
	}
	return err
}

// lock sets the attributes of the new tree's top that keep it from being moved.
func (s *swap) lock(attrs index.Attrs, report *Report) (err error) {
	fd, err := s.made.Same(fsat.OpenDir(s.dir, s.name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	err = fsat.SetAttrs(fd, uint32(attrs), uint32(tree.LockingAttrs))
	if fsat.IsRefused(err) {
		report.CatalogOnly.Attrs++
		return nil
	}
	return errors.Join(err, fsat.Sync(fd))
}

// swap has the names of an exchange, all in one folder.
type swap struct {
	parent string
	dir    int
	name   string // of the target
	exists bool
	fresh  string       // of the new tree until it is exchanged
	old    string       // of the old one afterwards
	made   tree.InodeID // of the new tree
	done   bool         // the two are exchanged
	step   func(name string) error
}

func (s *swap) oldPath() string {
	if !s.exists {
		return ""
	}
	return filepath.Join(s.parent, s.old)
}

func openSwap(from archive.OpenSnapshot, to string, now time.Time) (s swap, err error) {
	abs, err := filepath.Abs(to)
	if err != nil {
		return s, err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil { // the target of a link is exchanged
		abs = real
	} else if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	s.parent, s.name = filepath.Split(abs)
	if s.name == "" {
		return s, &fs.PathError{Op: "exchange", Path: abs, Err: ErrMountPoint}
	}
	s.step = func(string) error { return nil }
	s.fresh = leftover.SwapName(s.name, 0)
	s.old = s.name + ".before-" + now.UTC().Format("2006-01-02T150405Z")
	if err := os.MkdirAll(s.parent, 0o777); err != nil {
		return s, err
	}
	if s.dir, err = fsat.OpenRoot(s.parent); err != nil {
		return s, &fs.PathError{Op: "open", Path: s.parent, Err: err}
	}
	archive, err := findArchive(from.Dir)
	if err == nil {
		err = s.look(&archive)
	}
	if err != nil {
		err = errors.Join(&fs.PathError{Op: "exchange", Path: abs, Err: err}, fsat.Close(s.dir))
	}
	return s, err
}

// look returns an error if the target cannot be exchanged, before any work is done.
func (s *swap) look(archive *archivePlace) error {
	var above, st fsat.Stat
	err := fsat.StatAt(s.dir, s.name, &st)
	if fsat.IsGone(err) {
		return nil
	}
	s.exists = err == nil
	if err == nil {
		err = fsat.StatHandle(s.dir, &above)
	}
	switch {
	case err != nil:
		return err
	case st.Type != fsat.Directory:
		return fs.ErrExist
	case st.Dev != above.Dev || st.Mounted:
		return ErrMountPoint
	case archive.isIn(&st):
		return ErrHoldsArchive
	case (st.Attrs|above.Attrs)&uint32(tree.LockingAttrs) != 0:
		return whyRefused(s.dir, s.name, syscall.EPERM)
	}
	return noMountsBelow(s.dir, s.name)
}

// openFresh opens the folder for the new tree, which an earlier run may have left with its note in it. Any other
// folder of that name is the user's and stays: the new tree gets another name.
func (s *swap) openFresh() (fd int, err error) {
	for n := range maxAside {
		s.fresh = leftover.SwapName(s.name, n)
		made := fsat.Mkdir(s.dir, s.fresh, 0o700)
		if made != nil && !fsat.IsExist(made) {
			return fsat.NoDir, made
		}
		fd, err = fsat.OpenDir(s.dir, s.fresh)
		if made != nil && (fsat.IsNoDir(err) || errors.Is(err, fs.ErrPermission)) { // a file, a link, somebody else's
			continue
		}
		if err != nil {
			return fsat.NoDir, err
		}
		var st fsat.Stat
		err = fsat.StatHandle(fd, &st)
		own := made == nil
		if err == nil && !own && !st.Mounted {
			own, err = isFresh(fd, &st)
		}
		if err == nil && own {
			s.made = tree.IDOf(&st)
			return fd, nil
		}
		if err = errors.Join(err, fsat.Close(fd)); err != nil {
			return fsat.NoDir, err
		}
	}
	return fsat.NoDir, fmt.Errorf("%d names like %s are taken: %w", maxAside, s.fresh, fs.ErrExist)
}

// isFresh reports whether an open folder is the unfinished new tree of a restore: removing it loses nothing.
func isFresh(fd int, st *fsat.Stat) (bool, error) {
	if leftover.HasNote(fd) {
		return true, nil
	}
	if st.Mode != 0o700 || st.UID != uint32(os.Geteuid()) {
		return false, nil
	}
	list, err := fsat.OpenDir(fd, ".") // a listing moves its handle
	if err != nil {
		return false, err
	}
	names, err := fsat.ReadDir(list, make([]byte, 64<<10))
	if err = errors.Join(err, fsat.Close(list)); err != nil {
		return false, err
	}
	return len(names) == 0, nil
}

// exchange puts the new tree into the target's place. The new tree gets the old one's later name before: so the last
// step is the exchange itself, and the old tree never has the name under which the next run makes the new one.
func (s *swap) exchange() error {
	if err := s.step("exchange"); err != nil {
		return err
	}
	var st fsat.Stat
	if err := fsat.StatAt(s.dir, s.fresh, &st); err != nil {
		return err
	}
	if tree.IDOf(&st) != s.made {
		return tree.ErrMoved
	}
	if !s.exists {
		return fsat.RenameNew(s.dir, s.fresh, s.dir, s.name)
	}
	if err := noMountsBelow(s.dir, s.name); err != nil { // a file system may have been mounted while the new tree was made
		return err
	}
	if err := s.renameOld(s.fresh); err != nil {
		return err
	}
	err := s.step("exchange names")
	if err == nil {
		err = fsat.Exchange(s.dir, s.old, s.dir, s.name)
	}
	if err == nil {
		return nil
	}
	backErr := fsat.RenameNew(s.dir, s.old, s.dir, s.fresh)
	if backErr != nil || !fsat.IsRefused(err) {
		return errors.Join(err, backErr)
	}
	return s.renameTwice()
}

// renameOld renames to the old tree's later name, with a number if that exists.
func (s *swap) renameOld(name string) error {
	old := s.old
	for n := 2; ; n++ {
		err := fsat.RenameNew(s.dir, name, s.dir, old)
		if err == nil {
			s.old = old
		}
		if !fsat.IsExist(err) || n > maxAside {
			return err
		}
		old = s.old + "." + strconv.Itoa(n)
	}
}

// renameTwice replaces exchange on file systems that cannot exchange.
func (s *swap) renameTwice() error {
	if err := s.renameOld(s.name); err != nil {
		return err
	}
	err := s.step("second rename")
	if err == nil {
		err = fsat.RenameNew(s.dir, s.fresh, s.dir, s.name)
	}
	if err != nil {
		err = errors.Join(err, fsat.RenameNew(s.dir, s.old, s.dir, s.name))
	}
	return err
}
