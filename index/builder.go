package index

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"snapcopy/internal/atomicfile"
	"snapcopy/internal/extsort"
)

// runRecords is the number of additions sorted in memory, 3 MiB, before they go to a temporary file.
const runRecords = 1 << 16

// additions is the order of the records added. A stored file added more than once keeps the smallest of its locations.
var additions = extsort.Kind[record]{
	Compare: func(a, b record) int { return compareIdentity(&a, &b) },
	Join: func(a *record, b record) {
		if bytes.Compare(b[:], a[:]) < 0 {
			*a = b
		}
	},
	Size:   recordSize,
	Encode: func(b []byte, r *record) { copy(b, r[:]) },
	Decode: func(b []byte, r *record) { copy(r[:], b) },
}

// Builder collects the newly stored files of a run, in bounded memory, and merges them into an index. Add may be
// called from several goroutines. Close removes the temporary files.
type Builder struct {
	sorter extsort.Sorter[record]

	mu    sync.Mutex
	count int
	large uint64
}

// NewBuilder returns an empty Builder that puts temporary files, if it needs any, into dir.
func NewBuilder(dir string) *Builder {
	return &Builder{sorter: extsort.Sorter[record]{Kind: additions, Dir: dir, Name: "index-*.run", Limit: runRecords}}
}

// Add adds the entry at position pos of the record of directory dir. It ignores every entry but a regular file whose
// stored inode is known, and does not keep e. Merge returns an error of the temporary files.
func (b *Builder) Add(e *Entry, dir DirID, pos uint32) { b.add(e, 0, dir, pos) }

func (b *Builder) add(e *Entry, snapshot uint32, dir DirID, pos uint32) {
	if e.Type != File || e.Stored == 0 {
		return
	}
	r := makeRecord(e, snapshot, dir, pos)
	b.mu.Lock()
	b.count++
	if r.sizeKey() != 0 {
		b.large++
	}
	b.mu.Unlock()
	b.sorter.Add(r)
}

// Len returns how many files were added.
func (b *Builder) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

// Merge writes an index to path: all records of old, which may be nil, and all additions, which belong to snapshot. A
// stored file in both, with the same content and metadata, gets its new location. The file at path is replaced at once
// and durably, or not at all; old stays open on the file that it was opened from. Merge may be called once.
func (b *Builder) Merge(old *Index, snapshot string, path string) error {
	if !validName(snapshot) {
		return fmt.Errorf("write index %s: snapshot %q: %w", path, snapshot, errName)
	}
	var names []string
	if old != nil {
		names = old.Snapshots()
	}
	number := slices.Index(names, snapshot)
	if number < 0 {
		number = len(names)
		names = append(names, snapshot)
	}
	return b.merge(context.Background(), old, names, number, path)
}

// merge writes the index. number, unless negative, replaces the number of the snapshot of every addition.
func (b *Builder) merge(ctx context.Context, old *Index, names []string, number int, path string) error {
	if old == nil {
		return b.write(ctx, nil, 0, names, number, path)
	}
	scan := indexScan{x: old}
	return b.write(ctx, func() (*record, error) { return scan.next(ctx) }, old.head.large, names, number, path)
}

