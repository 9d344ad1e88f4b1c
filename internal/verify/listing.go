package verify

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/extsort"
	"snapcopy/internal/fsat"
	"snapcopy/internal/pair"
	"snapcopy/internal/verified"
)

// place is a stored file: when it was stored, and one of its names.
type place struct {
	record   verified.Record
	snapshot uint32 // position in the list of snapshots
	dir      index.DirID
	entry    uint32 // position in the record of the directory
}

const placeSize = 8 + 8 + 8 + 8 + 4 + 4 + 4

// inMemory is the number of places that are sorted in memory, 4 MiB.
const inMemory = 1 << 16

func (p *place) encode(b []byte) {
	binary.LittleEndian.PutUint64(b, p.record.Stored)
	binary.LittleEndian.PutUint64(b[8:], uint64(p.record.Tag))
	binary.LittleEndian.PutUint64(b[16:], p.record.Size)
	binary.LittleEndian.PutUint64(b[24:], uint64(p.record.Time))
	binary.LittleEndian.PutUint32(b[32:], p.snapshot)
	binary.LittleEndian.PutUint32(b[36:], uint32(p.dir))
	binary.LittleEndian.PutUint32(b[40:], p.entry)
}

func (p *place) decode(b []byte) {
	p.record = verified.Record{Stored: binary.LittleEndian.Uint64(b), Tag: verified.Tag(binary.LittleEndian.Uint64(b[8:])),
		Size: binary.LittleEndian.Uint64(b[16:]), Time: int64(binary.LittleEndian.Uint64(b[24:]))}
	p.snapshot = binary.LittleEndian.Uint32(b[32:])
	p.dir = index.DirID(binary.LittleEndian.Uint32(b[36:]))
	p.entry = binary.LittleEndian.Uint32(b[40:])
}

// isBefore orders the names of one stored file: the oldest snapshot comes first.
func (p *place) isBefore(q *place) bool {
	if p.snapshot != q.snapshot {
		return p.snapshot < q.snapshot
	}
	if p.dir != q.dir {
		return p.dir < q.dir
	}
	return p.entry < q.entry
}

// badCatalog is a snapshot whose stored files are unknown.
type badCatalog struct {
	snapshot string
	err      error
}

// listing lists the stored files of an archive from its catalogs, each once, sorted outside of memory. Subtrees that two
// neighbouring snapshots share are skipped, so that it costs one catalog and the changes. Where inode numbers in catalogs are not
// valid, as in an archive that was copied, it looks at each file.
type listing struct {
	archive   *archive.Archive
	snapshots []archive.Snapshot
	sorter    extsort.Sorter[place]
	bad       []badCatalog
	at        place // the last one that records has passed on
}

func newListing(a *archive.Archive, snapshots []archive.Snapshot, dir string) *listing {
	return &listing{archive: a, snapshots: snapshots, sorter: extsort.Sorter[place]{
		Dir: dir, Name: "snapcopy-verify-", Limit: inMemory, Kind: extsort.Kind[place]{
			Compare: func(a, b place) int { return verified.Compare(&a.record, &b.record) },
			Join: func(a *place, b place) {
				if b.isBefore(a) {
					*a = b
				}
			},
			Size:   placeSize,
			Encode: func(b []byte, p *place) { p.encode(b) },
			Decode: func(b []byte, p *place) { p.decode(b) },
		}}}
}

func (l *listing) close() error { return l.sorter.Close() }

// records returns a function that yields the stored files in order.
func (l *listing) records() (func(*verified.Record) (bool, error), error) {
	sorted, err := l.sorter.Merge()
	if err != nil {
		return nil, err
	}
	return func(r *verified.Record) (bool, error) {
		more, err := sorted.Next(&l.at)
		*r = l.at.record
		return more, err
	}, nil
}

// read reads the catalogs, the oldest first.
func (l *listing) read(ctx context.Context) error {
	var older *index.Catalog
	for i, s := range l.snapshots {
		c, err := l.add(ctx, s, uint32(i), older)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) { // otherwise it was removed since
			l.bad = append(l.bad, badCatalog{s.Name, err})
		}
		if c == nil {
			if ctx.Err() != nil {
				return errors.Join(err, closeCatalog(older))
			}
			continue
		}
		if err := closeCatalog(older); err != nil {
			return errors.Join(err, c.Close())
		}
		older = c
	}
	return closeCatalog(older)
}

