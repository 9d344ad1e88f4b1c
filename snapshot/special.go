package snapshot

import (
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// storeSpecial stores a symbolic link, a FIFO, a socket or a device. If the archive's file system cannot store it,
// only the catalog has it.
func (s *storing) storeSpecial(w *worker, d *dir, i int, st *source.Stat, was *index.Entry) error {
	e, set, err := s.readSpecial(w, d, i, st)
	if err != nil {
		return err
	}
	alike := tree.Diff(was, &e)&(tree.StandsFor|tree.Body) == 0
	action, linked := New, false
	if was.Type != 0 {
		action = Changed
	}
	if was.Type != 0 && alike && s.caps.standsFor(was, &e) {
		action = Unchanged // though it may have to be made anew
		if linked, err = s.linkSpecial(w, d, i, &e, was, st.Nlink); err != nil {
			return err
		}
	}
	if !linked {
		e.Flags |= w.notLinked
		lost, err := d.handles.dst.MakeSpecial(&e, set)
		if err != nil {
			return notMirrored(d.child(e.Name), err)
		}
		if lost != nil {
			w.fail(d.child(e.Name), lost)
		}
		w.counts.BytesAllocated += e.Blocks * 512
		if e.Flags&was.Flags&index.NotStored != 0 && alike {
			action = Unchanged // and still not to be had in the mirror
		}
	}
	d.entries[i] = e
	w.countEntry(d, i, action, "")
	return nil
}

// readSpecial reads the entry that storeSpecial is to store, and its extended attributes. It brings st up to date: the
// batched look may be outdated.
func (s *storing) readSpecial(w *worker, d *dir, i int, st *source.Stat) (e index.Entry, set []fsat.Xattr, err error) {
	name, kind := d.names[i].Name, st.Type
	if err := look(d, i, st); err != nil {
		return e, nil, err
	}
	if st.Type != kind {
		return e, nil, errRetype
	}
	e.Name = name
	describe(&e, st, s.rec.device(d, st))
	if e.Type == 0 {
		return e, nil, fmt.Errorf("unknown type %#o", st.Type)
	}
	m := d.handles.src.Metadata(name, st)
	switch {
	case fsat.IsNoLink(m.TargetErr):
		return e, nil, errRetype
	case m.TargetErr != nil:
		return e, nil, fmt.Errorf("read link: %w", m.TargetErr)
	case e.Type == index.Symlink:
		e.Target, e.Size = m.Target, uint64(len(m.Target))
	}
	if m.Err != nil {
		e.Flags |= index.Racy // the next run tries again
		w.fail(d.child(name), m.Err)
	}
	return e, m.Xattrs, s.rec.addXattrs(&e, m.Xattrs)
}

// linkSpecial makes the entry e a link to the previous snapshot's file of the same name, if that is possible.
func (s *storing) linkSpecial(w *worker, d *dir, i int, e, was *index.Entry, names uint32) (linked bool, err error) {
	if linked, err = s.linkPrevious(w, d, i, was, names); err != nil || !linked {
		return false, err
	}
	e.Flags |= was.Flags & ofStored
	return true, s.nameOf(d, e, was)
}
