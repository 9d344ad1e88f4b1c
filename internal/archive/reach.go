package archive

import (
	"errors"
	"fmt"

	"snapcopy/internal/fsat"
)

// Errors of an archive that cannot be written to any more.
var (
	// ErrUnreachable reports an archive whose folder is not at its path any more, or whose file system answers with
	// errors alone: its disk was unmounted, has failed or was pulled out, or the folder was moved.
	ErrUnreachable = errors.New("it can no longer be reached")
	// ErrReadOnly reports an archive whose file system is read-only, as many become after an error of their disk.
	ErrReadOnly = errors.New("its file system is read-only")
)

// errOtherFolder is the cause of ErrUnreachable if the path exists.
var errOtherFolder = errors.New("another folder is at its path")

// Reachable returns ErrUnreachable or ErrReadOnly, with the cause, if nothing can be written to the archive any more. It
// asks the file system to make the archive's folder durable, which a healthy one does.
func (a *Archive) Reachable() error {
	if err := a.AtPath(); err != nil {
		return err
	}
	err := fsat.Sync(a.Root)
	switch {
	case err == nil || fsat.IsRefused(err) || fsat.IsNoSpace(err):
		return nil
	case fsat.IsReadOnly(err):
		return a.ReadOnly()
	}
	return a.unreachable(err)
}

// AtPath returns ErrUnreachable if the archive's path does not lead to its folder any more.
func (a *Archive) AtPath() error {
	fd, err := fsat.OpenRoot(a.Path)
	if err != nil {
		return a.unreachable(err)
	}
	var st fsat.Stat
	if err := errors.Join(fsat.StatHandle(fd, &st), fsat.Close(fd)); err != nil {
		return a.unreachable(err)
	}
	if !st.SameFile(&a.TopStat) {
		return a.unreachable(errOtherFolder)
	}
	return nil
}

func (a *Archive) unreachable(cause error) error {
	return fmt.Errorf("archive %s: %w (%w)", a.Path, ErrUnreachable, cause)
}

// ReadOnly returns ErrReadOnly for the archive.
func (a *Archive) ReadOnly() error { return fmt.Errorf("archive %s: %w", a.Path, ErrReadOnly) }