// write merges the additions with the records of old, of which at most large are in the Bloom filter. old may be nil.
func (b *Builder) write(ctx context.Context, old source, large uint64, names []string, number int,
	path string) (err error) {
	added, err := b.sorter.Merge()
	if err != nil {
		return fmt.Errorf("sort index: %w", err)
	}
	b.mu.Lock()
	keys := b.large + large
	b.mu.Unlock()
	records := union{added: added, number: number, old: old, takeAdded: true, takeOld: old != nil}

	f, err := atomicfile.Create(path, 0o600)
	if err != nil {
		return fmt.Errorf("write index %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, f.Cleanup()) }()
	head := indexHeader{snapshots: names}
	if err := writeIndex(ctx, f.File, &head, newBloom(keys), records.next); err != nil {
		return fmt.Errorf("write index %s: %w", path, err)
	}
	if err := f.Commit(); err != nil {
		return fmt.Errorf("write index %s: %w", path, err)
	}
	return nil
}

// Close removes the temporary files.
func (b *Builder) Close() error { return b.sorter.Close() }

// source returns records in ascending order, each valid until the next call, and nil at the end.
type source func() (*record, error)

// union merges additions and the records of an old index in ascending order. Where both have a stored file, the
// addition wins.
type union struct {
	added *extsort.Merge[record]
	first record // of added
	more  bool   // first is valid
	old   source
	kept  *record // the first record left of old; nil: none
	// number, unless negative, replaces the number of the snapshot of each addition.
	number int

	takeAdded, takeOld bool // which of the two first records the last call consumed
}

func (u *union) next() (r *record, err error) {
	if u.takeAdded {
		if u.more, err = u.added.Next(&u.first); err != nil {
			return nil, err
		}
	}
	if u.takeOld {
		if u.kept, err = u.old(); err != nil {
			return nil, err
		}
	}
	order := 0
	switch {
	case !u.more && u.kept == nil:
		return nil, nil
	case !u.more:
		order = 1
	case u.kept == nil:
		order = -1
	default:
		order = compareIdentity(&u.first, u.kept)
	}
	u.takeAdded, u.takeOld = order <= 0, order >= 0
	if order > 0 {
		return u.kept, nil
	}
	if u.number >= 0 {
		u.first.setSnapshot(u.number)
	}
	return &u.first, nil
}

// indexOut writes the pages of an index in sequence; the header comes last, with WriteAt.
type indexOut struct {
	w    *bufio.Writer
	page [pageSize]byte
	used int
	n    uint64 // number of the current page
}

// writeIndex writes a whole index to the empty file f. head names the snapshots; filter has its final size.
func writeIndex(ctx context.Context, f *os.File, head *indexHeader, filter bloom, next source) error {
	head.bloomBits = uint64(len(filter)) * 8
	blank := head.encode()
	out := indexOut{w: bufio.NewWriterSize(f, 1<<18), n: uint64(head.pages)}
	if _, err := out.w.Write(blank); err != nil {
		return err
	}
	first, err := out.records(ctx, next, head, filter)
	if err != nil {
		return err
	}
	if err := out.payload(first); err != nil {
		return err
	}
	if err := out.payload(filter); err != nil {
		return err
	}
	if err := out.w.Flush(); err != nil {
		return err
	}
	_, err = f.WriteAt(head.encode(), 0)
	return err
}

// records writes the pages of records and returns the first key of each.
func (o *indexOut) records(ctx context.Context, next source, head *indexHeader, filter bloom) (first []byte, err error) {
	for {
		r, err := next()
		if err != nil {
			return nil, err
		}
		if r == nil {
			break
		}
		if o.used == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			first = binary.BigEndian.AppendUint64(first, r.key())
		}
		head.records++
		if key := r.sizeKey(); key != 0 {
			head.large++
			filter.add(key)
		}
		if err := o.write(r[:]); err != nil {
			return nil, err
		}
	}
	return first, o.flush()
}

// write adds b, whose length divides a page's payload, to the page, and writes the page when it is full.
func (o *indexOut) write(b []byte) error {
	o.used += copy(o.page[o.used:pagePayload], b)
	if o.used == pagePayload {
		return o.flush()
	}
	return nil
}

// flush writes the page unless it is empty.
func (o *indexOut) flush() error {
	if o.used == 0 {
		return nil
	}
	clear(o.page[o.used:])
	sealPage(o.n, o.page[:])
	o.n++
	o.used = 0
	_, err := o.w.Write(o.page[:])
	return err
}

// payload writes b as a sequence of pages.
func (o *indexOut) payload(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), pagePayload)
		if err := o.write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return o.flush()
}
