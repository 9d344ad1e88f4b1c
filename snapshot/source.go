package snapshot

import (
	"errors"
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
		return err
	}
	l.IgnoreCtime = r.opt.IgnoreCtime
	r.source = l
	inside, err := l.Inside(archive)
	if err == nil && inside {
		err = ErrInsideArchive
	}
	return err
}

// asKnown reports whether an entry other than a folder agrees with the catalog of the source, if the source has one.
func asKnown(e *index.Entry, st *source.Stat) bool {
	return st.Known == nil || tree.SameVersion(e, st.Known)
}
