package restore

import (
	"fmt"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// A folder that exists is compared when it is entered, before what is done in it changes its time. With OverwriteNever it
// stays as it is: one that differs is told of as failed, as a file is; but its time follows from what was made and removed
// in it since, so that another time alone is only noted. Where this restore changes names, the time is that of the
// snapshot afterwards. The target itself, if it is not restored in place, is no entry of the snapshot, but a place that the
// caller has chosen: in what it differs is in the report.

// differingNames puts the fields in which a folder differs into words.
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

// compareDir finds out in what an open folder of the target differs, of what can be mended.
func (r *run) compareDir(w *worker, d *dir, fd int, st *fsat.Stat) (diff tree.Fields, err error) {
	e := &d.entry
	d.seen = seenOf(st)
	if r.isRecorded(e, st) {
		return 0, nil
	}
	before := w.counts.NotHeld
	m := wanted{r: r, w: w, d: d, e: e}
	if diff = tree.DiffStat(e, st) & tree.Settable(e.Type); diff != 0 {
		ok, err := m.try()
		if err != nil {
			return 0, err
		}
		if ok {
			diff = m.most.left(e, diff, st)
		}
	}
	set, err := fsat.Xattrs(fd)
	if err != nil {
		return 0, fmt.Errorf("read extended attributes: %w", err)
	}
	if same, err := m.hasXattrs(index.HashXattrs(set)); err != nil {
		return 0, err
	} else if !same {
		diff |= tree.Xattrs
	}
	if r.opt.Attrs {
		attrs, err := fsat.Attrs(fd)
		if err != nil {
			return 0, fmt.Errorf("read attributes: %w", err)
		}
		if same, err := m.hasAttrs(tree.KnownAttrs(attrs)); err != nil {
			return 0, err
		} else if !same {
			diff |= tree.Attrs
		}
	}
	if diff != 0 {
		w.counts.NotHeld = before // it is counted when it is mended
	}
	return diff, nil
}

// seenMetadata is what a stat tells of a folder, to find out whether anything has changed it since.
type seenMetadata struct {
	mode, uid, gid uint32
	mtime          fsat.Time
}

func seenOf(st *fsat.Stat) seenMetadata { return seenMetadata{st.Mode, st.UID, st.GID, st.Mtime} }

// leaveAsIs ends a folder that existed and keeps its metadata.
func (r *run) leaveAsIs(d *dir) error {
	e := d.entry
	e.Below = index.Totals{}
	diff := d.diff
	if d.touched.Load() {
		diff &^= tree.Mtime
		if err := r.setTimeOfFolder(d.dst(), &e); err != nil {
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
		return r.failed(d.above(), &e, fmt.Errorf("%w and differs in its %s", ErrExists, strings.Join(differingNames(diff), ", ")))
	}
	return nil
}

// setTimeOfFolder gives a folder in which names have changed its time.
func (r *run) setTimeOfFolder(fd int, e *index.Entry) error {
	if r.opt.DryRun {
		return nil
	}
	if err := r.step("folder time"); err != nil {
		return fmt.Errorf("set time: %w", err)
	}
	if err := fsat.SetMtime(fd, e.Mtime); err != nil && !fsat.IsRefused(err) {
		return fmt.Errorf("set time: %w", err)
	}
	if r.fsync {
		if err := fsat.Sync(fd); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
	}
	return nil
}
