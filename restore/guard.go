package restore

import (
	"fmt"
	"path"

	"snapcopy/index"
	"snapcopy/internal/filter"
	"snapcopy/internal/fsat"
)

// Guard knows the entries that a snapshot left out or failed to read. Such an entry of the target has no copy in the
// archive: Delete spares it.
type Guard struct {
	// Filter is the filter of the snapshot's run. It is asked about the target's entries, so that entries newer than
	// the snapshot are spared, too.
	Filter *filter.Filter
	// Named has paths that were left out or could not be read, and the reasons.
	Named map[string]string
	// Folders has paths of folders from which an unknown entry was taken, and the reasons.
	Folders map[string]string
	// Unnamed, if it is not "", is the reason why any entry that the snapshot does not have may be one that it left
	// out.
	Unnamed string
}

// UnsavedItem is an entry of the target that Delete has spared, because it has no copy in the archive.
type UnsavedItem struct {
	Path string // in the snapshot
	Why  string // rule or failure that kept it out of the snapshot
}

// unsaved returns the reason why the snapshot cannot contain an entry of a folder in the target, or "".
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

// filterState asks a filter about the present state of an entry.
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

// guards reports whether Delete spares entries that were never saved.
func (c *clearer) guards() bool { return c.opt.Delete && !c.opt.DeleteUnsaved }

// leftOutNow returns the rule by which a run with the snapshot's filters would not look into an existing folder today,
// or "". Entries in it that the snapshot lacks may be newer than the snapshot.
func (c *clearer) leftOutNow(d *dir, st *fsat.Stat) (why string, err error) {
	if !c.guards() || c.opt.Guard == nil || c.opt.Guard.Filter == nil {
		return "", nil
	}
	if d.parent != nil && d.parent.leftOut != "" {
		return d.parent.leftOut, nil
	}
	f := c.opt.Guard.Filter
	if root := c.catalog.Root(); f.OneFileSystem && d.entry.Dev != root.Dev {
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

// hasNoCopy reports whether Delete spares an entry below d, because the snapshot cannot contain it, and records that.
func (c *clearer) hasNoCopy(d *dir, dir int, at string, st *fsat.Stat) (bool, error) {
	if !c.guards() {
		return false, nil
	}
	why := d.leftOut
	if why == "" && d.entry.Flags&index.Unread != 0 {
		why = unreadFolder
	}
	if why == "" && c.opt.Guard != nil {
		var err error
		if why, err = c.opt.Guard.unsaved(dir, at, st); err != nil {
			return false, err
		}
	}
	if why == "" {
		return false, nil
	}
	c.teller.unsaved(at, why)
	return true, nil
}

const unreadFolder = "its folder could not be read completely when the snapshot was taken"
