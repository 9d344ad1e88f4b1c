package restore

import (
	"fmt"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// An existing folder is compared when it is entered, before work in it changes its time. With OverwriteNever it stays
// as it is: a folder that differs is listed as failed, like a file. A different time alone is only recorded, since the
// time depends on the names made and removed since. If this restore changes names in it, the folder gets the
// snapshot's time afterwards. The target itself, unless it is restored in place, is no entry of the snapshot, but a
// place that the caller has chosen: the report has its differences.

// differingNames returns words for people for the fields in which a folder differs: tree.Fields.Names has the names for
// programs.
func differingNames(f tree.Fields) (list []string) {
	for _, n := range []struct {
		field tree.Fields
		name  string
	}{
		{tree.Mode, "mode"}, {tree.Owner, "owner"}, {tree.Xattrs, "extended attributes or ACLs"},
		{tree.Attrs, "file attributes"}, {tree.Mtime, "time"},
	} {
		if f&n.field != 0 {
			list = append(list, n.name)
		}
	}
	return list
}

// seenMetadata is the metadata of a folder in stat data, to detect a later change.
type seenMetadata struct {
	mode, uid, gid uint32
	mtime          fsat.Time
}

func seenOf(st *fsat.Stat) seenMetadata { return seenMetadata{st.Mode, st.UID, st.GID, st.Mtime} }

// leaveAsIs ends an existing folder that keeps its metadata.
func (r *run) leaveAsIs(d *dir) error {
	e := d.entry
	e.Below = index.Totals{}
	diff := d.diff
	if d.touched.Load() {
		diff &^= tree.Mtime
		if err := r.target.setTime(d.dst(), &e); err != nil {
			return r.failed(d.above(), &e, err)
		}
	}
	switch {
	case diff == 0:
	case d.parent == nil && !r.opt.InPlace:
		r.report.TargetDiffers = differingNames(diff)
	case diff == tree.Mtime:
		r.otherTime(d.Path())
	default:
		names := strings.Join(differingNames(diff), ", ")
		return r.failed(d.above(), &e, fmt.Errorf("%w and differs in its %s", ErrExists, names))
	}
	return nil
}
