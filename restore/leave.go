package restore

import (
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/outcome"
	"snapcopy/internal/tree"
)

// leave ends a folder: it sets its metadata now that no entry in it changes any more.
func (r *run) leave(id int, d *dir) (err error) {
	if err := d.Acquire(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Release()) }()
	w := &r.workers[id]
	if err := r.clearer.deleteOthers(w, d); err != nil {
		return err
	}
	if err := r.endDir(w, d); err != nil {
		return err
	}
	d.rec, d.cursor, d.xattrs = nil, index.Cursor{}, nil
	return d.Leave()
}

// endDir sets the metadata that the state of a folder asks for.
func (r *run) endDir(w *worker, d *dir) error {
	d.ending.Lock()
	defer d.ending.Unlock()
	switch state := d.state; {
	case state == dirPassage:
		return nil
	case state == dirAbsent:
		if d.parent != nil && d.base == nil {
			w.counts.Dirs++
			r.told(d.parent, &d.entry, outcome.Restored)
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
	how := tree.Setting{Plain: d.plain}
	if r.maker.setter.UID != 0 && e.Mode&0o500 != 0o500 {
		how.Keep = 0o700 // names in it may still be linked to, and folders in it have to be closed first
	}
	if d.parent == nil && r.note.unfinished() && r.maker.setter.UID != 0 {
		how.Keep = 0o700 // the note is in it until the end
	}
	if d.parent == nil || !d.own { // it may have attributes that the snapshot does not know
		if err := dropXattrs(w, d.dst(), d.xattrs); err != nil {
			return r.notFinished(d, &e, fmt.Errorf("set metadata: %w", err))
		}
	}
	set, err := r.maker.setMetadata(w, tree.Opened(d.dst()), &e, d.xattrs, how)
	if err != nil {
		return r.notFinished(d, &e, fmt.Errorf("set metadata: %w", err))
	}
	if r.target.fsync {
		if err := fsat.Sync(d.dst()); err != nil {
			return r.notFinished(d, &e, fmt.Errorf("sync: %w", err))
		}
	}
	d.state = dirDone
	r.late.lock(d, "", &e, &set.Stat)
	if how.Keep != 0 {
		r.late.closeMode(d, set.Mode)
	}
	if d.parent != nil {
		w.counts.Dirs++
		r.told(d.parent, &e, outcome.Restored)
	}
	return nil
}

// notFinished lists a folder of this restore's own whose metadata could not be set: the note stays, so that the same
// restore, run again, sets them.
func (r *run) notFinished(d *dir, e *index.Entry, err error) error {
	r.note.stays.Store(true)
	return r.failed(d.above(), e, err)
}

// updateDir sets the snapshot's metadata on an existing folder, if they differ.
func (r *run) updateDir(w *worker, d *dir) error {
	e := d.entry
	e.Below = index.Totals{}
	if d.diff == 0 { // then only the work in it can have changed them
		var st fsat.Stat
		if err := fsat.StatHandle(d.dst(), &st); err != nil {
			return r.failed(d.above(), &e, fmt.Errorf("stat: %w", err))
		}
		if seenOf(&st) == d.seen {
			return nil
		}
	}
	s, err := r.maker.updateInode(w, d.dst(), &e, d.xattrs)
	if err != nil {
		return r.failed(d.above(), &e, fmt.Errorf("set metadata: %w", err))
	}
	d.state = dirDone
	r.late.lock(d, "", &e, &s.Stat)
	r.toldUpdated(w, d)
	return nil
}

// toldUpdated counts and reports a folder whose metadata differed when it was entered.
func (r *run) toldUpdated(w *worker, d *dir) {
	if d.diff != 0 {
		w.counts.Metadata++
		r.told(d.above(), &d.entry, outcome.Updated)
	}
}
