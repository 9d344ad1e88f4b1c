package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"sync"

	"github.com/zeebo/blake3"
)

// maxKnownSets bounds the sets of extended attributes that a Writer remembers in order to write each only once.
const maxKnownSets = 1 << 15

// maxPooled is the largest scratch buffer kept for reuse: one huge directory must not keep its memory occupied for
// good.
const maxPooled = 1 << 20

var (
	errFinished = errors.New("catalog is already finished")
	errNoDir    = errors.New("no directory with this number")
	errNoRecord = errors.New("refers to a record that was not added")
)

// Writer writes a catalog as a stream. Its methods may be called from several goroutines; Finish comes after all
// others have returned. An error of the underlying writer sticks: every later call returns it. An entry that cannot be
// encoded fails only the call with that entry, which then writes nothing.
type Writer struct {
	records, xattrs outStream
	dirs, space     outStream

	file struct {
		sync.Mutex
		w      io.Writer
		hash   *blake3.Hasher
		offset int64
		err    error
		done   bool
	}
	known struct {
		sync.Mutex
		sets map[Hash]XattrRef
	}
	finalBlocks map[uint64]uint64
	names       nameTable
}

// outStream collects one stream and cuts it into blocks. The lock covers copying only: the goroutine that fills a
// block compresses and writes it, so blocks may reach the file in any order.
type outStream struct {
	sync.Mutex
	stream
	buf      []byte // the block being filled
	firstRow DirID  // in buf
}

// cut is a full block to be written.
type cut struct {
	number int // in the stream
	raw    []byte
	pooled bool
}

// NewWriter begins a catalog.
func NewWriter(w io.Writer) (*Writer, error) {
	out := &Writer{}
	out.records.kind, out.dirs.kind, out.xattrs.kind = recordBlock, dirBlock, xattrBlock
	out.space.kind = spaceBlock
	out.known.sets = make(map[Hash]XattrRef)
	out.file.w, out.file.hash = w, blake3.New()

	header := make([]byte, 0, headerSize)
	header = append(header, catalogMagic...)
	header = binary.BigEndian.AppendUint16(header, catalogVersion)
	header = append(header, make([]byte, headerSize-len(header))...)
	_, err := out.write(header)
	return out, err
}

// StartDir gives a directory its number. The first call makes the root and ignores both arguments; a parent comes
// before its children. A directory that vanishes before AddDir keeps its number, without a record.
func (w *Writer) StartDir(parent DirID, name string) (DirID, error) {
	if err := w.failed(); err != nil {
		return 0, err
	}
	s := &w.dirs
	s.Lock()
	id := s.rows
	if id == 0 {
		parent, name = 0, ""
	} else if err := checkRow(id, parent, name); err != nil {
		s.Unlock()
		return 0, fmt.Errorf("catalog directory %q: %w", name, err)
	}
	var row [binary.MaxVarintLen64 + binary.MaxVarintLen32]byte
	head := appendUvarint(row[:0], uint64(parent))
	head = appendUvarint(head, uint64(len(name)))
	var cuts []cut
	if size := len(head) + len(name); len(s.buf)+size > blockSize {
		cuts = append(cuts, s.cutRows())
	}
	if s.buf == nil {
		s.buf = newBlock()
	}
	s.buf = append(append(s.buf, head...), name...)
	s.raw += uint64(len(head) + len(name))
	s.rows++
	s.Unlock()
	return DirID(id), w.writeCuts(s, cuts)
}

// checkRow reports a row that the directory table must not contain. The root's row is not checked here.
func checkRow(id uint64, parent DirID, name string) error {
	switch {
	case id > math.MaxUint32:
		return errRange
	case uint64(parent) >= id:
		return errNoDir
	case !validName(name):
		return errName
	}
	return nil
}

