package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"snapcopy/internal/plainfile"
)

// Catalog is an open catalog. Its methods may be called from several goroutines.
type Catalog struct {
	path string
	f    *os.File
	tail *tail
	end  int64 // where the tail begins
	foot int64 // where the footer begins
	hash Hash  // of the file, as the footer states it

	blocks blockCache
	recent recordCache
}

// Open opens the catalog at path and reads its tail. The error wraps ErrDamaged if path is not a regular file or not a
// complete catalog, ErrNewer if a later release wrote the catalog, and os.ErrNotExist if path does not exist.
func Open(path string) (*Catalog, error) {
	f, err := plainfile.Open(path)
	if err != nil {
		return nil, damagedKind(path, err)
	}
	c := &Catalog{path: path, f: f}
	if err := c.open(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

func (c *Catalog) open() error {
	info, err := c.f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	header, err := c.pread(0, min(headerSize, size))
	if err != nil {
		return err
	}
	if err := c.checkHeader(header); err != nil {
		return err
	}
	c.end = size - footerSize
	if c.end < headerSize+blockHeader {
		return c.damaged(size, errTruncated)
	}
	footer, err := c.pread(c.end, footerSize)
	if err != nil {
		return err
	}
	length, err := c.checkFooter(footer)
	if err != nil {
		return err
	}
	copy(c.hash[:], footer[footerSize-40:footerSize-8])
	c.foot = c.end
	c.end -= length

	block, err := c.pread(c.end, length)
	if err != nil {
		return err
	}
	raw, err := openBlock(block, tailBlock, maxTail)
	if err == nil {
		c.tail, err = decodeTail(raw, c.end)
	}
	if err != nil {
		return c.damaged(c.end, fmt.Errorf("tail: %w", err))
	}
	return nil
}

// FileHash returns the hash that the footer states; equal hashes mean equal catalogs. Only Check compares it with the
// content.
func (c *Catalog) FileHash() Hash { return c.hash }

func (c *Catalog) checkHeader(b []byte) error {
	if len(b) < len(catalogMagic) || string(b[:8]) != catalogMagic {
		return c.damaged(0, errMagic)
	}
	if len(b) < headerSize {
		return c.damaged(int64(len(b)), errTruncated)
	}
	return c.checkVersion(0, b[8:headerSize])
}

// checkVersion checks a version number and the six zero bytes after it.
func (c *Catalog) checkVersion(offset int64, b []byte) error {
	if v := binary.BigEndian.Uint16(b); v > catalogVersion {
		return fmt.Errorf("read %s: %w (version %d; known: %d)", c.path, ErrNewer, v, catalogVersion)
	} else if v != catalogVersion || !allZero(b[2:8]) {
		return c.damaged(offset, errType)
	}
	return nil
}

// checkFooter returns the length of the tail, which ends where the footer begins.
func (c *Catalog) checkFooter(b []byte) (tail int64, err error) {
	if string(b[footerSize-8:]) != footerMagic {
		return 0, c.damaged(c.end, errTruncated)
	}
	if err := c.checkVersion(c.end, b[16:24]); err != nil {
		return 0, err
	}
	offset, length := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	if offset < headerSize || offset > uint64(c.end) || length != uint64(c.end)-offset {
		return 0, c.damaged(c.end, errMismatch)
	}
	return int64(length), nil
}

// pread returns n bytes at offset. n never exceeds the size of the file.
func (c *Catalog) pread(offset, n int64) ([]byte, error) {
	return preadFile(c.f, offset, n)
}

func (c *Catalog) damaged(offset int64, reason error) error {
	return &DamageError{Path: c.path, Offset: offset, Reason: reason}
}

// Close closes the file. Records already read stay valid.
func (c *Catalog) Close() error { return c.f.Close() }

// Root returns the entry of the root directory; its name is "".
func (c *Catalog) Root() Entry { return c.tail.root }

// Summary returns the summary that the run wrote.
func (c *Catalog) Summary() Summary { return c.tail.summary }

// Devices returns the source's device numbers in the order of Entry.Dev.
func (c *Catalog) Devices() []uint64 { return slices.Clone(c.tail.devices) }

// AsOf returns the names of the snapshots as of which entries are kept, in no order. Of such a snapshot there may be no
// more than its name.
func (c *Catalog) AsOf() []string { return slices.Clone(c.tail.names) }

// ReadDir reads the record at pos, an Entry's Child, and validates all of it.
func (c *Catalog) ReadDir(pos uint64) (*Record, error) {
	r, _, err := c.readRecord(pos)
	return r, err
}

// readRecord is ReadDir that also returns the position of the next record.
func (c *Catalog) readRecord(pos uint64) (r *Record, next uint64, err error) {
	if pos == 0 || pos > c.tail.records.raw {
		return nil, 0, c.damaged(c.end, fmt.Errorf("no record at position %d: %w", pos, errRange))
	}
	body, end, err := c.readSized(&c.tail.records, pos-1)
	if err != nil {
		return nil, 0, err
	}
	r, err = decodeRecord(body, pos, c.tail)
	if err == nil && uint64(r.id) >= c.tail.dirs.rows {
		err = fmt.Errorf("directory %d: %w", r.id, errNoDir)
	}
	if err != nil {
		return nil, 0, c.damagedAt(&c.tail.records, pos-1, err)
	}
	return r, end + 1, nil
}

// Xattrs reads a set of extended attributes, in the order of the names; reference 0 is the empty set.
func (c *Catalog) Xattrs(ref XattrRef) ([]Xattr, error) {
	if ref == 0 {
		return nil, nil
	}
	b, _, err := c.readXattrs(ref)
	if err != nil {
		return nil, err
	}
	set, err := decodeXattrs(b)
	if err != nil {
		return nil, c.damagedAt(&c.tail.xattrs, uint64(ref)-1, err)
	}
	return set, nil
}

// readXattrs returns the encoded set at ref, and the reference of the next set.
func (c *Catalog) readXattrs(ref XattrRef) (b []byte, next XattrRef, err error) {
	if ref == 0 || uint64(ref) > c.tail.xattrs.raw {
		return nil, 0, c.damaged(c.end, fmt.Errorf("no extended attributes at %d: %w", ref, errRange))
	}
	b, end, err := c.readSized(&c.tail.xattrs, uint64(ref)-1)
	return b, XattrRef(end + 1), err
}

// readSized reads a length at offset at of a stream, and that many bytes after it, into a new buffer. It also returns
// the offset of their end. The buffer grows with the bytes read: a false length claims no memory.
func (c *Catalog) readSized(s *stream, at uint64) (b []byte, end uint64, err error) {
	first, err := c.block(s, int(at/blockSize))
	if err != nil {
		return nil, 0, err
	}
	d := decoder{b: first.raw[at%blockSize:]}
	if d.left() < binary.MaxVarintLen64 {
		if d.b, err = c.readRaw(s, nil, at, min(binary.MaxVarintLen64, s.raw-at)); err != nil {
			return nil, 0, err
		}
	}
	n := d.uvarint()
	if d.err == nil && n > s.raw-at-uint64(d.off) {
		d.fail(errShort)
	}
	if d.err != nil {
		return nil, 0, c.damagedAt(s, at, d.err)
	}
	at += uint64(d.off)
	b, err = c.readRaw(s, make([]byte, 0, min(n, 1<<20)), at, n)
	return b, at + n, err
}

// readRaw appends n bytes of a stream of full blocks, from offset at, to b.
func (c *Catalog) readRaw(s *stream, b []byte, at, n uint64) ([]byte, error) {
	for n > 0 {
		block, err := c.block(s, int(at/blockSize))
		if err != nil {
			return nil, err
		}
		part := block.raw[at%blockSize:]
		part = part[:min(n, uint64(len(part)))]
		b = append(b, part...)
		at += uint64(len(part))
		n -= uint64(len(part))
	}
	return b, nil
}

// damagedAt reports damage at an offset of a stream.
func (c *Catalog) damagedAt(s *stream, at uint64, reason error) error {
	return c.damaged(s.blocks[at/blockSize].offset, reason)
}

// block returns a decompressed block. Callers must not change it.
func (c *Catalog) block(s *stream, number int) (*block, error) {
	key := blockKey{s.kind, number}
	if b := c.blocks.get(key); b != nil {
		return b, nil
	}
	ref := &s.blocks[number]
	buf := packPool.Get().(*[]byte)
	defer packPool.Put(buf)
	*buf = slices.Grow((*buf)[:0], int(ref.size))[:ref.size]
	if err := preadInto(c.f, ref.offset, *buf); err != nil {
		return nil, err
	}
	raw, err := openBlock(*buf, s.kind, ref.raw)
	if err == nil && len(raw) != int(ref.raw) {
		err = errMismatch
	}
	b := &block{raw: raw}
	if err == nil && s.kind == dirBlock {
		b.rows, err = decodeRows(raw, ref)
	}
	if err != nil {
		return nil, c.damaged(ref.offset, err)
	}
	c.blocks.put(key, b)
	return b, nil
}

// row is one row of the directory table.
type row struct {
	parent DirID
	name   string // a view of the block
}

func decodeRows(raw []byte, ref *blockRef) ([]row, error) {
	rows := make([]row, 0, ref.rows) // a row takes two bytes or more, which bounds rows
	d := decoder{b: raw}
	for i := range ref.rows {
		id := uint64(ref.first) + uint64(i)
		r := row{parent: DirID(d.uvarint32()), name: d.string()}
		if d.err != nil {
			return nil, d.err
		}
		if id == 0 {
			if r.parent != 0 || r.name != "" {
				return nil, errName
			}
		} else if err := checkRow(id, r.parent, r.name); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, d.end()
}

func (c *Catalog) row(id DirID) (row, error) {
	s := &c.tail.dirs
	if uint64(id) >= s.rows {
		return row{}, fmt.Errorf("catalog %s: directory %d: %w", c.path, id, errNoDir)
	}
	n := sort.Search(len(s.blocks), func(i int) bool { return s.blocks[i].first > id }) - 1
	b, err := c.block(s, n)
	if err != nil {
		return row{}, err
	}
	return b.rows[id-s.blocks[n].first], nil
}

// names returns the elements of a directory's path, from the root on.
func (c *Catalog) names(id DirID) ([]string, error) {
	var names []string
	for id != 0 {
		r, err := c.row(id) // the parent has a smaller number, so the loop ends
		if err != nil {
			return nil, err
		}
		names = append(names, r.name)
		id = r.parent
	}
	slices.Reverse(names)
	return names, nil
}

// Path returns the path of a directory from the root, elements joined by '/'; "" is the root.
func (c *Catalog) Path(id DirID) (string, error) {
	names, err := c.names(id)
	return strings.Join(names, "/"), err
}

// Lookup returns the entry at a path from the root, elements joined by '/'; "" is the root.
func (c *Catalog) Lookup(path string) (Entry, bool, error) {
	if path == "" {
		return c.tail.root, true, nil
	}
	return c.find(strings.Split(path, "/"))
}

func (c *Catalog) find(names []string) (Entry, bool, error) {
	e := c.tail.root
	for _, name := range names {
		if e.Type != Dir {
			return Entry{}, false, nil
		}
		r, err := c.ReadDir(e.Child)
		if err != nil {
			return Entry{}, false, err
		}
		var ok bool
		if e, ok = r.Find(name); !ok {
			return Entry{}, false, nil
		}
	}
	return e, true, nil
}

// dir returns the record of the directory with number id. The error wraps fs.ErrNotExist if the directory vanished
// before it was recorded. The last few records are cached, so that a caller who asks for many entries of one directory
// reads it once.
func (c *Catalog) dir(id DirID) (*Record, error) {
	if r := c.recent.get(id); r != nil {
		return r, nil
	}
	names, err := c.names(id)
	if err != nil {
		return nil, err
	}
	e, ok, err := c.find(names)
	if err != nil {
		return nil, err
	}
	var r *Record
	if ok && e.Type == Dir {
		if r, err = c.ReadDir(e.Child); err != nil {
			return nil, err
		}
	}
	if r == nil || r.id != id {
		return nil, &fs.PathError{Op: "look up in catalog " + filepath.Base(c.path),
			Path: strings.Join(names, "/"), Err: fs.ErrNotExist}
	}
	c.recent.put(r)
	return r, nil
}

// At returns the entry that a [Location] names: its position in the record of a directory.
func (c *Catalog) At(dir DirID, pos uint32) (Entry, bool, error) {
	r, err := c.dir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Entry{}, false, nil
	}
	if err != nil {
		return Entry{}, false, err
	}
	e, ok := r.At(int(pos))
	return e, ok, nil
}

// preadFile returns exactly n bytes at offset; a file that ends earlier is damaged.
func preadFile(f *os.File, offset, n int64) ([]byte, error) {
	b := make([]byte, n)
	if err := preadInto(f, offset, b); err != nil {
		return nil, err
	}
	return b, nil
}

func preadInto(f *os.File, offset int64, b []byte) error {
	n, err := f.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return &DamageError{Path: f.Name(), Offset: offset + int64(n), Reason: errTruncated}
	}
	return err
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}
