package restore

import (
	"errors"
	"io/fs"

	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// openTop starts the walk at the target.
func (r *run) openTop() error {
	d := &dir{selected: r.scope.selected}
	r.top = d
	if r.scope.whole() {
		var err error
		d.entry = r.scope.Catalog.Root()
		if err = r.readRecord(d); err != nil {
			return err
		}
		if d.xattrs, err = r.scope.Catalog.Xattrs(d.entry.Xattrs); err != nil {
			return err
		}
	}
	src, err := fsat.OpenDir(r.scope.fd, ".")
	if err != nil {
		return &fs.PathError{Op: "open", Path: r.scope.Dir, Err: err}
	}
	dst := fsat.NoDir
	if r.target.fd == fsat.NoDir { // a dry run that has found nothing
		d.state, d.own = dirAbsent, true
	} else if dst, err = r.enterTarget(d); err != nil {
		return errors.Join(err, fsat.Close(src))
	}
	r.groups.fresh = d.own
	d.Put(inSnapshot, src, nil)
	d.Put(inTarget, dst, nil)
	if !d.own {
		if err := r.target.lookForFolding(d); err != nil {
			return errors.Join(err, d.Close())
		}
	}
	r.dirs.Start(&d.Folder, tree.StoredRoot(r.scope.fd), tree.Root{Dir: r.target.fd, Op: "open in target"})
	return nil
}

// enterTarget looks at the target, makes a note in it that a restore begins, and opens it as the top.
func (r *run) enterTarget(d *dir) (dst int, err error) {
	st, list, err := r.lookAtTarget(d)
	if err != nil {
		return fsat.NoDir, err
	}
	if !d.own && !r.opt.DryRun {
		r.target.claim()
	}
	if r.scope.whole() && r.target.origin != targetOurs {
		if d.diff, err = r.comparer.dir(&r.workers[0], d, r.target.fd, &st); err != nil {
			return fsat.NoDir, &fs.PathError{Op: "look at", Path: r.target.path, Err: err}
		}
	}
	if err := r.beginNote(d, list); err != nil {
		return fsat.NoDir, err
	}
	if r.scope.whole() {
		d.state = r.stateOfTarget(d)
		if r.target.origin == targetAdopted && r.opt.Overwrite == OverwriteNever {
			r.report.TargetSet = differingNames(d.diff &^ tree.Mtime)
		}
	}
	if dst, err = fsat.OpenDir(r.target.fd, "."); err != nil {
		return fsat.NoDir, &fs.PathError{Op: "open", Path: r.target.path, Err: err}
	}
	return dst, nil
}

// beginNote finds the note of an earlier restore in the target, or writes one.
func (r *run) beginNote(d *dir, list []fsat.DirEntry) error {
	replacing := r.scope.whole() && r.opt.Delete && r.opt.Overwrite != OverwriteNever
	replaces, err := r.note.find(list, replacing)
	if err != nil {
		return err
	}
	r.report.Resumed = r.note.resumed()
	if r.opt.DryRun {
		return nil
	}
	err = r.note.begin(&r.workers[0], d.own, list, replaces)
	r.maker.atOnce = r.note.state == noteWritten
	return err
}

// lookAtTarget describes the target, and checks that it can take the restore. It changes nothing.
func (r *run) lookAtTarget(d *dir) (st fsat.Stat, list []fsat.DirEntry, err error) {
	if err := fsat.StatHandle(r.target.fd, &st); err != nil {
		return st, nil, &fs.PathError{Op: "stat", Path: r.target.path, Err: err}
	}
	r.target.id = tree.IDOf(&st)
	d.SetID(inTarget, r.target.id)
	if list, err = fsat.ReadDir(r.target.fd, make([]byte, 64<<10)); err != nil {
		return st, nil, &fs.PathError{Op: "list", Path: r.target.path, Err: err}
	}
	d.own = len(list) == 0
	space, err := r.target.fileSystem()
	if err == nil {
		err = r.checkSpace(&space, d.own)
	}
	if err != nil {
		return st, nil, err
	}
	// An empty folder that is closed to others is as this restore makes one: it can be what is left of a kill just then.
	if d.own && r.target.origin != targetOurs && st.UID == r.maker.setter.UID && st.Mode == 0o700 {
		r.target.origin = targetAdopted
	}
	return st, list, nil
}

// stateOfTarget returns the state of the target if the whole snapshot goes into it. A target with a note in it has one
// name too many, so that its metadata say nothing.
func (r *run) stateOfTarget(d *dir) dirState {
	overwrites := r.opt.Overwrite != OverwriteNever
	switch {
	case r.target.origin != targetForeign || overwrites && d.own:
		return dirMade
	case overwrites && r.note.resumed():
		return dirReopened
	case overwrites:
		return dirUpdated
	}
	return dirKept
}

func (r *run) readRecord(d *dir) error {
	rec, err := r.scope.Catalog.ReadDir(d.entry.Child)
	if err != nil {
		return tree.CatalogError(err)
	}
	d.rec, d.cursor = rec, rec.Cursor()
	return nil
}