func closeCatalog(c *index.Catalog) error {
	if c == nil {
		return nil
	}
	return c.Close()
}

// add adds the stored files of a snapshot that older does not have, and returns the snapshot's catalog open.
func (l *listing) add(ctx context.Context, s archive.Snapshot, number uint32, older *index.Catalog) (*index.Catalog, error) {
	c, err := s.OpenCatalog()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, ofArchive.catalogFailed(err)
	}
	one := listingOf{listing: l, ctx: ctx, catalog: c, older: older, number: number, time: c.Summary().Start.Sec}
	one.anchored = c.Summary().Anchor == l.archive.Anchor
	olderRoot := uint64(0)
	if older != nil && one.anchored && older.Summary().Anchor == l.archive.Anchor {
		olderRoot = older.Root().Child
	}
	if err := one.dir([]string{s.Name}, c.Root().Child, olderRoot); err != nil {
		return nil, errors.Join(ofArchive.catalogFailed(err), c.Close())
	}
	return c, nil
}

// listingOf lists one snapshot.
type listingOf struct {
	*listing
	ctx      context.Context
	catalog  *index.Catalog
	older    *index.Catalog
	number   uint32
	time     int64
	anchored bool // inode numbers of the catalog are valid
}

// dir lists the directory at pos; older is the position of the directory with the same path in the older catalog, or 0.
func (l *listingOf) dir(path []string, pos, older uint64) (err error) {
	if err := l.ctx.Err(); err != nil {
		return context.Cause(l.ctx)
	}
	rec, err := l.catalog.ReadDir(pos)
	if err != nil {
		return err
	}
	var others *index.Record
	if older != 0 {
		if others, err = l.older.ReadDir(older); err != nil {
			others = nil // its own turn has told it
		}
	}
	look := looking{root: l.archive.Root, path: path, fd: fsat.NoDir}
	defer func() { err = errors.Join(err, look.close()) }()
	i := -1
	for e, other := range pair.Lists(rec.Pull(), others.Pull(), index.CompareNames) {
		if e == nil {
			continue
		}
		i++
		switch {
		case e.Type == index.Dir:
			err = l.below(path, e, other)
		case e.Type == index.File && e.Flags&index.NotStored == 0:
			l.file(&look, e, other, place{snapshot: l.number, dir: rec.ID(), entry: uint32(i)})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// below lists a directory in a directory, unless the older snapshot has the same stored files there.
func (l *listingOf) below(path []string, e, other *index.Entry) error {
	older := uint64(0)
	if other != nil && other.Type == index.Dir {
		if e.Hash == other.Hash && e.Inodes == other.Inodes {
			return nil
		}
		older = other.Child
	}
	return l.dir(append(slices.Clone(path), e.Name), e.Child, older)
}

func (l *listingOf) file(look *looking, e, other *index.Entry, p place) {
	p.record = verified.Record{Stored: e.Stored, Tag: verified.TagOf(e.Hash), Size: sizeToRead(e), Time: l.time}
	if !l.anchored || e.Stored == 0 {
		var ok bool
		if p.record.Stored, ok = look.inode(e.Name); !ok {
			return // comparing the structure tells it
		}
	} else if other != nil && other.Type == index.File && other.Stored == e.Stored && other.Hash == e.Hash {
		return
	}
	l.sorter.Add(p)
}

// sizeToRead returns the number of bytes to read from a stored file: not its holes.
func sizeToRead(e *index.Entry) uint64 {
	const large = 1 << 20 // of smaller files, file systems may keep a part elsewhere
	if data := e.Blocks * 512; e.Size > large && data < e.Size {
		return data
	}
	return e.Size
}

// looking looks at the files of one folder, which it opens when it is needed.
type looking struct {
	root int
	path []string
	fd   int
	err  error
}

func (f *looking) inode(name string) (uint64, bool) {
	if f.fd == fsat.NoDir && f.err == nil {
		f.fd, f.err = fsat.OpenBelow(f.root, f.path)
	}
	var st fsat.Stat
	if f.err != nil || fsat.StatAt(f.fd, name, &st) != nil {
		return 0, false
	}
	return st.Ino, true
}

func (f *looking) close() error {
	if f.fd == fsat.NoDir {
		return nil
	}
	return fsat.Close(f.fd)
}
