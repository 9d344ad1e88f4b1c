package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/folders"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// linkByHash searches the whole archive for a stored file with the content and metadata of f that no other file of
// this snapshot uses, and links to it. It returns that file's entry and the path it had.
func (r *run) linkByHash(f *file) (found *index.Entry, from string, err error) {
	if r.index == nil || !r.caps.HardLinks {
		return nil, "", nil
	}
	meta := index.MetaFingerprint(&f.e)
	lookup := func(visit func(index.Location) bool) error { return r.index.LookupMeta(f.e.Hash, meta, visit) }
	err = r.eachStored(f.e.Hash, lookup, func(loc index.Location) bool {
		return r.restat || !r.used.Has(loc.Stored)
	}, func(snapshot, dir string, e *index.Entry) (bool, error) {
		if !r.standsFor(e, &f.e) || lacksRights(e) && r.caps.Owners && r.caps.Modes {
			return true, nil
		}
		path := join(dir, e.Name)
		if path != f.d.child(f.name) && e.Ino != f.e.Ino && r.stillHas(dir, e) { // that file will want its own
			return true, nil
		}
		linked, err := r.linkStoredAt(f, snapshot, dir, e)
		if err != nil || !linked {
			return err == nil, err
		}
		found, from = e, path
		return false, nil
	})
	return found, from, err
}

// linkStoredAt links f to the stored file e of a snapshot, if the file still agrees with the catalog.
func (r *run) linkStoredAt(f *file, snapshot, dir string, e *index.Entry) (linked bool, err error) {
	err = r.stored.in(snapshot, dir, func(fd int) error {
		var st fsat.Stat
		if err := fsat.StatAt(fd, e.Name, &st); err != nil {
			return err
		}
		if !r.untouched(e, &st) {
			if st.Ino == e.Stored && f.w.notLinked&index.WasMissing == 0 && r.stored.native(snapshot) {
				r.tally.damaged(snapshot, join(dir, e.Name), r.whatAltered(e, &st))
			}
			return nil
		}
		if !r.sameHoles(f, fd, e.Name, &st) || !r.sameXattrs(f, fd, e) || !r.roomFor(f.st.Nlink, &st) {
			return nil
		}
		if !r.used.Claim(st.Ino) {
			return nil
		}
		linked, err = f.w.linked(f.d, f.name, e, f.d.handles.dst.Link(fd, e.Name, f.name))
		return err
	})
	if err != nil && !isFatal(err) { // no longer there: as good as not found
		return false, nil
	}
	return linked, err
}

// A sharer makes dst share size bytes of src. It reports false if that is impossible; a copy will do then.
type sharer func(dst, src int, size int64) (bool, error)

// clone is the sharer for an empty file.
func clone(dst, src int, _ int64) (bool, error) {
	err := fsat.Clone(dst, src)
	return err == nil, err
}

