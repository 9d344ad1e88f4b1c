package snapshot

import (
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// putSpecial stores a symbolic link, a FIFO, a socket or a device. If the archive's file system cannot store it,
// only the catalog has it.
func (s *storing) putSpecial(at slot, st *source.Stat, was *index.Entry) error {
	e, set, err := s.readSpecial(at, st)
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
		if linked, err = s.linkSpecial(at, &e, was, st); err != nil {
			return err
		}
	}
	if !linked {
		e.Flags |= at.w.notLinked
		at.w.needs.inodes++
		lost, err := at.d.handles.dst.MakeSpecial(&e, set)
		if err != nil {
			return notMirrored(at.path(), err)
		}
		if lost != nil {
			at.w.fail(at.path(), lost)
		}
		at.w.counts.BytesAllocated += e.Blocks * 512
		if e.Flags&was.Flags&index.NotStored != 0 && alike {
			action = Unchanged // and still not to be had in the mirror
		}
	}
	*at.entry() = e
	at.w.countEntry(at.d, at.i, action, "")
	return nil
}

// readSpecial reads the entry that putSpecial is to store, and its extended attributes. It brings st up to date: the
// batched look may be outdated.
func (s *storing) readSpecial(at slot, st *source.Stat) (e index.Entry, set []fsat.Xattr, err error) {
	name, kind := at.name(), st.Type
	if err := at.look(st); err != nil {
		return e, nil, err
	}
	if st.Type != kind {
		return e, nil, errRetype
	}
	e.Name = name
	describe(&e, st, s.rec.device(at.d, st))
	if e.Type == 0 {
		return e, nil, fmt.Errorf("unknown type %#o", st.Type)
	}
	m := at.source().Metadata(name, st)
	switch {
	case fsat.IsNoLink(m.TargetErr):
		return e, nil, errRetype
	case m.TargetErr != nil:
		return e, nil, fmt.Errorf("read link: %w", m.TargetErr)
	case e.Type == index.Symlink:
		e.Target, e.Size = m.Target, uint64(len(m.Target))
	}
	if err := at.later(m.Err); isLater(err) {
		return e, nil, err
	}
	if m.Err != nil {
		e.Flags |= index.Racy // the next run tries again
		at.w.fail(at.path(), m.Err)
	}
	return e, m.Xattrs, s.rec.addXattrs(&e, m.Xattrs)
}

// linkSpecial makes the entry e a link to the previous snapshot's file of the same name, if that is possible.
func (s *storing) linkSpecial(at slot, e, was *index.Entry, st *source.Stat) (linked bool, err error) {
	if linked, err = s.linkPrevious(at, was, st); err != nil || !linked {
		return false, err
	}
	e.Flags |= was.Flags & ofStored
	return true, s.nameOf(at.d, e, was)
}
