package snapshot

import (
	"errors"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// linkByHash searches the whole archive for a stored file with the content and metadata of f that no other file of
// this snapshot uses, and links to it. It returns that file's entry and the path it had.
func (f *file) linkByHash() (found *index.Entry, from string, err error) {
	if f.pool.index == nil || !f.caps.HardLinks {
		return nil, "", nil
	}
	meta := index.MetaFingerprint(&f.e)
	lookup := func(visit func(index.Location) bool) error { return f.pool.index.LookupMeta(f.e.Hash, meta, visit) }
	err = f.pool.eachStored(f.e.Hash, lookup, func(loc index.Location) bool {
		return f.caps.restat || !f.pool.used.Has(loc.Stored)
	}, func(snapshot, dir string, e *index.Entry) (bool, error) {
		if !f.caps.standsFor(e, &f.e) || lacksRights(e) && f.caps.Owners && f.caps.Modes {
			return true, nil
		}
		path := join(dir, e.Name)
		if path != f.path() && e.Ino != f.e.Ino && f.stillHas(dir, e) { // that file will want its own
			return true, nil
		}
		linked, err := f.linkStoredAt(snapshot, dir, e)
		if err != nil || !linked {
			return err == nil, err
		}
		found, from = e, path
		return false, nil
	})
	return found, from, err
}

// linkStoredAt links f to the stored file e of a snapshot, if the file still agrees with the catalog.
func (f *file) linkStoredAt(snapshot, dir string, e *index.Entry) (linked bool, err error) {
	err = f.pool.in(snapshot, dir, func(fd int) error {
		var st fsat.Stat
		if err := fsat.StatAt(fd, e.Name, &st); err != nil {
			return err
		}
		if !f.caps.untouched(e, &st) {
			if st.Ino == e.Stored && f.w.notLinked&index.WasMissing == 0 && f.pool.native(snapshot) {
				f.w.tally.damaged(snapshot, join(dir, e.Name), whatAltered(e, &st))
			}
			return nil
		}
		if !f.sameHoles(fd, e.Name, &st) || !f.sameXattrs(fd, e) || !f.caps.roomFor(f.st.Nlink, &st) {
			return nil
		}
		if !f.pool.used.Claim(st.Ino) {
			return nil
		}
		linked, err = f.linkMade(e, f.d.handles.dst.Link(fd, e.Name, f.name()))
		return err
	})
	if err != nil && !isFatal(err) { // no longer there: as good as not found
		return false, nil
	}
	return linked, err
}

// stillHas reports whether the source has a file at the place of the previous entry e that may still be the same.
func (s *storing) stillHas(dir string, e *index.Entry) bool {
	var st source.Stat
	if err := s.source.Find(dir, e.Name, &st); err != nil {
		return !fsat.IsNoDir(err)
	}
	return tree.DiffStat(e, &st.Stat)&(tree.Type|tree.Size|tree.Mtime) == 0
}

// A sharer makes dst share size bytes of src. It reports false if that is impossible; a copy will do then.
type sharer func(dst, src int, size int64) (bool, error)

// clone is the sharer for an empty file.
func clone(dst, src int, _ int64) (bool, error) {
	err := fsat.Clone(dst, src)
	return err == nil, err
}

// shareStored makes dst share the content of a stored file with the hash of f, or of a file that this run has stored.
func (f *file) shareStored(dst int, share sharer) (shared bool, err error) {
	if f.was.Type == index.File && f.was.Hash == f.e.Hash && f.d.previous() >= 0 && !f.pool.damaged.has(f.was) {
		if shared, err = f.shareFrom(dst, f.d.previous(), f.name(), f.was, share); shared || err != nil {
			return shared, err
		}
	}
	if dir, name, ok := f.recent.find(&f.e.Hash); ok {
		err := f.mirror.In(dir, func(fd int) (err error) {
			shared, err = f.shareFrom(dst, fd, name, nil, share)
			return err
		})
		if shared {
			return true, err
		}
	}
	if f.pool.index == nil {
		return false, nil
	}
	lookup := func(visit func(index.Location) bool) error { return f.pool.index.Lookup(f.e.Hash, visit) }
	all := func(index.Location) bool { return true }
	err = f.pool.eachStored(f.e.Hash, lookup, all, func(snapshot, dir string, e *index.Entry) (bool, error) {
		err := f.pool.in(snapshot, dir, func(fd int) (err error) {
			shared, err = f.shareFrom(dst, fd, e.Name, e, share)
			return err
		})
		if isFatal(err) {
			return false, err
		}
		return false, nil // one try: the rest would fail in the same way
	})
	return shared, err
}

// shareFrom shares with one stored file; e is its entry if it belongs to a published snapshot.
func (f *file) shareFrom(dst, dir int, name string, e *index.Entry, share sharer) (shared bool, err error) {
	var st fsat.Stat
	if fsat.StatAt(dir, name, &st) != nil || tree.DiffStat(&f.e, &st)&(tree.Type|tree.Size) != 0 ||
		e != nil && !f.caps.untouched(e, &st) || !f.sameHoles(dir, name, &st) {
		return false, nil
	}
	src, err := fsat.OpenFile(dir, name)
	if err != nil {
		return false, nil
	}
	defer func() { err = errors.Join(err, fsat.Close(src)) }()
	shared, refused := share(dst, src, st.Size)
	return shared && refused == nil, nil // the copy that follows reports the error
}

// sameXattrs reports whether a stored file with entry e has the extended attributes of f.
func (f *file) sameXattrs(dir int, e *index.Entry) bool {
	if e.Flags&index.XattrsCatalogOnly != 0 {
		return true
	}
	have, err := fsat.XattrsAt(dir, e.Name)
	return err == nil && tree.XattrDifference(have, f.set, f.caps.asRoot) == ""
}

// sameHoles reports whether a stored file with the content of f, described by st, has its holes in the same places,
// without which it cannot serve as f. In an archive without holes any file will do.
func (f *file) sameHoles(dir int, name string, st *fsat.Stat) bool {
	const small = 64 << 10 // with fewer blocks, those for extended attributes and the like do not hide a hole
	if !f.caps.Holes || !f.sparse && st.Size < small && st.Blocks*512 >= st.Size {
		return true
	}
	fd, err := fsat.OpenFile(dir, name)
	if err != nil {
		return true // linking will say so
	}
	same, err := f.src.SameHoles(fd, st)
	return errors.Join(err, fsat.Close(fd)) == nil && same
}
