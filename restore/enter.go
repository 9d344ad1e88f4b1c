package restore

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/inside"
	"snapcopy/internal/tree"
)

// openTop starts the walk at the target.
func (r *run) openTop(selected []tree.Selection) error {
	d := &dir{selected: selected}
	r.top = d
	if r.whole {
		var err error
		d.entry = r.from.Catalog.Root()
		if err = r.readRecord(d); err != nil {
			return err
		}
		if d.xattrs, err = r.from.Catalog.Xattrs(d.entry.Xattrs); err != nil {
			return err
		}
	}
	src, err := fsat.OpenDir(r.snapshot, ".")
	if err != nil {
		return &fs.PathError{Op: "open", Path: r.from.Dir, Err: err}
	}
	dst := fsat.NoDir
	if r.target == fsat.NoDir { // a dry run that has found nothing
		d.state, d.own = dirAbsent, true
	} else if dst, err = r.enterTarget(d); err != nil {
		return errors.Join(err, fsat.Close(src))
	}
	d.Put(inSnapshot, src, nil)
	d.Put(inTarget, dst, nil)
	if !d.own {
		if err := r.lookForFolding(d); err != nil {
			return errors.Join(err, d.Close())
		}
	}
	r.dirs.Start(&d.Folder, tree.StoredRoot(r.snapshot), tree.Root{Dir: r.target, Op: "open in target"})
	return nil
}

// enterTarget looks at the target, notes in it that a restore begins, and opens it as the top.
func (r *run) enterTarget(d *dir) (dst int, err error) {
	st, list, err := r.lookAtTarget(d)
	if err != nil {
		return fsat.NoDir, err
	}
	if !d.own && !r.opt.DryRun {
		r.claim()
	}
	if r.whole && r.origin != targetOurs {
		if d.diff, err = r.compareDir(&r.workers[0], d, r.target, &st); err != nil {
			return fsat.NoDir, &fs.PathError{Op: "look at", Path: r.report.Target, Err: err}
		}
	}
	replaces, err := r.findNote(d, list)
	if err == nil && !r.opt.DryRun {
		err = r.begin(d, list, replaces)
	}
	if err != nil {
		return fsat.NoDir, err
	}
	if r.whole {
		d.state = r.stateOfTarget(d)
		if r.origin == targetAdopted && r.opt.Overwrite == OverwriteNever {
			r.report.TargetSet = differingNames(d.diff &^ tree.Mtime)
		}
	}
	if dst, err = fsat.OpenDir(r.target, "."); err != nil {
		return fsat.NoDir, &fs.PathError{Op: "open", Path: r.report.Target, Err: err}
	}
	return dst, nil
}

// lookAtTarget finds out what the target is like, and whether it can hold what is to be restored. It changes nothing.
func (r *run) lookAtTarget(d *dir) (st fsat.Stat, list []fsat.DirEntry, err error) {
	if err := fsat.StatHandle(r.target, &st); err != nil {
		return st, nil, &fs.PathError{Op: "stat", Path: r.report.Target, Err: err}
	}
	d.SetID(inTarget, tree.IDOf(&st))
	if list, err = fsat.ReadDir(r.target, make([]byte, 64<<10)); err != nil {
		return st, nil, &fs.PathError{Op: "list", Path: r.report.Target, Err: err}
	}
	d.own = len(list) == 0
	if err := r.lookAtSpace(d.own, d.selected); err != nil {
		return st, nil, err
	}
	// An empty folder that is closed to others is as this restore makes one: it can be what is left of a kill just then.
	if d.own && r.origin != targetOurs && st.UID == r.euid && st.Mode == 0o700 {
		r.origin = targetAdopted
	}
	return st, list, nil
}