// cutRows takes the rows collected so far as a block. The caller has the lock.
func (s *outStream) cutRows() cut {
	c := cut{number: len(s.blocks), raw: s.buf, pooled: true}
	rows := uint32(s.rows) - uint32(s.firstRow)
	s.blocks = append(s.blocks, blockRef{raw: uint32(len(s.buf)), first: s.firstRow, rows: rows})
	s.firstRow = DirID(s.rows)
	s.buf = nil
	return c
}

// AddXattrs writes a set of extended attributes, unless it was written lately, and returns its reference and its hash.
// The order of set does not matter. The empty set has reference 0 and the zero Hash.
func (w *Writer) AddXattrs(set []Xattr) (XattrRef, Hash, error) {
	if len(set) == 0 {
		return 0, Hash{}, w.failed()
	}
	enc, err := appendXattrs(nil, set)
	if err != nil {
		return 0, Hash{}, fmt.Errorf("catalog: %w", err)
	}
	h := hashOf(enc)

	w.known.Lock()
	defer w.known.Unlock()
	if ref, ok := w.known.sets[h]; ok {
		return ref, h, w.failed()
	}
	offset, err := w.append(&w.xattrs, append(appendUvarint(nil, uint64(len(enc))), enc...))
	if err != nil {
		return 0, Hash{}, err
	}
	if len(w.known.sets) >= maxKnownSets {
		clear(w.known.sets)
	}
	ref := XattrRef(offset + 1)
	w.known.sets[h] = ref
	return ref, h, nil
}

