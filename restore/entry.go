package restore

import (
	"context"
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
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
	if r.opt.Exclude.Empty() || !r.excluded(d.Child(e.Name), e.Type == index.Dir) {
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
	set, err := w.xattrs.Get(r.from.Catalog, e.Xattrs)
	if err != nil {
		return made, err
	}
	if err := r.openUp(d); err != nil {
		return made, err
	}
	if err := r.removeLeftovers(w, d); err != nil {
		return made, err
	}
	before := w.counts
	switch {
	case r.opt.DryRun:
		if err = checkStored(w, d, e); err == nil && over != nil {
			err = r.keepAside(w, d, e.Name, over, true)
		}
	case e.Type == index.File:
		made, err = r.makeFile(w, d, e, set, over)
	default:
		made, err = r.makeSpecial(w, d, e, set, over)
	}
	if err != nil {
		w.counts = before
		return made, err
	}
	action := tree.Restored
	if over != nil {
		w.counts.Replaced++
		action = tree.Replaced
	}
	w.counts.Files++
	d.touched.Store(true)
	r.writeOut.made(e)
	r.told(d, e, action)
	return made, nil
}

// makeFile restores a regular file. After a failure nothing is left of it.
func (r *run) makeFile(w *worker, d *dir, e *index.Entry, set []index.Xattr, over *fsat.Stat) (made fsat.Stat, err error) {
	src, stored, err := tree.OpenStored(d.src(), d.Lost(inSnapshot), e)
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, fsat.Close(src)) }()
	if err := r.target.step("create"); err != nil {
		return made, fmt.Errorf("create: %w", err)
	}
	p, err := r.newFile(w, d, e)
	if err != nil {
		return made, d.refused("create", err)
	}
	defer func() { err = errors.Join(err, p.end()) }()
	if err := r.startAttrs(p.fd, e); err != nil {
		return made, err
	}
	if err := r.fill(w, e, p.fd, src, &stored); err != nil {
		return made, err
	}
	s, err := r.setMetadata(w, tree.Opened(p.fd), e, set, tree.Setting{Plain: d.plain, Made: p.mode})
	if err != nil {
		return made, err
	}
	if r.target.fsync || r.opt.Verify {
		if err := fsat.Sync(p.fd); err != nil {
			return made, fmt.Errorf("sync: %w", err)
		}
	}
	if r.opt.Verify {
		if err := r.readBack(w, e, p.fd); err != nil {
			return made, err
		}
	}
	if err := r.publish(w, d, e, &p, over); err != nil {
		return made, err
	}
	r.lockLater(d, e.Name, e, &s.Stat)
	return s.Stat, nil
}

// readBack compares the file on the disk with the catalog.
func (r *run) readBack(w *worker, e *index.Entry, fd int) error {
	if err := fsat.DropCache(fd); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	tick := w.copier.Tick
	w.copier.Tick = nil // it has been counted
	n, hash, err := w.copier.Copy(r.ctx, filecopy.NoFile, fd, int64(e.Size), fsat.HasHoles(fd, int64(e.Size)))
	w.copier.Tick = tick
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if uint64(n) != e.Size || hash != e.Hash {
		return errReadBack
	}
	w.counts.BytesVerified += e.Size
	return nil
}

var errReadBack = errors.New("what was written reads back as something else: the target's disk or memory is at fault")

// publish gives a finished inode its name, and keeps the replaced entry if that is wanted.
func (r *run) publish(w *worker, d *dir, e *index.Entry, p *pending, over *fsat.Stat) error {
	if over != nil {
		if err := r.target.step("replace"); err != nil {
			return fmt.Errorf("replace: %w", err)
		}
		if err := r.keepAside(w, d, e.Name, over, true); err != nil {
			return err
		}
	}
	if err := p.publish(w, d, e.Name, over != nil && over.Type != fsat.Directory); err != nil {
		return d.refused("create", err)
	}
	return nil
}

