package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"sync"

	"snapcopy/internal/plainfile"
)

// Location is the place of a stored file: Entry is the position in the record of directory Dir in the catalog of
// Snapshot (see [Catalog.At]).
type Location struct {
	Snapshot string
	Dir      DirID
	Entry    uint32
	Stored   uint64 // inode number in the archive
	Meta     uint32 // MetaFingerprint of the entry
}

// Index is an open content-hash index. Its methods may be called from several goroutines. It reads the file that was
// opened even after a Merge has replaced it.
type Index struct {
	path  string
	f     *os.File
	head  indexHeader
	keys  []uint64 // first bytes of the first record of each page
	bloom bloom
}

// OpenIndex opens an index. The error wraps os.ErrNotExist if path does not exist, ErrDamaged if the file is not a
// complete index, and ErrNewer if a later release wrote it.
func OpenIndex(path string) (*Index, error) {
	f, err := plainfile.Open(path)
	if err != nil {
		return nil, damagedKind(path, err)
	}
	x := &Index{path: path, f: f}
	if err := x.open(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return x, nil
}

func (x *Index) open() error {
	info, err := x.f.Stat()
	if err != nil {
		return err
	}
	first, err := preadFile(x.f, 0, min(pageSize, info.Size()))
	if err != nil {
		return err
	}
	if err := x.readHeader(first, info.Size()); err != nil {
		return err
	}
	if err := x.readKeys(); err != nil {
		return err
	}
	return x.readBloom()
}

func (x *Index) readHeader(first []byte, size int64) error {
	switch {
	case len(first) < 10 || string(first[:8]) != indexMagic:
		return x.damaged(0, errMagic)
	case binary.BigEndian.Uint16(first[8:]) > indexVersion:
		return fmt.Errorf("read %s: %w (version %d; known: %d)", x.path, ErrNewer,
			binary.BigEndian.Uint16(first[8:]), indexVersion)
	case binary.BigEndian.Uint16(first[8:]) != indexVersion:
		return x.damaged(0, errType)
	case len(first) < pageSize:
		return x.damaged(0, errTruncated)
	}
	if err := checkPage(0, first); err != nil {
		return x.damaged(0, err)
	}
	if err := x.head.decodeFields(first); err != nil {
		return x.damaged(0, err)
	}
	// The length of the file bounds every allocation from here on.
	if pages := x.head.allPages(); uint64(size)%pageSize != 0 || uint64(size)/pageSize != pages {
		return x.damaged(0, fmt.Errorf("%w: file of %d bytes, not %d pages", errTruncated, size, pages))
	}
	payload, err := x.readPages(0, uint64(x.head.pages))
	if err != nil {
		return err
	}
	if err := x.head.decodeNames(payload); err != nil {
		return x.damaged(0, err)
	}
	return nil
}

func (x *Index) readKeys() error {
	payload, err := x.readPages(x.head.keysAt(), x.head.keyPages())
	if err != nil {
		return err
	}
	n := x.head.recordPages()
	x.keys = make([]uint64, n)
	for i := range x.keys {
		x.keys[i] = binary.BigEndian.Uint64(payload[i*keySize:])
	}
	if !slices.IsSorted(x.keys) || !allZero(payload[n*keySize:]) {
		return x.damaged(x.head.keysAt(), errOrder)
	}
	return nil
}

func (x *Index) readBloom() error {
	payload, err := x.readPages(x.head.bloomAt(), x.head.bloomPages())
	if err != nil {
		return err
	}
	size := x.head.bloomBits / 8
	if !allZero(payload[size:]) {
		return x.damaged(x.head.bloomAt(), errTrailing)
	}
	x.bloom = bloom(payload[:size:size])
	return nil
}

// readPages returns the payloads of n pages in sequence.
func (x *Index) readPages(first, n uint64) ([]byte, error) {
	payload := make([]byte, 0, n*pagePayload)
	var page [pageSize]byte
	for i := first; i < first+n; i++ {
		if err := x.readPage(i, &page); err != nil {
			return nil, err
		}
		payload = append(payload, page[:pagePayload]...)
	}
	return payload, nil
}

func (x *Index) readPage(n uint64, page *[pageSize]byte) error {
	if err := preadInto(x.f, int64(n)*pageSize, page[:]); err != nil {
		return err
	}
	if err := checkPage(n, page[:]); err != nil {
		return x.damaged(n, err)
	}
	return nil
}

func (x *Index) damaged(page uint64, reason error) error {
	return &DamageError{Path: x.path, Offset: int64(page) * pageSize, Reason: reason}
}

// Close closes the file.
func (x *Index) Close() error { return x.f.Close() }

// Snapshots returns the names of the snapshots that the index covers.
func (x *Index) Snapshots() []string { return slices.Clone(x.head.snapshots) }

// Len returns the number of stored files.
func (x *Index) Len() uint64 { return x.head.records }

// Lookup calls visit for every stored file that may have the content h, until visit returns false. The index has only
// the first 20 bytes of a hash, and a location may be outdated: the caller compares the whole hash with the entry in
// the catalog. A miss costs one read of 4 KiB.
func (x *Index) Lookup(h Hash, visit func(Location) bool) error {
	var from record
	copy(from[:], h[:hashSize])
	return x.lookup(&from, hashSize, visit)
}

// LookupMeta is Lookup for the stored files whose MetaFingerprint is meta. It skips all others without reading them;
// there may be many, for example of the empty file.
func (x *Index) LookupMeta(h Hash, meta uint32, visit func(Location) bool) error {
	var from record
	copy(from[:], h[:hashSize])
	binary.BigEndian.PutUint32(from[metaAt:], meta)
	return x.lookup(&from, storedAt, visit)
}

var pagePool = sync.Pool{New: func() any { return new([pageSize]byte) }}

// lookup visits the records that begin with the first prefix bytes of from; all bytes after those must be zero.
func (x *Index) lookup(from *record, prefix int, visit func(Location) bool) error {
	page := pagePool.Get().(*[pageSize]byte)
	defer pagePool.Put(page)
	n, err := x.firstPage(from, page)
	if err != nil {
		return err
	}
	for ; n < len(x.keys) && x.keys[n] <= from.key(); n++ {
		count, err := x.readRecords(n, page)
		if err != nil {
			return err
		}
		i := sort.Search(count, func(i int) bool { return compareIdentity(pageSlot(page[:], i), from) >= 0 })
		for ; i < count; i++ {
			r := pageSlot(page[:], i)
			if !bytes.Equal(r[:prefix], from[:prefix]) {
				return nil
			}
			if uint64(r.snapshot()) >= uint64(len(x.head.snapshots)) {
				return x.damaged(uint64(x.head.pages)+uint64(n), errRange)
			}
			if !visit(x.location(r)) {
				return nil
			}
		}
	}
	return nil
}

// firstPage returns the page with the first record that is not below from: the last page that begins below it. It
// reads pages only where several begin with the same key.
func (x *Index) firstPage(from *record, page *[pageSize]byte) (int, error) {
	low := sort.Search(len(x.keys), func(i int) bool { return x.keys[i] >= from.key() })
	high := low + sort.Search(len(x.keys)-low, func(i int) bool { return x.keys[low+i] > from.key() })
	var failed error
	n := sort.Search(high-low, func(i int) bool {
		if failed != nil {
			return true
		}
		if _, err := x.readRecords(low+i, page); err != nil {
			failed = err
			return true
		}
		return compareIdentity(pageSlot(page[:], 0), from) >= 0
	})
	return max(low+n-1, 0), failed
}

// readRecords reads page n of the records and returns the number of its records.
func (x *Index) readRecords(n int, page *[pageSize]byte) (count int, err error) {
	if err := x.readPage(uint64(x.head.pages)+uint64(n), page); err != nil {
		return 0, err
	}
	if pageSlot(page[:], 0).key() != x.keys[n] {
		return 0, x.damaged(uint64(x.head.pages)+uint64(n), errMismatch)
	}
	return int(min(pageRecords, x.head.records-uint64(n)*pageRecords)), nil
}

func (x *Index) location(r *record) Location {
	return Location{
		Snapshot: x.head.snapshots[r.snapshot()],
		Dir:      r.dir(),
		Entry:    r.entry(),
		Stored:   r.stored(),
		Meta:     r.meta(),
	}
}

// MayHave reports whether any stored file may have the size and the metadata of e. False is certain. The answer is
// true for every size up to 1 MiB, which the index does not track, and wrongly true in about one of a hundred other
// cases.
func (x *Index) MayHave(e *Entry) bool {
	key := sizeKey(e.Size, MetaFingerprint(e))
	return key == 0 || x.bloom.mayHave(key)
}

// scan calls fn for every record, in order, after checking it.
func (x *Index) scan(ctx context.Context, fn func(*record) error) error {
	s := indexScan{x: x}
	for {
		r, err := s.next(ctx)
		if r == nil || err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
	}
}

// indexScan iterates over the records of an index.
type indexScan struct {
	x     *Index
	page  [pageSize]byte
	n     int // pages read
	i     int // next record in page
	count int // records in page
	last  record
}

// next returns the next record, valid until the next call, or nil at the end.
func (s *indexScan) next(ctx context.Context) (*record, error) {
	if s.i == s.count {
		if s.n == len(s.x.keys) {
			return nil, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		count, err := s.x.readRecords(s.n, &s.page)
		if err != nil {
			return nil, err
		}
		s.i, s.count = 0, count
		s.n++
	}
	r := pageSlot(s.page[:], s.i)
	s.i++
	first := s.n == 1 && s.i == 1
	if !first && compareIdentity(&s.last, r) >= 0 {
		return nil, s.x.damaged(uint64(s.x.head.pages)+uint64(s.n-1), errOrder)
	}
	if uint64(r.snapshot()) >= uint64(len(s.x.head.snapshots)) {
		return nil, s.x.damaged(uint64(s.x.head.pages)+uint64(s.n-1), errRange)
	}
	s.last = *r
	return &s.last, nil
}

// Check proves the whole file: every checksum, the order, the keys and the Bloom filter.
func (x *Index) Check(ctx context.Context) error {
	filter := make(bloom, len(x.bloom))
	var large uint64
	err := x.scan(ctx, func(r *record) error {
		if key := r.sizeKey(); key != 0 {
			large++
			if large <= x.head.large {
				filter.add(key)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if large != x.head.large || !bytes.Equal(filter, x.bloom) {
		return x.damaged(x.head.bloomAt(), errMismatch)
	}
	if n := len(x.keys); n > 0 {
		return x.checkPadding(n - 1)
	}
	return nil
}

// checkPadding proves that the last page of records has only zeros after its last record.
func (x *Index) checkPadding(n int) error {
	var page [pageSize]byte
	count, err := x.readRecords(n, &page)
	if err == nil && !allZero(page[count*recordSize:pagePayload]) {
		err = x.damaged(uint64(x.head.pages)+uint64(n), errTrailing)
	}
	return err
}
