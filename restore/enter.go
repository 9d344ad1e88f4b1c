package restore

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"snapcopy/internal/fsat"
	"snapcopy/internal/inside"
	"snapcopy/internal/outcome"
	"snapcopy/internal/tree"
)

// enter makes a folder that items has found, or enters an existing one.
func (r *run) enter(id int, parent *dir, item int) (d *dir, items int, ok bool, err error) {
	if err := parent.Acquire(); err != nil {
		return nil, 0, false, err
	}
	defer func() { err = errors.Join(err, parent.Release()) }()
	d = &dir{parent: parent}
	if parent.selected != nil {
		err = r.enterBase(&r.workers[id], d, item)
	} else {
		d.entry = parent.at(item)
		d.entry.Name = strings.Clone(d.entry.Name) // do not keep the record in memory for the name
		d.Begin(&parent.Folder, d.entry.Name)
		err = r.enterDir(&r.workers[id], d)
	}
	if err != nil {
		err = errors.Join(err, d.Close())
		if d.base != nil {
			return nil, 0, false, r.failed(d, &d.base.Entry, err)
		}
		if d.state == dirMade { // leave no empty folder of a failed entry
			if rmErr := fsat.Rmdir(parent.dst(), d.Name()); rmErr != nil && !fsat.IsExist(rmErr) {
				err = errors.Join(err, fmt.Errorf("remove folder: %w", rmErr))
			}
		}
		return nil, 0, false, r.outcome(parent, &d.entry, err)
	}
	return d, d.items(), true, d.Enter()
}

// enterDir finds or makes the folder, and opens both sides.
func (r *run) enterDir(w *worker, d *dir) error {
	if err := r.readRecord(d); err != nil {
		return err
	}
	var err error
	if d.xattrs, err = w.xattrs.Get(r.scope.Catalog, d.entry.Xattrs); err != nil {
		return err
	}
	if err := r.findOrMakeDir(w, d); err != nil {
		return err
	}
	_ = d.Open(inSnapshot) // an entry whose content is stored there, or may be in the target, reports the error
	if d.state == dirAbsent {
		return nil
	}
	dst, err := r.openFound(d)
	if err != nil {
		return err
	}
	d.Put(inTarget, dst, nil)
	if err := r.startDir(w, d); err != nil {
		return err
	}
	if d.own {
		return r.maker.startAttrs(dst, &d.entry)
	}
	w.counts.Existing++
	r.told(d.parent, &d.entry, outcome.Entered)
	return nil
}

// findOrMakeDir makes the folder, with access for us alone while it is filled, unless it exists.
func (r *run) findOrMakeDir(w *worker, d *dir) error {
	if d.parent.state == dirAbsent {
		d.state, d.own = dirAbsent, true
		return nil
	}
	if !d.parent.own {
		if exists, err := r.findExisting(w, d); exists || err != nil {
			return err
		}
	}
	return r.makeDir(d)
}

