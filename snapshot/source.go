package snapshot

import (
	"path/filepath"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// openLocal opens a live folder as the run's source, and makes sure that it does not lie in the archive.
func (r *run) openLocal(path, archive string) (*source.Local, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	r.report.Source = abs
	l, err := source.OpenLocal(abs, r.filter)
	if err != nil {
		return nil, err
	}
	l.IgnoreCtime = r.opt.IgnoreCtime
	r.source = l
	inside, err := l.Inside(archive)
	if err == nil && inside {
		err = ErrInsideArchive
	}
	return l, err
}

// stillHas reports whether the source has a file where the previous entry e was that may still be that one.
func (r *run) stillHas(dir string, e *index.Entry) bool {
	var st source.Stat
	if err := r.source.Find(dir, e.Name, &st); err != nil {
		return !fsat.IsNoDir(err)
	}
	return tree.DiffStat(e, &st.Stat)&(tree.Type|tree.Size|tree.Mtime) == 0
}
