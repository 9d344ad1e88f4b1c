package snapshot

import (
	"context"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/mirror"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// storing puts entries other than folders into the mirror: it keeps or stores them. It knows neither the filters of the
// run nor its judgement. An error that is not fatal concerns the entry alone, which the snapshot then lacks; the entry's
// slot has the previous snapshot's entry.
type storing struct {
	ctx    context.Context // of the whole run; copying a large file checks it
	source source.Source
	mirror mirror.Mirror
	caps   abilities
	rec    recording

	previous    previous
	ignoreCtime bool // the change time of an entry does not prove that its metadata are unchanged

	pool   pool
	recent *recentContents // nil: nothing can share blocks with a file of this run
	groups linkGroups
}

// abilities are the abilities of a run: those of the archive's file system, and those that follow from its privileges and
// from the catalogs of the archive.
type abilities struct {
	archive.Capabilities
	asRoot bool
	// gainedRights says that this run can set owners and modes, and the previous one could not.
	gainedRights bool
	restat       bool // the previous catalog has inode numbers of another file system
}

// standsFor reports whether a stored file with entry a can serve as e, too, if the contents are equal.
func (c *abilities) standsFor(a, e *index.Entry) bool {
	return tree.Diff(a, e)&tree.StandsFor == 0 && a.Flags&index.NotStored == 0 && !c.couldSetMore(a)
}

// couldSetMore reports whether a stored file lacks metadata that this run could set on a new one: its privileges are
// different, or only a passing error was in the way.
func (c *abilities) couldSetMore(a *index.Entry) bool {
	return c.gainedRights && lacksRights(a) || a.Flags&mirror.LacksForNow == mirror.LacksForNow && (c.Xattrs || c.ACLs)
}

func lacksRights(a *index.Entry) bool {
	return a.Flags&(index.OwnerCatalogOnly|index.ModeCatalogOnly) != 0
}

// untouched reports whether the stat data of a stored file agree with its entry.
func (c *abilities) untouched(e *index.Entry, st *fsat.Stat) bool {
	differ := tree.DiffStored(e, st)
	if c.restat { // in a copied archive each stored file has another number
		differ &^= tree.Stored
	}
	return differ == 0
}

// largeGroup is the number of names from which roomFor checks the link limit.
const largeGroup = 64

// roomFor reports whether a stored file can take all names of a link group, so that the file system's link limit does
// not tear the group in two. A group too large for any inode goes wherever there is room: see linkPart.
func (c *abilities) roomFor(names uint32, stored *fsat.Stat) bool {
	limit := c.LinkLimit
	return limit == 0 || names > limit || uint64(stored.Nlink)+uint64(names) <= uint64(limit)
}

// keep puts an entry other than a folder into the snapshot: a link if it is unchanged, stored anew otherwise.
func (s *storing) keep(w *worker, d *dir, i int, st *source.Stat) error {
	was := &d.entries[i]
	w.notLinked = 0
	if was.Type == 0 || !s.canLink(was, st) || s.ignoreCtime && !unchangedBeyondStat(d.handles.src, was, st) {
		return s.storeEntry(w, d, i, st)
	}
	xattrs, known, err := s.rec.keepXattrs(was, &s.previous)
	if err != nil || !known {
		if err != nil {
			return err
		}
		return s.storeEntry(w, d, i, st)
	}
	if st.Nlink > 1 {
		return s.keepLinked(w, d, i, st, xattrs)
	}
	linked, err := s.linkPrevious(w, d, i, was, st.Nlink)
	if err != nil {
		return err
	}
	if !linked {
		return s.storeEntry(w, d, i, st)
	}
	s.keptAsWas(w, d, i, st, xattrs)
	return nil
}

// keptAsWas turns the previous entry, to which a link was just made, into the new one. xattrs are its extended attributes
// in the new catalog.
func (s *storing) keptAsWas(w *worker, d *dir, i int, st *source.Stat, xattrs xattrSet) {
	e := &d.entries[i]
	e.Dev, e.Ino, e.Ctime, e.Nlink = s.rec.device(d, st), st.Ino, st.Ctime, st.Nlink
	e.Flags = e.Flags&ofStored | st.Flags
	e.Xattrs, e.XattrHash = xattrs.ref, xattrs.hash
	d.fresh[i] = s.caps.restat
	w.countEntry(d, i, Unchanged, "")
}

// ofStored are the flags that belong to a stored file. LinksCatalogOnly belongs to each snapshot.
const ofStored = index.CatalogOnly&^index.LinksCatalogOnly | index.ZeroHash

// canLink reports whether the previous stored file of an entry can go on in this snapshot without opening the source's
// file: the source's file is unchanged, and this run could not store more of its metadata.
func (s *storing) canLink(was *index.Entry, st *source.Stat) bool {
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

// stillHas reports whether the source has a file at the place of the previous entry e that may still be the same.
func (s *storing) stillHas(dir string, e *index.Entry) bool {
	var st source.Stat
	if err := s.source.Find(dir, e.Name, &st); err != nil {
		return !fsat.IsNoDir(err)
	}
	return tree.DiffStat(e, &st.Stat)&(tree.Type|tree.Size|tree.Mtime) == 0
}
