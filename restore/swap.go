package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// Errors of Swap, told apart with errors.Is.
var (
	// ErrIncomplete says that something could not be restored, so that nothing was exchanged.
	ErrIncomplete = errors.New("something could not be restored, so nothing was exchanged")
	// ErrExchanged says that the exchange is done, and something failed after it: the report says where the old tree is.
	ErrExchanged = errors.New("the two are exchanged")
	// ErrMountPoint is returned for a target that cannot be exchanged because a file system is mounted there.
	ErrMountPoint = errors.New("a file system is mounted there, so it cannot be exchanged")
)

// Swap restores a whole snapshot beside the folder to and exchanges the two in one step, so that to is the old tree until
// the moment at which it is the new one. The old tree is kept: the report says where. If to does not exist, the new tree
// gets its name.
//
// If Swap is cut short, or anything cannot be restored, to is as it was; what was restored until then is beside it, and
// the next Swap goes on from there, unless it was complete and only the exchange was missing. A file system that cannot
// exchange names makes two renames of it, between which to does not exist. What keeps the new tree's top from being
// moved (chattr) is set after the exchange. opt.Overwrite, Delete, BackupSuffix, InPlace and DryRun have no meaning here.
func Swap(ctx context.Context, from Source, to string, opt Options, now time.Time) (*Report, error) {
	s, err := openSwap(from, to, now)
	if err != nil {
		return nil, err
	}
	opt.Overwrite, opt.Delete, opt.BackupSuffix, opt.InPlace, opt.DryRun = OverwriteChanged, true, "", false, false
	report, err := start(ctx, from, nil, filepath.Join(s.parent, s.fresh), opt, &s)
	if err == nil && report.FailedCount > 0 {
		err = fmt.Errorf("%w; what was restored is in %s", ErrIncomplete, report.Target)
	}
	if opt.Fault != nil {
		s.step = opt.Fault
	}
	if err == nil {
		if err = s.exchange(); err == nil {
			report.Target, report.OldTree = filepath.Join(s.parent, s.name), s.oldPath()
			err = s.settle(from.Catalog, &opt, report)
		} else {
			err = whyRefused(s.dir, s.name, err)
		}
		if err != nil {
			err = fmt.Errorf("exchange %s: %w", filepath.Join(s.parent, s.name), err)
		}
	}
	return report, errors.Join(err, fsat.Close(s.dir))
}

// settle does what has to wait for the exchange.
func (s *swap) settle(from *index.Catalog, opt *Options, report *Report) error {
	root := from.Root()
	err := s.step("exchanged")
	if err == nil && opt.Attrs && root.Attrs&lockingAttrs != 0 {
		err = s.lock(root.Attrs&lockingAttrs, report)
	}
	if err == nil {
		err = fsat.Sync(s.dir)
	}
	if err != nil {
		err = fmt.Errorf("%w, but: %w", ErrExchanged, err)
	}
	return err
}

// lock sets the attributes of the new tree's top that keep it from being moved.
func (s *swap) lock(attrs index.Attrs, report *Report) (err error) {
	fd, err := fsat.OpenDir(s.dir, s.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	var st fsat.Stat
	if err := fsat.StatHandle(fd, &st); err != nil {
		return err
	}
	if idOf(&st) != s.made {
		return errMoved
	}
	err = fsat.SetAttrs(fd, uint32(attrs), uint32(lockingAttrs))
	if fsat.IsRefused(err) {
		report.NotHeld.Attrs++
		return nil
	}
	return errors.Join(err, fsat.Sync(fd))
}

// swap are the names of an exchange, all in one folder.
type swap struct {
	parent string
	dir    int
	name   string // of the target
	exists bool
	fresh  string  // of the new tree until it is exchanged
	old    string  // of the old one afterwards
	made   inodeID // of the new tree
	step   func(name string) error
}

func (s *swap) oldPath() string {
	if !s.exists {
		return ""
	}
	return filepath.Join(s.parent, s.old)
}

func openSwap(from Source, to string, now time.Time) (s swap, err error) {
	abs, err := filepath.Abs(to)
	if err != nil {
		return s, err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil { // what a link leads to is exchanged
		abs = real
	} else if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	s.parent, s.name = filepath.Split(abs)
	if s.name == "" {
		return s, &fs.PathError{Op: "exchange", Path: abs, Err: ErrMountPoint}
	}
	s.step = func(string) error { return nil }
	s.fresh = "." + s.name + ".snapcopy-new"
	s.old = s.name + ".before-" + now.UTC().Format("2006-01-02T150405Z")
	if err := os.MkdirAll(s.parent, 0o777); err != nil {
		return s, err
	}
	if s.dir, err = fsat.OpenRoot(s.parent); err != nil {
		return s, &fs.PathError{Op: "open", Path: s.parent, Err: err}
	}
	_, above, err := findArchive(from.Dir)
	if err == nil {
		err = s.look(above)
	}
	if err != nil {
		err = errors.Join(&fs.PathError{Op: "exchange", Path: abs, Err: err}, fsat.Close(s.dir))
	}
	return s, err
}

// look makes sure that the target can be exchanged, before any work is done.
func (s *swap) look(archive map[inodeID]bool) error {
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
	case archive[idOf(&st)]:
		return ErrHoldsArchive
	case (st.Attrs|above.Attrs)&uint32(lockingAttrs) != 0:
		return whyRefused(s.dir, s.name, syscall.EPERM)
	}
	return nil
}

// openFresh opens the folder for the new tree, which an earlier run may have left. A symbolic link there is not followed.
func (s *swap) openFresh() (int, error) {
	if err := fsat.Mkdir(s.dir, s.fresh, 0o700); err != nil && !fsat.IsExist(err) {
		return fsat.NoDir, err
	}
	fd, err := fsat.OpenDir(s.dir, s.fresh)
	if err != nil {
		return fsat.NoDir, err
	}
	var st fsat.Stat
	if err = fsat.StatHandle(fd, &st); err == nil && st.Mounted {
		err = ErrMountPoint
	}
	if err != nil {
		return fsat.NoDir, errors.Join(err, fsat.Close(fd))
	}
	s.made = idOf(&st)
	return fd, nil
}

// exchange puts the new tree into the target's place. The new tree gets the old one's later name before: so the last step
// is the exchange itself, and never is the old tree where the next run makes the new one.
func (s *swap) exchange() error {
	if err := s.step("exchange"); err != nil {
		return err
	}
	var st fsat.Stat
	if err := fsat.StatAt(s.dir, s.fresh, &st); err != nil {
		return err
	}
	if idOf(&st) != s.made {
		return errMoved
	}
	if !s.exists {
		return fsat.RenameNew(s.dir, s.fresh, s.dir, s.name)
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

// renameOld renames to the old tree's later name, with a number if that is taken.
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

// renameTwice is for file systems that cannot exchange.
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
