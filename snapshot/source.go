package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"snapcopy/index"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// openLocal opens a live folder as the run's source, and makes sure that it does not lie in the archive.
func (r *run) openLocal(path, archive string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	r.report.Source = abs
	r.host, _ = os.Hostname() // shown to people, and distinguishes sources of different machines
	l, err := source.OpenLocal(abs, r.filter)
	var failed *fs.PathError
	if errors.As(err, &failed) {
		failed.Path = path // as the person wrote it
	}
	if err != nil {
		return notOpened(err, archive)
	}
	l.IgnoreCtime, l.Fault = r.opt.IgnoreCtime, r.opt.SourceFault
	r.source = l
	if err := r.lookAtPlace(l); err != nil {
		return notOpened(err, archive)
	}
	inside, err := l.Inside(archive)
	if err == nil && inside {
		err = ErrInsideArchive
	}
	return err
}

// notOpened adds to the error of a source which archive has no snapshot of it tonight.
func notOpened(err error, archive string) error {
	if abs, absErr := filepath.Abs(archive); absErr == nil {
		archive = abs
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrNoSource, err)
	}
	return fmt.Errorf("archive %s: nothing was published: %w", archive, err)
}

// asKnown reports whether an entry other than a folder agrees with the catalog of the source, if the source has one.
func asKnown(e *index.Entry, st *source.Stat) bool {
	return st.Known == nil || tree.SameVersion(e, st.Known)
}