// stateOfTarget is the state of the target if the whole snapshot goes into it. One with a note in it has one more name
// than it will have, so that what it is like says nothing.
func (r *run) stateOfTarget(d *dir) dirState {
	overwrites := r.opt.Overwrite != OverwriteNever
	switch {
	case r.origin != targetForeign || overwrites && d.own:
		return dirMade
	case overwrites && r.resumed():
		return dirReopened
	case overwrites:
		return dirUpdated
	}
	return dirKept
}

func (r *run) readRecord(d *dir) error {
	rec, err := r.from.Catalog.ReadDir(d.entry.Child)
	if err != nil {
		return tree.CatalogError(err)
	}
	d.rec, d.cursor = rec, rec.Cursor()
	return nil
}

// enter makes a directory that items has found, or enters it if it exists.
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
		d.entry.Name = strings.Clone(d.entry.Name) // the record need not stay in memory for it
		d.Begin(&parent.Folder, d.entry.Name)
		err = r.enterDir(&r.workers[id], d)
	}
	if err != nil {
		err = errors.Join(err, d.Close())
		if d.base != nil {
			return nil, 0, false, r.failed(d, &d.base.Entry, err)
		}
		if d.state == dirMade { // nothing is left of what could not be restored, if it is empty
			if rmErr := fsat.Rmdir(parent.dst(), d.Name()); rmErr != nil && !fsat.IsExist(rmErr) {
				err = errors.Join(err, fmt.Errorf("remove folder: %w", rmErr))
			}
		}
		return nil, 0, false, r.settle(parent, &d.entry, err)
	}
	return d, d.items(), true, d.Enter()
}

// enterDir finds or makes the directory, and opens both sides.
func (r *run) enterDir(w *worker, d *dir) error {
	if err := r.readRecord(d); err != nil {
		return err
	}
	var err error
	if d.xattrs, err = w.xattrs.Get(r.from.Catalog, d.entry.Xattrs); err != nil {
		return err
	}
	if err := r.findDir(w, d); err != nil {
		return err
	}
	_ = d.Open(inSnapshot) // told of what has its content there
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
		return r.startAttrs(dst, &d.entry)
	}
	w.counts.Existing++
	r.told(d.parent, &d.entry, tree.Entered)
	return nil
}

// findDir makes the directory, open to us alone while it is filled, unless it exists.
func (r *run) findDir(w *worker, d *dir) error {
	p := d.parent
	if p.state == dirAbsent {
		d.state, d.own = dirAbsent, true
		return nil
	}
	var st fsat.Stat
	if !p.own { // it may be there
		err := fsat.StatAt(p.dst(), d.Name(), &st)
		if err == nil && p.folded(d.Name()) {
			return errFolded
		}
		if err == nil && st.Type == fsat.Directory {
			d.state, d.spared = r.existing(), p.spared
			if tree.IDOf(&st) == r.archive {
				return inside.ErrTarget
			}
			if !st.Mounted && st.Dev == p.ID(inTarget).Dev {
				return nil
			}
			if _, is, err := inside.Archive(r.targetPath(d)); err != nil || is { // a snapshot that is mounted there
				return cmp.Or(err, inside.ErrTarget)
			}
			if !d.crossed() {
				d.spared = true
				r.spared(p.Child(d.Name()))
			}
			return nil
		}
		if err != nil && !fsat.IsGone(err) {
			return fmt.Errorf("stat in target: %w", err)
		}
		if err == nil {
			if err := r.clearWay(w, d, &st); err != nil {
				return err
			}
		}
	}
	d.own = true
	p.touched.Store(true)
	if r.opt.DryRun {
		d.state = dirAbsent
		return nil
	}
	if err := r.openUp(p); err != nil {
		return err
	}
	if err := r.step("mkdir"); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := fsat.Mkdir(p.dst(), d.Name(), 0o700); err != nil {
		return p.refused("make folder", err)
	}
	d.state = dirMade
	return nil
}