// hasHoles makes no system call for a small file that has all of its blocks.
func hasHoles(fd int, st *fsat.Stat) bool {
	const small = 1 << 20
	return (st.Blocks*512 < st.Size || st.Size > small) && fsat.HasHoles(fd, st.Size)
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

// Whether the target accepts reflinks of stored files.
const (
	cloneUntried = iota
	cloneWorks
	cloneRefused
)

// fill writes the content into the new file dst, as a reflink if possible, and compares it with the catalog's hash: as
// read on the way, or by reading the reflink.
func (r *run) fill(w *worker, e *index.Entry, dst, src int, stored *fsat.Stat) error {
	cloned := r.clone(dst, src, e)
	to := dst
	if cloned { // the blocks are the same; those of the stored file may be in memory already
		to = filecopy.NoFile
	}
	if err := r.target.step("write"); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	n, hash, err := w.copier.Copy(r.ctx, to, src, int64(e.Size), hasHoles(src, stored))
	var writeErr *filecopy.WriteError
	switch {
	case r.ctx.Err() != nil:
		return context.Cause(r.ctx)
	case errors.As(err, &writeErr):
		return fmt.Errorf("write: %w", writeErr.Err)
	case err != nil:
		return tree.StoredError(fmt.Errorf("read: %w", err))
	case uint64(n) != e.Size:
		return fmt.Errorf("%w: it has %d bytes instead of %d", tree.ErrDamaged, n, e.Size)
	case hash != e.Hash:
		return tree.ErrContent
	}
	if _, held := filecopy.KeepPreallocated(dst, src, stored, w.copier.Data, cloned); !held {
		w.counts.NotHeld.Space++
	}
	if cloned {
		w.counts.BytesCloned += e.Size
	} else {
		w.counts.BytesWritten += uint64(w.copier.Data)
	}
	return nil
}

// clone makes dst share the content of src, if the file systems can. It does not try again after a refusal at the
// start.
func (r *run) clone(dst, src int, e *index.Entry) bool {
	if e.Size == 0 || r.clones.Load() == cloneRefused {
		return false
	}
	if fsat.Clone(dst, src) == nil {
		r.clones.Store(cloneWorks)
		return true
	}
	r.clones.CompareAndSwap(cloneUntried, cloneRefused)
	return false
}

// makeSpecial restores a symbolic link, FIFO, socket or device from the catalog alone.
func (r *run) makeSpecial(w *worker, d *dir, e *index.Entry, set []index.Xattr, over *fsat.Stat) (made fsat.Stat, err error) {
	if err := r.target.step("create"); err != nil {
		return made, fmt.Errorf("create: %w", err)
	}
	p, err := r.newSpecial(w, d, e)
	if err != nil {
		return made, d.refused("create", err)
	}
	defer func() { err = errors.Join(err, p.end()) }()
	s, err := r.setMetadata(w, tree.Noded(p.fd, p.dir, p.temp), e, set, tree.Setting{Plain: d.plain})
	if err != nil {
		return made, err
	}
	return s.Stat, r.publish(w, d, e, &p, over)
}

// openMade opens an entry that was just made, and checks that nobody has replaced it.
func openMade(dir int, name string, e *index.Entry) (int, error) {
	fd, err := fsat.OpenNode(dir, name)
	if err != nil {
		return fsat.NoDir, fmt.Errorf("open in target: %w", err)
	}
	var st fsat.Stat
	if err = fsat.StatHandle(fd, &st); err == nil && (st.Type != tree.KindOf(e.Type) || st.Nlink != 1) {
		err = errReplaced
	}
	if err != nil {
		return fsat.NoDir, errors.Join(err, fsat.Close(fd))
	}
	return fd, nil
}

var errReplaced = errors.New("it was replaced while it was restored")

// refused returns the error for a name that could not be made in d.
func (d *dir) refused(op string, err error) error {
	if !fsat.IsExist(err) {
		return fmt.Errorf("%s: %w", op, err)
	}
	if d.own {
		return fmt.Errorf("%w: the target's file system takes this name for another one of the folder", ErrExists)
	}
	return ErrExists
}
