package snapshot

import (
	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/journal"
	"snapcopy/internal/mirror"
	"snapcopy/internal/source"
)

// find returns the record of a regular file of the source, with the name that it has now; nil: there is none.
func (u *unfinished) find(at slot, st *source.Stat) *journal.Record {
	if u.table == nil {
		return nil
	}
	dir, name := at.d.sharedPath(), at.name()
	if st.Nlink > 1 { // the record has the name that was met first
		if pos, ok, err := u.table.FindInode(st.Dev, st.Ino); ok && err == nil {
			if rec, err := journal.ReadAt(u.file, pos); err == nil && rec.Device == st.Dev && rec.Entry.Ino == st.Ino {
				rec.Entry.Name = name
				return rec
			}
		}
	}
	pos, ok, err := u.table.FindPath(dir, name)
	if !ok || err != nil { // not finding a record costs a copy
		return nil
	}
	rec, err := journal.ReadAt(u.file, pos)
	if err != nil || rec.Dir != dir || rec.Entry.Name != name {
		return nil
	}
	return rec
}

// isOf reports whether a record is of the version that the source's file has now, and the run could not store more of it.
func (s *storing) isOf(rec *journal.Record, at slot, st *source.Stat) bool {
	return s.canKeep(&rec.Entry, st) && !(lacksRights(&rec.Entry) && s.caps.Owners && s.caps.Modes) &&
		(!s.ignoreCtime || unchangedBeyondStat(at.d.handles.src, &rec.Entry, st))
}

// takeKept makes a regular file a name of the file that an unfinished run has stored for it, and reports whether there is
// one. It counts the file as if it were stored now.
func (s *storing) takeKept(at slot, st *source.Stat, was *index.Entry) (bool, error) {
	rec := s.unfinished.find(at, st)
	if rec == nil || rec.Partial() || !s.isOf(rec, at, st) || !s.pool.used.Claim(rec.Entry.Stored) {
		return false, nil
	}
	e := rec.Entry
	err := at.d.handles.dst.Link(s.unfinished.kept, keptName(e.Stored), e.Name)
	if err != nil {
		s.pool.used.Release(e.Stored)
		if fsat.IsGone(err) || fsat.IsRefused(err) || fsat.IsExist(err) || fsat.IsLinkLimit(err) { // a copy will do
			return false, nil
		}
		return false, notMirrored(at.path(), err)
	}
	e.Dev, e.Ino, e.Ctime, e.Nlink = s.rec.device(at.d, st), st.Ino, st.Ctime, st.Nlink
	e.Flags = e.Flags&ofStored | st.Flags
	if err := s.rec.addXattrs(&e, rec.Xattrs); err != nil {
		return false, err
	}
	c := &at.w.counts
	c.BytesStored += rec.New
	c.BytesLinked += rec.Shared
	c.BytesAllocated += e.Blocks * 512
	if rec.SpaceLost {
		at.w.catalogOnly.Space++
	}
	at.w.resumed.Files++
	at.w.resumed.Bytes += e.Size
	if s.recent != nil && e.Size >= worthSharing {
		s.recent.add(at.d, &e)
	}
	*at.entry(), at.d.fresh[at.i] = e, true
	at.w.countEntry(at.d, at.i, changeOf(was, &e), "")
	return true, nil
}

// record records a file that was stored anew, unless the next run would not believe its stat data.
// Nor does it record a copy of what is carried along: that is no version of the source.
func (f *file) record() error {
	u := &f.unfinished
	if u.journal == nil || f.shared || f.d.isCarried() || f.e.Flags&(index.Racy|index.Torn|index.Kept) != 0 {
		return nil
	}
	return u.add(&journal.Record{Dir: f.d.sharedPath(), Entry: f.e, Xattrs: f.set, Device: f.st.Dev,
		New: f.stored, Shared: f.inCommon, SpaceLost: f.spaceLost}, f.e.Size-min(f.e.Size, uint64(f.marks.Last())))
}

// create makes the new file. Of a large file the beginning of an earlier copy is taken over.
func (f *file) create(known bool) (mirror.File, error) {
	f.marks = nil
	if f.unfinished.journal == nil || f.small != nil || f.st.Size < markFrom || f.st.Flags&index.Kept != 0 {
		return f.d.handles.dst.Create(&f.e, f.set)
	}
	f.marks = &filecopy.Marks{Every: int64(f.unfinished.every)}
	rec := f.unfinished.find(f.slot, &f.st)
	if rec != nil && rec.Partial() && f.isOf(rec, f.slot, &f.st) && !known {
		e := f.e
		e.Stored = rec.Entry.Stored
		dst, ok, err := f.d.handles.dst.TakeOver(f.unfinished.kept, keptName(e.Stored), &e)
		if err != nil {
			return nil, err
		}
		if ok {
			f.marks.List, f.partial = rec.Marks, true
			return dst, nil
		}
	}
	return f.d.handles.dst.Create(&f.e, f.set)
}

// noteMarks makes the copy into dst record its progress.
func (f *file) noteMarks(dst int) {
	f.w.copier.Marks = f.marks
	if f.marks == nil || f.st.Flags&index.Racy != 0 {
		return
	}
	f.marks.Note = func(list []filecopy.Mark) error {
		var st fsat.Stat
		if err := fsat.StatHandle(dst, &st); err != nil {
			return fatal("stat", f.path(), err)
		}
		e := f.e
		e.Size, e.Stored, e.Hash = uint64(f.st.Size), st.Ino, index.Hash{}
		before := int64(0)
		if len(list) > 1 {
			before = list[len(list)-2].At
		}
		more := uint64(f.marks.Last() - before)
		f.inJournal = true
		return f.unfinished.add(&journal.Record{Dir: f.d.sharedPath(), Entry: e, Xattrs: f.set, Device: f.st.Dev,
			New: more, Marks: list}, more)
	}
}

// countTaken counts what a copy has taken over.
func (f *file) countTaken() {
	if f.marks != nil && f.marks.Taken > 0 {
		f.w.resumed.Files++
		f.w.resumed.Bytes += uint64(f.marks.Taken)
	}
}
