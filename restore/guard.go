package restore

import (
	"fmt"
	"path"

	"snapcopy/index"
	"snapcopy/internal/filter"
	"snapcopy/internal/fsat"
)

// Guard knows what a snapshot was told to leave out and what it failed to read. An entry of the target that the snapshot
// does not have for such a reason has no copy in the archive: Delete spares it.
type Guard struct {
	// Filter is what the run was told to leave out. It is asked about the target's entries, so that it spares those that
	// are newer than the snapshot, too.
	Filter *filter.Filter
	// Named has paths that were left out or could not be read, and why.
	Named map[string]string
	// Folders has paths of folders out of which something was taken, and why that is so; what it was is not known.
	Folders map[string]string
	// Unnamed, if it is not "", says why any entry that the snapshot does not have may be one that it left out.
	Unnamed string
}

// UnsavedItem is an entry of the target that Delete has spared, because it has no copy in the archive.
type UnsavedItem struct {
	Path string // in the snapshot
	Why  string // rule or failure that kept it out of the snapshot
}

// unsaved gives the reason for which the snapshot cannot have held an entry of a folder in the target, or "".
func (g *Guard) unsaved(dir int, at string, st *fsat.Stat) (why string, err error) {
	if why, named := g.Named[at]; named {
		return why, nil
	}
	if why, taken := g.Folders[index.FolderOf(at)]; taken {
		return why, nil
	}
	if f := g.Filter; f != nil {
		if why := f.Name(at, st.Type == fsat.Directory); why != "" {
			return why, nil
		}
		why, err := filterState(f, dir, path.Base(at), st)
		if why != "" || err != nil {
			return why, err
		}
	}
	return g.Unnamed, nil
}

// filterState asks a filter about what an entry is now.
func filterState(f *filter.Filter, dir int, name string, st *fsat.Stat) (why string, err error) {
	switch {
	case !f.ByState():
		return "", nil
	case st.Type != fsat.Directory:
		return f.File(dir, name, st)
	}
	fd, err := fsat.OpenDir(dir, name)
	if err != nil {
		return "", fmt.Errorf("open to see whether the snapshot left it out: %w", err)
	}
	why, err = f.Dir(fd, st)
	if closeErr := fsat.Close(fd); err == nil {
		err = closeErr
	}
	return why, err
}

// guards reports whether Delete spares what was never saved.
func (r *run) guards() bool { return r.opt.Delete && !r.opt.DeleteUnsaved }

// leftOutNow finds out of a folder that exists and that the snapshot has, whether a run with the snapshot's filters would
// not look into it today. What is in it and not in the snapshot may have come since.
func (r *run) leftOutNow(d *dir, st *fsat.Stat) (why string, err error) {
	if !r.guards() || r.opt.Guard == nil || r.opt.Guard.Filter == nil {
		return "", nil
	}
	if d.parent != nil && d.parent.leftOut != "" {
		return d.parent.leftOut, nil
	}
	f := r.opt.Guard.Filter
	if root := r.from.Catalog.Root(); f.OneFileSystem && d.entry.Dev != root.Dev {
		return filter.RuleOneFileSystem, nil
	}
	if !f.ByState() {
		return "", nil
	}
	why, err = f.Dir(d.dst(), st)
	if err != nil {
		return "", fmt.Errorf("look whether the snapshot would leave it out: %w", err)
	}
	return why, nil
}

// hasNoCopy reports whether Delete spares an entry below d, because the snapshot cannot have held it; it is then noted.
func (r *run) hasNoCopy(d *dir, dir int, at string, st *fsat.Stat) (bool, error) {
	if !r.guards() {
		return false, nil
	}
	why := d.leftOut
	if why == "" && d.entry.Flags&index.Unread != 0 {
		why = unreadFolder
	}
	if why == "" && r.opt.Guard != nil {
		var err error
		if why, err = r.opt.Guard.unsaved(dir, at, st); err != nil {
			return false, err
		}
	}
	if why == "" {
		return false, nil
	}
	r.unsaved(at, why)
	return true, nil
}

const unreadFolder = "its folder could not be read completely when the snapshot was taken"
