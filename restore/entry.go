package restore

import (
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/outcome"
	"snapcopy/internal/tree"
)

// items restores some of the entries of a folder. It returns the folders among them, to be entered later.
func (r *run) items(id int, d *dir, from, to int) (descend []int, err error) {
	if d.selected != nil {
		for i := from; i < to; i++ {
			descend = append(descend, i)
		}
		return descend, nil
	}
	if err := d.Acquire(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Release()) }()
	w := &r.workers[id]
	for left := to - from; left > 0; {
		n := d.take(w, left)
		left -= n
		for i := range n {
			e := &w.entries[i]
			if e.Type == index.Dir {
				if !r.leavesOut(w, d, e) {
					descend = append(descend, w.pos[i])
				}
				continue
			}
			if err := r.restore(w, d, e); err != nil {
				return nil, err
			}
			r.opt.Progress.Files.Add(1)
		}
	}
	return descend, nil
}

// leavesOut reports whether Exclude matches an entry.
func (r *run) leavesOut(w *worker, d *dir, e *index.Entry) bool {
	if r.opt.Exclude.Empty() || !r.opt.excludes(d.Child(e.Name), e.Type == index.Dir) {
		return false
	}
	w.counts.Excluded++
	return true
}

// restore restores one entry other than a folder.
func (r *run) restore(w *worker, d *dir, e *index.Entry) error {
	if r.leavesOut(w, d, e) {
		return nil
	}
	if !d.own {
		taken, err := r.restoreTaken(w, d, e)
		if taken || err != nil {
			return r.outcome(d, e, err)
		}
	}
	if e.Linked() {
		return r.restoreLinked(w, d, e, nil)
	}
	_, err := r.make(w, d, e, nil)
	return r.outcome(d, e, err)
}

// outcome lists an entry that could not be restored, with the attribute or privilege that may be the reason.
func (r *run) outcome(d *dir, e *index.Entry, err error) error {
	if err != nil {
		return r.failed(d, e, whyRefused(d.dst(), e.Name, err))
	}
	return nil
}

// make makes an entry as an inode of its own, in the place of the existing entry that over describes, if it is not
// nil.
func (r *run) make(w *worker, d *dir, e *index.Entry, over *fsat.Stat) (made fsat.Stat, err error) {
	set, err := w.xattrs.Get(r.scope.Catalog, e.Xattrs)
	if err != nil {
		return made, err
	}
	if err := r.opener.openUp(d); err != nil {
		return made, err
	}
	if err := r.clearer.removeLeftovers(w, d); err != nil {
		return made, err
	}
	before := w.counts
	if r.opt.DryRun {
		if err = checkStored(w, d, e); err == nil && over != nil {
			err = r.clearer.keepAside(w, d, e.Name, over, true)
		}
	} else {
		made, err = r.makeInode(w, d, e, set, over)
	}
	if err != nil {
		w.counts = before
		return made, err
	}
	action := outcome.Restored
	if over != nil {
		w.counts.Replaced++
		action = outcome.Replaced
	}
	w.counts.Files++
	d.touched.Store(true)
	r.writeOut.made(e)
	r.told(d, e, action)
	return made, nil
}

// makeInode makes an inode and, when it is finished, gives it its name.
func (r *run) makeInode(w *worker, d *dir, e *index.Entry, set []index.Xattr,
	over *fsat.Stat) (made fsat.Stat, err error) {
	begin := r.maker.special
	if e.Type == index.File {
		begin = r.maker.file
	}
	p, made, err := begin(w, d, e, set)
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	if err := r.publish(w, d, e, &p, over); err != nil {
		return made, err
	}
	if e.Type == index.File {
		r.late.lock(d, e.Name, e, &made)
	}
	return made, nil
}

// publish gives a finished inode its name, and keeps the replaced entry if that is wanted.
func (r *run) publish(w *worker, d *dir, e *index.Entry, p *pending, over *fsat.Stat) error {
	if over != nil {
		if err := r.target.step("replace"); err != nil {
			return fmt.Errorf("replace: %w", err)
		}
		if err := r.clearer.keepAside(w, d, e.Name, over, true); err != nil {
			return err
		}
	}
	var err error
	if over != nil && over.Type != fsat.Directory {
		err = p.replace(w, d, e.Name)
	} else {
		err = p.publish(e.Name)
	}
	if err != nil {
		return d.refused("create", err)
	}
	return nil
}

// checkStored replaces making a file in a dry run: it checks the stored file without reading it.
func checkStored(w *worker, d *dir, e *index.Entry) error {
	if e.Type != index.File {
		return nil
	}
	fd, _, err := tree.OpenStored(d.src(), d.Lost(inSnapshot), e)
	if err != nil {
		return err
	}
	w.counts.BytesWritten += withoutHoles(e)
	return fsat.Close(fd)
}

// refused returns the error for a name that could not be made in d.
func (d *dir) refused(op string, err error) error {
	if !fsat.IsExist(err) {
		return fmt.Errorf("%s: %w", op, err)
	}
	if d.own {
		return fmt.Errorf("%w: the target's file system treats this name as equal to another name in the same folder", ErrExists)
	}
	return ErrExists
}
