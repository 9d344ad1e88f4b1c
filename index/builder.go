package index

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"snapcopy/internal/atomicfile"
)

const (
	// runRecords is how many additions are sorted in memory before they go to a temporary file: 3 MiB.
	runRecords = 1 << 16
	// maxRuns bounds the temporary files, which are all open while they are merged.
	maxRuns = 64
)

// Builder collects the newly stored files of a run, in bounded memory, and merges them into an index. Add may be
// called from several goroutines. Close removes its temporary files.
type Builder struct {
	mu    sync.Mutex
	dir   string
	buf   []record
	runs  []*os.File
	limit int // of records in memory
	count int
	large uint64
	err   error
}

// NewBuilder returns an empty Builder that puts temporary files, if it needs any, into dir.
func NewBuilder(dir string) *Builder { return &Builder{dir: dir, limit: runRecords} }

// Add adds the entry at position pos of the record of directory dir. Anything but a regular file whose stored
// inode is known is ignored. It does not keep e. An error of the temporary files is returned by Merge.
func (b *Builder) Add(e *Entry, dir DirID, pos uint32) { b.add(e, 0, dir, pos) }

func (b *Builder) add(e *Entry, snapshot uint32, dir DirID, pos uint32) {
	if e.Type != File || e.Stored == 0 {
		return
	}
	r := makeRecord(e, snapshot, dir, pos)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	if r.sizeKey() != 0 {
		b.large++
	}
	b.buf = append(b.buf, r)
	if len(b.buf) >= b.limit && b.err == nil {
		b.err = b.spill()
	}
	if b.err != nil {
		b.buf = b.buf[:0]
	}
}

// Len returns how many files were added.
func (b *Builder) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

// Merge writes an index to path: all of old, which may be nil, and everything added, which belongs to snapshot.
// A stored file that is in both, with the same content and metadata, gets its new location. The file at path is
// replaced at once and durably, or not at all; old goes on showing what it was opened with. Merge may be called
// once.
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

// write is merge with what old gives, of which at most so many records are large; nil: nothing.
func (b *Builder) write(ctx context.Context, old source, large uint64, names []string, number int,
	path string) (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	head := indexHeader{snapshots: names}
	sources := make([]source, 0, len(b.runs)+2)
	keys := b.large + large
	for _, s := range b.sources() {
		sources = append(sources, withSnapshot(s, number))
	}
	if old != nil { // last: of a stored file in both, the merger keeps the first
		sources = append(sources, old)
	}

	f, err := atomicfile.Create(path, 0o600)
	if err != nil {
		return fmt.Errorf("write index %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, f.Cleanup()) }()
	if err := writeIndex(ctx, f.File, &head, newBloom(keys), sources); err != nil {
		return fmt.Errorf("write index %s: %w", path, err)
	}
	if err := f.Commit(); err != nil {
		return fmt.Errorf("write index %s: %w", path, err)
	}
	return nil
}

// Close removes the temporary files.
func (b *Builder) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := removeAll(b.runs)
	b.runs, b.buf = nil, nil
	return err
}

func removeAll(files []*os.File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, f.Close(), os.Remove(f.Name()))
	}
	return errors.Join(errs...)
}

// sortBuf sorts the additions in memory; of equal ones the one with the smallest location comes first.
func (b *Builder) sortBuf() {
	slices.SortFunc(b.buf, func(x, y record) int { return bytes.Compare(x[:], y[:]) })
}

// spill writes the additions in memory to a temporary file.
func (b *Builder) spill() error {
	if len(b.runs) == maxRuns {
		if err := b.compact(); err != nil {
			return err
		}
	}
	b.sortBuf()
	i := 0
	err := b.writeRun(func() (*record, error) {
		if i == len(b.buf) {
			return nil, nil
		}
		i++
		return &b.buf[i-1], nil
	})
	b.buf = b.buf[:0]
	return err
}

// compact merges all temporary files into one, which comes first.
func (b *Builder) compact() error {
	runs := b.runs
	m, err := newMerger(runSources(runs))
	if err != nil {
		return err
	}
	b.runs = nil
	return errors.Join(b.writeRun(m.next), removeAll(runs))
}

