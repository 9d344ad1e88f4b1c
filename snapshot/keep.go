package snapshot

import (
	"context"
	"io/fs"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/mirror"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// storing puts entries other than folders into the mirror: it keeps or stores them. It uses neither the filters of the
// run nor its judgement (coverage, judged). An error that is not fatal concerns the entry alone, which the snapshot then
// lacks; the entry's slot has the previous snapshot's entry.
type storing struct {
	ctx    context.Context // of the whole run; copying a large file checks it
	source source.Source
	mirror mirror.Mirror
	caps   abilities
	rec    recording

	previous    previous
	rehashing   rehashing
	ignoreCtime bool // the change time of an entry does not prove that its metadata are unchanged

	pool   pool
	recent *recentContents // nil: nothing can share blocks with a file of this run
	groups linkGroups

	carrying   carrying
	unfinished unfinished
}

// keep puts an entry other than a folder into the snapshot: a link if it is unchanged, stored anew otherwise.
func (s *storing) keep(at slot, st *source.Stat) error {
	was := at.entry() // not changed before keptAsWas
	at.w.notLinked = 0
	if was.Type == 0 || !s.canKeep(was, st) || s.ignoreCtime && !unchangedBeyondStat(at.source(), was, st) {
		return s.store(at, st)
	}
	xattrs, known, err := s.rec.keepXattrs(was, &s.previous)
	if err != nil {
		return err
	}
	if !known {
		return s.store(at, st)
	}
	if st.Nlink > 1 {
		return s.keepLinked(at, st, xattrs)
	}
	v, err := s.rehash(at, was, st)
	if err != nil {
		return err
	}
	if err := s.keepAlone(at, st, xattrs, v); err != nil {
		return err
	}
	s.tellRotten(at, v)
	return nil
}

// keepAlone keeps an unchanged entry whose inode has one name, unless reading it again has shown that it has to be stored.
func (s *storing) keepAlone(at slot, st *source.Stat, xattrs xattrSet, v verdict) error {
	if v.stale {
		return s.store(at, st)
	}
	linked, err := s.linkPrevious(at, at.entry(), st)
	if err != nil {
		return err
	}
	if !linked {
		return s.store(at, st)
	}
	s.keptAsWas(at, st, xattrs)
	return nil
}

// canKeep reports whether the previous stored file of an entry can go on in this snapshot without opening the source's
// file: the source's file is unchanged, and this run could not store more of its metadata.
func (s *storing) canKeep(was *index.Entry, st *source.Stat) bool {
	return s.previous.unchanged(was, st) && was.Flags&index.NotStored == 0 && !s.caps.couldSetMore(was) &&
		asKnown(was, st)
}

// unchangedBeyondStat reads what tree.UnchangedBeyondStat compares, for sources whose change time means nothing.
func unchangedBeyondStat(dir source.Folder, was *index.Entry, st *source.Stat) bool {
	m := dir.Metadata(was.Name, st)
	var e index.Entry
	tree.Describe(&e, &st.Stat)
	e.Target, e.XattrHash = m.Target, index.HashXattrs(m.Xattrs)
	if e.Type == index.File { // stat data tell only some of them
		e.Attrs = tree.KnownAttrs(m.Attrs)
	}
	return m.Err == nil && m.TargetErr == nil && tree.UnchangedBeyondStat(was, &e)
}

// linkPrevious makes the entry a link to the previous snapshot's file of the same name. It returns false if that is
// impossible: another file of this snapshot uses that inode, the inode is gone, or it can take no further name. st
// describes the source's inode.
func (s *storing) linkPrevious(at slot, was *index.Entry, st *source.Stat) (bool, error) {
	if was.Flags&index.NotStored != 0 || !s.caps.HardLinks {
		return false, nil
	}
	previous := at.d.previous()
	if st.Nlink >= largeGroup && s.caps.LinkLimit != 0 && previous >= 0 {
		var stored fsat.Stat
		if fsat.StatAt(previous, was.Name, &stored) == nil && !s.caps.roomFor(st.Nlink, &stored) {
			at.w.isFull()
			return false, nil
		}
	}
	if at.w.notLinked&index.WasMissing != 0 { // that was found out before
		return false, nil
	}
	if previous < 0 {
		at.w.isMissing()
		return false, nil
	}
	if !s.lookAtPrevious(at, was) || !s.claim(at, was, st) {
		return false, nil
	}
	return s.keepName(at, was)
}

// keepName makes the entry's name in the mirror a link to the stored file that it has in the previous snapshot.
func (s *storing) keepName(at slot, was *index.Entry) (bool, error) {
	linked, err := at.linkMade(was, at.d.handles.dst.Keep(was.Name))
	if at.w.notLinked&index.WasMissing != 0 {
		s.isLost(at.w, at.d, was.Name, fs.ErrNotExist)
	}
	return linked, err
}

// linkMade reports whether the entry's name was made a link to a stored file, from the error of the attempt. If a copy
// has to do, it records the reason.
func (at slot) linkMade(stored *index.Entry, err error) (bool, error) {
	switch {
	case err == nil:
		if stored.Type == index.File {
			at.w.counts.BytesLinked += stored.Size
		}
		return true, nil
	case fsat.IsLinkLimit(err):
		at.w.isFull()
		return false, nil
	case fsat.IsGone(err):
		at.w.isMissing()
		return false, nil
	case fsat.IsExist(err): // the name equals another one of the folder: storing reports it
		return false, nil
	case fsat.IsRefused(err): // another user's file on a system that protects those, or an immutable file
		return false, nil
	}
	return false, notMirrored(at.path(), err)
}

// keptAsWas turns the previous entry, to which a link was just made, into the new one. xattrs are its extended attributes
// in the new catalog.
func (s *storing) keptAsWas(at slot, st *source.Stat, xattrs xattrSet) {
	e := at.entry()
	e.Dev, e.Ino, e.Ctime, e.Nlink = s.rec.device(at.d, st), st.Ino, st.Ctime, st.Nlink
	e.Flags, e.AsOf = e.Flags&ofStored|st.Flags, st.AsOf
	e.Xattrs, e.XattrHash = xattrs.ref, xattrs.hash
	at.d.fresh[at.i] = s.caps.restat
	at.w.countEntry(at.d, at.i, Unchanged, "")
}

// ofStored are the flags that belong to a stored file. LinksCatalogOnly belongs to each snapshot.
const ofStored = index.CatalogOnly&^index.LinksCatalogOnly | index.ZeroHash

// nameOf records in e, a name just made in the mirror, the stored file that it is a name of.
func (s *storing) nameOf(d *dir, e, stored *index.Entry) error {
	e.Stored, e.Blocks = stored.Stored, stored.Blocks
	if !s.caps.restat {
		return nil
	}
	if err := d.handles.dst.Locate(e); err != nil {
		return notMirrored(d.child(e.Name), err)
	}
	return nil
}