// crossed reports whether the snapshot has anything of another file system that was mounted at d. An empty folder can be
// one that it did not look into.
func (d *dir) crossed() bool { return d.entry.Dev != d.parent.entry.Dev && d.rec.Len() > 0 }

// clearWay removes or renames what is no directory and has the name of one.
func (r *run) clearWay(w *worker, d *dir, st *fsat.Stat) error {
	if r.opt.Overwrite == OverwriteNever {
		return fmt.Errorf("%w and is not a folder", ErrExists)
	}
	if err := r.openUp(d.parent); err != nil {
		return err
	}
	if err := r.keepAside(w, d.parent, d.Name(), st, false); err != nil {
		return err
	}
	w.counts.Replaced++
	return nil
}

// openFound opens the directory in the target. One that is to get its metadata anew need not let us in as it is.
func (r *run) openFound(d *dir) (int, error) {
	var fd int
	var err error
	switch in := d.parent.dst(); {
	case d.state.unfinished() && !r.opt.DryRun:
		fd, err = r.openOpenedUp(in, d.Name())
	case d.state == dirUpdated:
		fd, err = r.openAnyway(in, d.Name(), openedUp{dir: d})
	default:
		fd, err = fsat.OpenDir(in, d.Name())
	}
	if err != nil {
		return fsat.NoDir, fmt.Errorf("open in target: %w", err)
	}
	return fd, nil
}

func (r *run) openOpenedUp(dir int, name string) (int, error) {
	fd, err := fsat.OpenDir(dir, name)
	if errors.Is(err, fs.ErrPermission) {
		if err = r.letIn(dir, name); err == nil {
			fd, err = fsat.OpenDir(dir, name)
		}
	}
	return fd, err
}

func (r *run) letIn(dir int, name string) error {
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

// startDir takes off a new directory what it has inherited: the snapshot alone says what is in the target.
func (r *run) startDir(w *worker, d *dir) error {
	dst := d.dst()
	var st fsat.Stat
	if err := fsat.StatHandle(dst, &st); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	d.SetID(inTarget, tree.IDOf(&st))
	if !d.own {
		if err := r.lookForFolding(d); err != nil {
			return err
		}
		var err error
		if d.leftOut, err = r.leftOutNow(d, &st); err != nil {
			return err
		}
		if !d.state.unfinished() {
			if d.diff, err = r.compareDir(w, d, dst, &st); err != nil {
				return err
			}
		}
		if d.state.unfinished() || d.state == dirUpdated && st.Mode&0o500 != 0o500 { // to look at what is in it
			return r.openUp(d)
		}
		return nil
	}
	if !d.parent.plain {
		if err := r.checkNew(dst); err != nil {
			return err
		}
		if st.UID != r.euid || st.GID != r.egid { // before the rest: whose it is could give it another ACL after that
			if err := fsat.Chown(dst, r.euid, r.egid); err != nil && !fsat.IsRefused(err) {
				return fmt.Errorf("chown: %w", err)
			}
		}
		if err := (inode{fd: dst}).dropACLs(true); err != nil {
			return err
		}
		if err := fsat.Chmod(dst, 0o700); err != nil && !fsat.IsRefused(err) {
			return fmt.Errorf("chmod: %w", err)
		}
		if err := fsat.StatHandle(dst, &st); err != nil {
			return fmt.Errorf("stat: %w", err)
		}
	}
	d.plain = st.UID == r.euid && st.GID == r.egid && st.Mode == 0o700
	return nil
}

// checkNew makes sure that a directory just made is the one that was opened, as far as it matters: where others may
// change names, they could have put a folder of ours in its place, and it must not get new contents and metadata.
func (r *run) checkNew(fd int) error {
	list, err := fsat.ReadDir(fd, make([]byte, 4096))
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if len(list) > 0 {
		return tree.ErrMoved
	}
	return nil
}

// leave ends a directory: it gets its metadata now that nothing in it changes any more.
func (r *run) leave(id int, d *dir) (err error) {
	if err := d.Acquire(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Release()) }()
	w := &r.workers[id]
	if err := r.deleteOthers(w, d); err != nil {
		return err
	}
	if err := r.endDir(w, d); err != nil {
		return err
	}
	d.rec, d.cursor, d.xattrs = nil, index.Cursor{}, nil
	return d.Leave()
}