func (b *Builder) writeRun(next source) error {
	f, err := os.CreateTemp(b.dir, "index-*.run")
	if err != nil {
		return fmt.Errorf("sort index: %w", err)
	}
	b.runs = append(b.runs, f)
	w := bufio.NewWriterSize(f, 1<<18)
	for {
		r, err := next()
		if err != nil {
			return fmt.Errorf("sort index: %w", err)
		}
		if r == nil {
			break
		}
		if _, err := w.Write(r[:]); err != nil {
			return fmt.Errorf("sort index: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("sort index: %w", err)
	}
	return nil
}

// source returns records in ascending order, each valid until the next call, and nil at the end.
type source func() (*record, error)

// sources returns the additions: the temporary files in the order they were written, and what is in memory.
func (b *Builder) sources() []source {
	b.sortBuf()
	i := 0
	return append(runSources(b.runs), func() (*record, error) {
		if i == len(b.buf) {
			return nil, nil
		}
		i++
		return &b.buf[i-1], nil
	})
}

func runSources(runs []*os.File) []source {
	sources := make([]source, 0, len(runs)+1)
	for _, f := range runs {
		r := bufio.NewReaderSize(io.NewSectionReader(f, 0, 1<<62), 1<<16)
		rec := new(record)
		sources = append(sources, func() (*record, error) {
			if _, err := io.ReadFull(r, rec[:]); err == io.EOF {
				return nil, nil
			} else if err != nil {
				return nil, err
			}
			return rec, nil
		})
	}
	return sources
}

// withSnapshot sets the number of the snapshot, unless it is negative.
func withSnapshot(s source, number int) source {
	if number < 0 {
		return s
	}
	return func() (*record, error) {
		r, err := s()
		if r != nil {
			r.setSnapshot(number)
		}
		return r, err
	}
}

// merger merges sources; of records with equal identity it keeps the one from the first source.
type merger struct {
	heap []head // the smallest first
	last record
	any  bool
}

type head struct {
	r     *record
	order int
	next  source
}

func newMerger(sources []source) (*merger, error) {
	m := &merger{}
	for i, s := range sources {
		r, err := s()
		if err != nil {
			return nil, err
		}
		if r != nil {
			m.heap = append(m.heap, head{r, i, s})
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.sift(i)
	}
	return m, nil
}

func (m *merger) less(i, j int) bool {
	if c := compareIdentity(m.heap[i].r, m.heap[j].r); c != 0 {
		return c < 0
	}
	return m.heap[i].order < m.heap[j].order
}

// sift moves heap[i] down to its place.
func (m *merger) sift(i int) {
	for {
		child := 2*i + 1
		if child >= len(m.heap) {
			return
		}
		if child+1 < len(m.heap) && m.less(child+1, child) {
			child++
		}
		if !m.less(child, i) {
			return
		}
		m.heap[i], m.heap[child] = m.heap[child], m.heap[i]
		i = child
	}
}

func (m *merger) next() (*record, error) {
	for len(m.heap) > 0 {
		r := *m.heap[0].r
		if err := m.advance(); err != nil {
			return nil, err
		}
		if !m.any || compareIdentity(&r, &m.last) != 0 {
			m.last, m.any = r, true
			return &m.last, nil
		}
	}
	return nil, nil
}

func (m *merger) advance() error {
	r, err := m.heap[0].next()
	if err != nil {
		return err
	}
	if r == nil {
		end := len(m.heap) - 1
		m.heap[0] = m.heap[end]
		m.heap = m.heap[:end]
	} else {
		m.heap[0].r = r
	}
	m.sift(0)
	return nil
}

// indexOut writes the pages of an index in sequence; the header comes last, with WriteAt.
type indexOut struct {
	w    *bufio.Writer
	page [pageSize]byte
	used int
	n    uint64 // number of the current page
}

// writeIndex writes a whole index to the empty file f. head has the snapshots, filter the right size.
func writeIndex(ctx context.Context, f *os.File, head *indexHeader, filter bloom, sources []source) error {
	m, err := newMerger(sources)
	if err != nil {
		return err
	}
	head.bloomBits = uint64(len(filter)) * 8
	blank := head.encode()
	out := indexOut{w: bufio.NewWriterSize(f, 1<<18), n: uint64(head.pages)}
	if _, err := out.w.Write(blank); err != nil {
		return err
	}
	first, err := out.records(ctx, m, head, filter)
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
func (o *indexOut) records(ctx context.Context, m *merger, head *indexHeader, filter bloom) (first []byte, err error) {
	for {
		r, err := m.next()
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

// write adds b, which divides a page's payload, to the page, and writes the page when it is full.
func (o *indexOut) write(b []byte) error {
	o.used += copy(o.page[o.used:pagePayload], b)
	if o.used == pagePayload {
		return o.flush()
	}
	return nil
}

// flush writes the page, unless it is empty.
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

// payload writes b, cut into as many pages as it takes.
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