// findExisting looks for the folder in an existing one. An entry of another type with its name makes way.
func (r *run) findExisting(w *worker, d *dir) (exists bool, err error) {
	p := d.parent
	var st fsat.Stat
	err = fsat.StatAt(p.dst(), d.Name(), &st)
	switch {
	case fsat.IsGone(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("stat in target: %w", err)
	case p.folded(d.Name()):
		return false, errFolded
	case st.Type != fsat.Directory:
		return false, r.clearWay(w, d, &st)
	case tree.IDOf(&st) == r.target.archive.folder:
		return true, inside.ErrTarget
	}
	d.state, d.spared = r.existing(), p.spared
	if st.Mounted || st.Dev != p.ID(inTarget).Dev {
		return true, r.findMounted(d)
	}
	return true, nil
}

// findMounted looks at a folder on which another file system is mounted.
func (r *run) findMounted(d *dir) error {
	if _, is, err := inside.Archive(r.target.pathOf(d)); err != nil || is { // a snapshot that is mounted there
		return cmp.Or(err, inside.ErrTarget)
	}
	if !d.crossed() {
		d.spared = true
		if r.opt.Delete {
			r.spared(d.Path())
		}
	}
	return nil
}

// makeDir makes the folder. A dry run only records that.
func (r *run) makeDir(d *dir) error {
	p := d.parent
	d.own = true
	p.touched.Store(true)
	if r.opt.DryRun {
		d.state = dirAbsent
		return nil
	}
	if err := r.opener.openUp(p); err != nil {
		return err
	}
	if err := r.target.step("mkdir"); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := fsat.Mkdir(p.dst(), d.Name(), 0o700); err != nil {
		return p.refused("make folder", err)
	}
	d.state = dirMade
	return nil
}

// crossed reports whether the snapshot has entries of another file system that was mounted at d. For an empty folder
// it returns false, since the run may not have looked into the mount.
func (d *dir) crossed() bool { return d.entry.Dev != d.parent.entry.Dev && d.rec.Len() > 0 }

// clearWay removes or renames an entry that is not a folder and has the name of one.
func (r *run) clearWay(w *worker, d *dir, st *fsat.Stat) error {
	if r.opt.Overwrite == OverwriteNever {
		return fmt.Errorf("%w and is not a folder", ErrExists)
	}
	if err := r.opener.openUp(d.parent); err != nil {
		return err
	}
	if err := r.clearer.keepAside(w, d.parent, d.Name(), st, false); err != nil {
		return err
	}
	w.counts.Replaced++
	return nil
}

// openFound opens an existing folder in the target. The mode of a folder that is to get new metadata may deny us
// access.
func (r *run) openFound(d *dir) (int, error) {
	var fd int
	var err error
	switch in := d.parent.dst(); {
	case d.state.unfinished() && !r.opt.DryRun:
		fd, err = openOpenedUp(in, d.Name())
	case d.state == dirUpdated:
		fd, err = r.opener.openAnyway(in, d.Name(), openedUp{dir: d})
	default:
		fd, err = fsat.OpenDir(in, d.Name())
	}
	if err != nil {
		return fsat.NoDir, fmt.Errorf("open in target: %w", err)
	}
	return fd, nil
}

func openOpenedUp(dir int, name string) (int, error) {
	fd, err := fsat.OpenDir(dir, name)
	if errors.Is(err, fs.ErrPermission) {
		if err = letIn(dir, name); err == nil {
			fd, err = fsat.OpenDir(dir, name)
		}
	}
	return fd, err
}

func letIn(dir int, name string) error {
	node, err := fsat.OpenNode(dir, name)
	if err != nil {
		return err
	}
	var st fsat.Stat
	if err = fsat.StatHandle(node, &st); err == nil && st.Type == fsat.Directory {
		err = fsat.ChmodNode(node, 0o700)
	}
	return errors.Join(err, fsat.Close(node))
}

// startDir prepares a folder just opened for the entries restored into it.
func (r *run) startDir(w *worker, d *dir) error {
	var st fsat.Stat
	if err := fsat.StatHandle(d.dst(), &st); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	d.SetID(inTarget, tree.IDOf(&st))
	if d.own {
		return r.maker.startNew(d, &st)
	}
	return r.startExisting(w, d, &st)
}

// startExisting looks at an existing folder, before anything in it changes.
func (r *run) startExisting(w *worker, d *dir, st *fsat.Stat) (err error) {
	if err := r.target.lookForFolding(d); err != nil {
		return err
	}
	if d.leftOut, err = r.clearer.leftOutNow(d, st); err != nil {
		return err
	}
	if d.state == dirReopened {
		return r.opener.openUp(d)
	}
	if d.diff, err = r.comparer.dir(w, d, d.dst(), st); err != nil {
		return err
	}
	if d.state == dirUpdated && st.Mode&0o500 != 0o500 { // to look at its entries
		return r.opener.openUp(d)
	}
	return nil
}