// shareStored makes dst share the content of a stored file with the hash of f, or of a file that this run has stored.
func (r *run) shareStored(f *file, dst int, share sharer) (shared bool, err error) {
	if f.was.Type == index.File && f.was.Hash == f.e.Hash && f.d.previous() >= 0 {
		if shared, err = r.shareFrom(f, dst, f.d.previous(), f.name, f.was, share); shared || err != nil {
			return shared, err
		}
	}
	if dir, name, ok := r.recent.find(&f.e.Hash); ok {
		err := r.mirror.In(dir, func(fd int) (err error) {
			shared, err = r.shareFrom(f, dst, fd, name, nil, share)
			return err
		})
		if shared {
			return true, err
		}
	}
	if r.index == nil {
		return false, nil
	}
	lookup := func(visit func(index.Location) bool) error { return r.index.Lookup(f.e.Hash, visit) }
	all := func(index.Location) bool { return true }
	err = r.eachStored(f.e.Hash, lookup, all, func(snapshot, dir string, e *index.Entry) (bool, error) {
		err := r.stored.in(snapshot, dir, func(fd int) (err error) {
			shared, err = r.shareFrom(f, dst, fd, e.Name, e, share)
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
func (r *run) shareFrom(f *file, dst, dir int, name string, e *index.Entry, share sharer) (shared bool, err error) {
	var st fsat.Stat
	if fsat.StatAt(dir, name, &st) != nil || tree.DiffStat(&f.e, &st)&(tree.Type|tree.Size) != 0 ||
		e != nil && !r.untouched(e, &st) || !r.sameHoles(f, dir, name, &st) {
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
func (r *run) sameXattrs(f *file, dir int, e *index.Entry) bool {
	if e.Flags&index.XattrsNotHeld != 0 {
		return true
	}
	have, err := fsat.XattrsAt(dir, e.Name)
	return err == nil && tree.XattrDifference(have, f.set, r.asRoot) == ""
}

// sameHoles reports whether a stored file with the content of f, described by st, has its holes in the same places,
// without which it cannot serve as f. In an archive without holes any file will do.
func (r *run) sameHoles(f *file, dir int, name string, st *fsat.Stat) bool {
	const small = 64 << 10 // with fewer blocks, those for extended attributes and the like do not hide a hole
	if !r.caps.Holes || !f.sparse && st.Size < small && st.Blocks*512 >= st.Size {
		return true
	}
	fd, err := fsat.OpenFile(dir, name)
	if err != nil {
		return true // linking will say so
	}
	same, err := f.src.SameHoles(fd, st)
	return errors.Join(err, fsat.Close(fd)) == nil && same
}

// eachStored visits the stored files that a lookup of a content hash finds and for which want is true, with the
// entries of their catalogs, until visit returns false or an error. It skips wrong locations of the index: the
// catalogs decide.
func (r *run) eachStored(hash index.Hash, lookup func(func(index.Location) bool) error, want func(index.Location) bool,
	visit func(snapshot, dir string, e *index.Entry) (bool, error)) error {
	var visitErr error
	err := lookup(func(loc index.Location) bool {
		if !want(loc) {
			return true
		}
		dir, e, err := r.stored.entry(loc)
		if err != nil || e.Type != index.File || e.Hash != hash || e.Stored != loc.Stored {
			return true
		}
		var next bool
		next, visitErr = visit(loc.Snapshot, dir, &e)
		return next && visitErr == nil
	})
	if visitErr != nil {
		return visitErr
	}
	if errors.Is(err, index.ErrDamaged) { // not finding it costs a copy; the next run makes the index anew
		r.indexDamaged.Store(true)
		return nil
	}
	if err != nil {
		return fatal("read", archive.IndexFile, err)
	}
	return nil
}

// storedFiles gives access to stored files by snapshot and path: open catalogs, and open folders for linking.
type storedFiles struct {
	archive  *archive.Archive
	mu       sync.Mutex
	catalogs map[string]*index.Catalog // nil value: there is none, or it is unusable
	order    []string                  // of catalogs, the oldest first
	folders  folders.Cache[string]
}

// maxCatalogs bounds the catalogs open at once; each caches some of its blocks.
const maxCatalogs = 4

func (s *storedFiles) init(a *archive.Archive) {
	s.archive, s.catalogs = a, make(map[string]*index.Catalog)
	s.folders.Open = func(path string) (int, error) { return fsat.OpenPath(a.Root, path) }
}

func (s *storedFiles) close() error {
	var errs []error
	for _, c := range s.catalogs {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(append(errs, s.folders.Close())...)
}

var errNoCatalog = errors.New("no usable catalog")

// entry returns the entry at a location of the index, and the path of its folder.
func (s *storedFiles) entry(loc index.Location) (dir string, e index.Entry, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.catalog(loc.Snapshot)
	if err != nil {
		return "", e, err
	}
	e, ok, err := c.At(loc.Dir, loc.Entry)
	if err != nil || !ok {
		return "", e, errors.Join(err, fs.ErrNotExist)
	}
	dir, err = c.Path(loc.Dir)
	return dir, e, err
}

func (s *storedFiles) catalog(snapshot string) (*index.Catalog, error) {
	c, known := s.catalogs[snapshot]
	if known {
		if c == nil {
			return nil, errNoCatalog
		}
		return c, nil
	}
	if len(s.order) == maxCatalogs {
		oldest := s.order[0]
		s.order = s.order[1:]
		if err := s.catalogs[oldest].Close(); err != nil {
			return nil, err
		}
		delete(s.catalogs, oldest)
	}
	c, err := index.Open(s.archive.CatalogPath(snapshot))
	if err == nil {
		if _, statErr := os.Lstat(s.archive.Path + "/" + snapshot); statErr != nil {
			c, err = nil, errors.Join(statErr, c.Close())
		}
	}
	if err != nil {
		s.catalogs[snapshot] = nil
		return nil, fmt.Errorf("catalog of %s: %w", snapshot, err)
	}
	s.catalogs[snapshot] = c
	s.order = append(s.order, snapshot)
	return c, nil
}

// native reports whether the catalog of a snapshot has inode numbers of the archive's present file system.
func (s *storedFiles) native(snapshot string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.catalog(snapshot)
	return err == nil && c.Summary().Anchor == s.archive.Anchor()
}

// in calls do with an open folder of a snapshot.
func (s *storedFiles) in(snapshot, dir string, do func(fd int) error) error {
	if dir != "" {
		snapshot = join(snapshot, dir)
	}
	return s.folders.In(snapshot, do)
}