// endDir gives a directory the metadata that it is to have.
func (r *run) endDir(w *worker, d *dir) error {
	switch state := d.state; {
	case state == dirPassage:
		return nil
	case state == dirAbsent:
		if d.parent != nil && d.base == nil {
			w.counts.Dirs++
			r.told(d.parent, &d.entry, tree.Restored)
		}
		return nil
	case state == dirKept:
		return r.leaveAsIs(d)
	case r.opt.DryRun:
		r.toldUpdated(w, d)
		return nil
	case state == dirUpdated:
		return r.updateDir(w, d)
	}
	err := r.finishDir(w, d)
	if err == nil && d.parent == nil {
		r.toldUpdated(w, d)
	}
	return err
}

func (r *run) finishDir(w *worker, d *dir) error {
	e := d.entry
	e.Below = index.Totals{} // what is in it has been accounted for
	how := setting{plain: d.plain}
	if r.euid != 0 && e.Mode&0o500 != 0o500 {
		how.keep = 0o700 // names in it may still be linked to, and folders in it have to be closed first
	}
	if d.parent == nil && r.unfinished() && r.euid != 0 {
		how.keep = 0o700 // the note is in it until the end
	}
	if d.parent == nil || !d.own { // it may have attributes that the snapshot does not know
		if err := r.dropXattrs(w, d.dst(), d.xattrs); err != nil {
			return r.notFinished(d, &e, fmt.Errorf("set metadata: %w", err))
		}
	}
	set, err := r.setMetadata(w, inode{fd: d.dst()}, &e, d.xattrs, how)
	if err != nil {
		return r.notFinished(d, &e, fmt.Errorf("set metadata: %w", err))
	}
	if r.fsync {
		if err := fsat.Sync(d.dst()); err != nil {
			return r.notFinished(d, &e, fmt.Errorf("sync: %w", err))
		}
	}
	d.state = dirDone
	r.lockLater(d, "", &e, &set.stat)
	if how.keep != 0 {
		r.late.closeMode(d, set.mode)
	}
	if d.parent != nil {
		w.counts.Dirs++
		r.told(d.parent, &e, tree.Restored)
	}
	return nil
}

// notFinished settles a folder of this restore's own that has not got its metadata: the note of it stays, so that the same
// restore makes up for that.
func (r *run) notFinished(d *dir, e *index.Entry, err error) error {
	r.note.stays.Store(true)
	return r.failed(d.above(), e, err)
}

// updateDir gives a directory that existed the metadata of the snapshot, if it has another.
func (r *run) updateDir(w *worker, d *dir) error {
	e := d.entry
	e.Below = index.Totals{}
	if d.diff == 0 { // then nothing but the work in it can have changed it
		var st fsat.Stat
		if err := fsat.StatHandle(d.dst(), &st); err != nil {
			return r.failed(d.above(), &e, fmt.Errorf("stat: %w", err))
		}
		if seenOf(&st) == d.seen {
			return nil
		}
	}
	s, err := r.updateInode(w, d.dst(), &e, d.xattrs)
	if err != nil {
		return r.failed(d.above(), &e, fmt.Errorf("set metadata: %w", err))
	}
	d.state = dirDone
	r.lockLater(d, "", &e, &s.stat)
	r.toldUpdated(w, d)
	return nil
}

// toldUpdated counts and tells a directory whose metadata was another when it was entered.
func (r *run) toldUpdated(w *worker, d *dir) {
	if d.diff != 0 {
		w.counts.Metadata++
		r.told(d.above(), &d.entry, tree.Updated)
	}
}
