package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"snapcopy/internal/fsat"
)

// Errors of Swap, told apart with errors.Is.
var (
	// ErrIncomplete says that something could not be restored, so that nothing was exchanged.
	ErrIncomplete = errors.New("something could not be restored, so nothing was exchanged")
	// ErrMountPoint is returned for a target that cannot be exchanged because a file system is mounted there.
	ErrMountPoint = errors.New("a file system is mounted there, so it cannot be exchanged")
)

// Swap restores a whole snapshot beside the folder to and exchanges the two in one step, so that to is the old tree until
// the moment at which it is the new one. The old tree is kept: the report says where. If to does not exist, the new tree
// gets its name.
//
// If Swap is cut short, or anything cannot be restored, to is as it was; what was restored until then is beside it, and
// the next Swap goes on from there. A file system that cannot exchange names makes two renames of it, between which to
// does not exist. opt.Overwrite, Delete, BackupSuffix, InPlace and DryRun have no meaning here.
func Swap(ctx context.Context, from Source, to string, opt Options, now time.Time) (*Report, error) {
	s, err := openSwap(to, now)
	if err != nil {
		return nil, err
	}
	opt.Overwrite, opt.Delete, opt.BackupSuffix, opt.InPlace, opt.DryRun = OverwriteChanged, true, "", false, false
	report, err := Run(ctx, from, nil, filepath.Join(s.parent, s.fresh), opt)
	if err == nil && report.FailedCount > 0 {
		err = fmt.Errorf("%w; what was restored is in %s", ErrIncomplete, report.Target)
	}
	if err == nil && opt.Fault != nil {
		err = opt.Fault("exchange")
	}
	if err == nil {
		err = s.exchange()
	}
	if err == nil {
		report.Target, report.OldTree = filepath.Join(s.parent, s.name), s.oldPath()
	}
	return report, errors.Join(err, fsat.Close(s.dir))
}

// swap are the names of an exchange, all in one folder.
type swap struct {
	parent string
	dir    int
	name   string // of the target
	exists bool
	fresh  string // of the new tree until it is exchanged
	old    string // of the old one afterwards
}

func (s *swap) oldPath() string {
	if !s.exists {
		return ""
	}
	return filepath.Join(s.parent, s.old)
}

func openSwap(to string, now time.Time) (s swap, err error) {
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
	s.fresh = "." + s.name + ".snapcopy-new"
	s.old = s.name + ".before-" + now.UTC().Format("2006-01-02T150405Z")
	if err := os.MkdirAll(s.parent, 0o777); err != nil {
		return s, err
	}
	if s.dir, err = fsat.OpenRoot(s.parent); err != nil {
		return s, &fs.PathError{Op: "open", Path: s.parent, Err: err}
	}
	if err = s.look(abs); err != nil {
		err = errors.Join(&fs.PathError{Op: "exchange", Path: abs, Err: err}, fsat.Close(s.dir))
	}
	return s, err
}

// look makes sure that the target can be exchanged, before any work is done.
func (s *swap) look(path string) error {
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
	case st.Dev != above.Dev:
		return ErrMountPoint
	}
	return nil
}

func (s *swap) exchange() error {
	var err error
	switch {
	case !s.exists:
		err = fsat.RenameNew(s.dir, s.fresh, s.dir, s.name)
	default:
		err = fsat.Exchange(s.dir, s.fresh, s.dir, s.name)
		if err == nil {
			err = fsat.RenameNew(s.dir, s.fresh, s.dir, s.old)
		} else if fsat.IsRefused(err) {
			err = s.renameTwice()
		}
	}
	if err == nil {
		err = fsat.Sync(s.dir)
	}
	if err != nil {
		return fmt.Errorf("exchange %s: %w", filepath.Join(s.parent, s.name), err)
	}
	return nil
}

// renameTwice is for file systems that cannot exchange.
func (s *swap) renameTwice() error {
	if err := fsat.RenameNew(s.dir, s.name, s.dir, s.old); err != nil {
		return err
	}
	err := fsat.RenameNew(s.dir, s.fresh, s.dir, s.name)
	if err != nil {
		err = errors.Join(err, fsat.RenameNew(s.dir, s.old, s.dir, s.name))
	}
	return err
}