// scratch has the buffers in which a record is encoded.
type scratch struct {
	rec, priv, space []byte
	record           Space
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// AddDir writes the record of a directory: its entries, sorted bytewise by name. Its child directories must have been
// added before. AddDir fills in Child, Hash, Below, Inodes and Space of self, the directory's own entry; it neither
// keeps nor changes entries.
func (w *Writer) AddDir(id DirID, entries []Entry, self *Entry) error {
	if err := w.failed(); err != nil {
		return err
	}
	if err := w.checkDir(id, entries); err != nil {
		return fmt.Errorf("catalog directory %d: %w", id, err)
	}
	buf := scratches.Get().(*scratch)
	defer func() {
		if cap(buf.rec) <= maxPooled {
			scratches.Put(buf)
		}
	}()
	record, space := buf.encode(id, entries, self, &w.names)
	offset, err := w.append(&w.records, record)
	if err != nil {
		return err
	}
	self.Child = offset + 1
	offset, err = w.append(&w.space, space)
	self.Space = offset + 1
	return err
}

func (w *Writer) checkDir(id DirID, entries []Entry) error {
	w.dirs.Lock()
	dirs := w.dirs.rows
	w.dirs.Unlock()
	w.records.Lock()
	records := w.records.raw
	w.records.Unlock()
	w.xattrs.Lock()
	xattrs := w.xattrs.raw
	w.xattrs.Unlock()
	w.space.Lock()
	space := w.space.raw
	w.space.Unlock()
	if uint64(id) >= dirs {
		return errNoDir
	}
	last := ""
	for i := range entries {
		e := &entries[i]
		if err := e.validate(false); err != nil {
			return fmt.Errorf("entry %q: %w", e.Name, err)
		}
		if e.Name <= last {
			return fmt.Errorf("entry %q: %w", e.Name, errOrder)
		}
		if e.Type == Dir && (e.Child > records || e.Space > space) || uint64(e.Xattrs) > xattrs {
			return fmt.Errorf("entry %q: %w", e.Name, errNoRecord)
		}
		last = e.Name
	}
	return nil
}

// grow reserves about as much room as the entries take, so that a huge directory is not copied again and again.
func (s *scratch) grow(entries []Entry) {
	const public, private = 60, 32
	size := headerRoom + len(entries)*(public+private)
	for i := range entries {
		size += len(entries[i].Name) + len(entries[i].Target)
	}
	s.rec = slices.Grow(s.rec[:0], size)
	s.priv = slices.Grow(s.priv[:0], len(entries)*private)
}

// encode returns the whole record and that of the space stream, both valid until the next use of s, and fills in the
// fields of self that describe them.
func (s *scratch) encode(id DirID, entries []Entry, self *Entry, names *nameTable) (rec, space []byte) {
	s.grow(entries)
	pub := append(s.rec[:0], make([]byte, headerRoom)...) // the header is written in front of the public section later
	priv := s.priv[:0]
	var t Totals
	for i := range entries {
		e := &entries[i]
		pub = appendPublic(pub, e)
		priv = appendPrivate(priv, e, names)
		t.count(e)
	}
	self.Hash, self.Below = hashOf(pub[headerRoom:]), t

	var head [headerRoom]byte
	b := appendUvarint(head[:0], uint64(id))
	b = appendUvarint(b, uint64(len(entries)))
	b = appendTotals(b, t)
	b = appendUvarint(b, uint64(len(pub)-headerRoom))
	var length [binary.MaxVarintLen64]byte
	n := appendUvarint(length[:0], uint64(len(b)+len(pub)-headerRoom+len(priv)))
	start := headerRoom - len(b) - len(n)
	copy(pub[start:], n)
	copy(pub[start+len(n):], b)
	s.rec, s.priv = append(pub, priv...), priv

	s.record.fill(each(entries))
	var body []byte
	const lengthRoom = binary.MaxVarintLen64
	body, self.Inodes = s.record.encode(append(s.space[:0], make([]byte, lengthRoom)...))
	n = appendUvarint(length[:0], uint64(len(body)-lengthRoom))
	copy(body[lengthRoom-len(n):], n)
	s.space = body
	return s.rec[start:], body[lengthRoom-len(n):]
}

// SetBlocks sets the final number of blocks of a stored inode, in place of the number in the entries added with it: a
// file system may decide on the number only when the file is on the disk. Readers of the catalog get the final number.
// SetBlocks comes after the last AddDir.
func (w *Writer) SetBlocks(stored, blocks uint64) {
	if w.finalBlocks == nil {
		w.finalBlocks = make(map[uint64]uint64)
	}
	if stored != 0 {
		w.finalBlocks[stored] = blocks
	}
}

func each(entries []Entry) iter.Seq2[int, *Entry] {
	return func(yield func(int, *Entry) bool) {
		for i := range entries {
			if !yield(i, &entries[i]) {
				return
			}
		}
	}
}

// Finish writes the last blocks, the tail and the footer. root is the entry of the root directory as AddDir completed
// it, with the name "". devices lists the source's device numbers in the order of Entry.Dev. Finish neither syncs nor
// closes the file.
func (w *Writer) Finish(root Entry, devices []uint64, s Summary) error {
	if err := w.failed(); err != nil {
		return err
	}
	if err := root.validate(true); err != nil {
		return fmt.Errorf("catalog root: %w", err)
	}
	if w.dirs.rows == 0 || root.Child > w.records.raw || root.Space > w.space.raw {
		return fmt.Errorf("catalog root: %w", errNoRecord)
	}
	for _, s := range []*outStream{&w.records, &w.dirs, &w.xattrs, &w.space} {
		if err := w.flush(s); err != nil {
			return err
		}
	}
	t := tail{records: w.records.stream, dirs: w.dirs.stream, xattrs: w.xattrs.stream,
		space: w.space.stream, root: root, devices: devices, finalBlocks: w.finalBlocks, names: w.names.list, summary: s}
	raw := t.encode()
	if len(raw) > maxTail {
		return fmt.Errorf("catalog tail of %d bytes: %w", len(raw), errRange)
	}
	block := appendBlock(nil, tailBlock, raw)
	offset, err := w.write(block)
	if err != nil {
		return err
	}
	return w.writeFooter(offset, int64(len(block)))
}

func (w *Writer) flush(s *outStream) error {
	s.Lock()
	var cuts []cut
	if len(s.buf) > 0 && s.kind == dirBlock {
		cuts = append(cuts, s.cutRows())
	} else if len(s.buf) > 0 {
		cuts = append(cuts, s.cutBlock(s.buf, true))
		s.buf = nil
	}
	s.Unlock()
	return w.writeCuts(s, cuts)
}

func (w *Writer) writeFooter(tailOffset, tailSize int64) error {
	b := binary.BigEndian.AppendUint64(nil, uint64(tailOffset))
	b = binary.BigEndian.AppendUint64(b, uint64(tailSize))
	b = binary.BigEndian.AppendUint16(b, catalogVersion)
	b = append(b, make([]byte, 6)...)
	if _, err := w.write(b); err != nil {
		return err
	}
	w.file.Lock()
	b = w.file.hash.Sum(nil)
	w.file.Unlock()
	_, err := w.write(append(b, footerMagic...))
	w.file.Lock()
	w.file.done = true
	w.file.Unlock()
	return err
}

var blockPool = sync.Pool{New: func() any { return new([blockSize]byte) }}

func newBlock() []byte { return blockPool.Get().(*[blockSize]byte)[:0] }

// append adds p to the record, xattr or space stream and returns its offset there.
func (w *Writer) append(s *outStream, p []byte) (offset uint64, err error) {
	if err := w.failed(); err != nil {
		return 0, err
	}
	s.Lock()
	offset = s.raw
	s.raw += uint64(len(p))
	var cuts []cut
	for len(s.buf)+len(p) >= blockSize {
		n := blockSize - len(s.buf)
		if len(s.buf) == 0 {
			cuts = append(cuts, s.cutBlock(p[:n], false))
		} else {
			cuts = append(cuts, s.cutBlock(append(s.buf, p[:n]...), true))
			s.buf = nil
		}
		p = p[n:]
	}
	if len(p) > 0 {
		if s.buf == nil {
			s.buf = newBlock()
		}
		s.buf = append(s.buf, p...)
	}
	s.Unlock()
	return offset, w.writeCuts(s, cuts)
}

// cutBlock makes raw the next block. The caller has the lock.
func (s *outStream) cutBlock(raw []byte, pooled bool) cut {
	s.blocks = append(s.blocks, blockRef{raw: uint32(len(raw))})
	return cut{number: len(s.blocks) - 1, raw: raw, pooled: pooled}
}

var packPool = sync.Pool{New: func() any { return new([]byte) }}

// writeCuts compresses and writes blocks, and records their places.
func (w *Writer) writeCuts(s *outStream, cuts []cut) error {
	for _, c := range cuts {
		buf := packPool.Get().(*[]byte)
		*buf = appendBlock((*buf)[:0], s.kind, c.raw)
		if c.pooled {
			blockPool.Put((*[blockSize]byte)(c.raw[:blockSize]))
		}
		offset, err := w.write(*buf)
		size := len(*buf)
		packPool.Put(buf)
		if err != nil {
			return err
		}
		s.Lock()
		s.blocks[c.number].offset, s.blocks[c.number].size = offset, uint32(size)
		s.Unlock()
	}
	return nil
}

// write appends b to the file and returns its offset there.
func (w *Writer) write(b []byte) (offset int64, err error) {
	f := &w.file
	f.Lock()
	defer f.Unlock()
	if f.err != nil {
		return 0, f.err
	}
	if _, err := f.w.Write(b); err != nil {
		f.err = fmt.Errorf("write catalog: %w", err)
		return 0, f.err
	}
	if _, err := f.hash.Write(b); err != nil {
		return 0, err
	}
	offset = f.offset
	f.offset += int64(len(b))
	return offset, nil
}

// failed returns the error that sticks.
func (w *Writer) failed() error {
	w.file.Lock()
	defer w.file.Unlock()
	if w.file.done {
		return errFinished
	}
	return w.file.err
}
