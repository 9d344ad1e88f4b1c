package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sort"
	"strings"
)

// Layout of the first 16 bits of an entry's fixed part.
const (
	modeBits  = 0o7777
	typeShift = 12
	xattrBit  = 1 << 15
)

// headerRoom bounds the size of a record's length and the seven numbers after it.
const headerRoom = 8 * binary.MaxVarintLen64

// minPublic and minPrivate are the sizes of the smallest entry; they bound the count that a record may claim.
const (
	minPublic  = 1 + 1 + 2 + 1 + 1 + 1 + 4 + 1 + 1
	minPrivate = 1 + 1 + 1 + 4 + 1 + 1 + 1
)

// markEvery is the distance between the entries whose places a Record remembers, for Find and At.
const markEvery = 64

var (
	errBothXattrs = errors.New("extended attributes need both hash and reference")
	errKept       = errors.New("an entry carried along needs both flag and snapshot, and the root is none")
)

// validate reports a value that the format cannot express.
func (e *Entry) validate(root bool) error {
	switch {
	case !e.fitsName(root):
		return errName
	case !e.fitsType(root), !e.knownBits():
		return errType
	case e.Mtime.Nsec >= 1e9 || e.Ctime.Nsec >= 1e9:
		return errRange
	case (e.Flags&Kept != 0) != (e.AsOf != "") || root && e.AsOf != "":
		return errKept
	case (e.XattrHash == Hash{}) != (e.Xattrs == 0):
		return errBothXattrs
	case e.Type == Dir && (e.Child == 0 || e.Space == 0):
		return errZero
	}
	return nil
}

// fitsName reports whether the name is that of the root, which has none, or of another entry.
func (e *Entry) fitsName(root bool) bool {
	if root {
		return e.Name == ""
	}
	return validName(e.Name)
}

// fitsType reports whether the type is that of the root, a folder, or of another entry.
func (e *Entry) fitsType(root bool) bool {
	if root {
		return e.Type == Dir
	}
	return File <= e.Type && e.Type <= BlockDevice
}

func (e *Entry) knownBits() bool {
	return e.Mode&^modeBits == 0 && e.Flags&^allFlags == 0 && e.Attrs&^RecordedAttrs == 0
}

// appendPublic encodes the fields as in the source; fields foreign to the type are left out.
func appendPublic(b []byte, e *Entry) []byte {
	bits := uint16(e.Type)<<typeShift | uint16(e.Mode)
	if e.Xattrs != 0 {
		bits |= xattrBit
	}
	b = appendString(b, e.Name)
	b = binary.BigEndian.AppendUint16(b, bits)
	b = appendUvarint(b, uint64(e.UID))
	b = appendUvarint(b, uint64(e.GID))
	b = appendTime(b, e.Mtime)
	b = appendUvarint(b, uint64(e.Attrs))
	if e.Type != Dir {
		b = appendUvarint(b, uint64(e.Nlink))
	}
	switch e.Type {
	case File:
		b = appendUvarint(b, e.Size)
		b = append(b, e.Hash[:]...)
	case Dir:
		b = append(b, e.Hash[:]...)
	case Symlink:
		b = appendString(b, e.Target)
	case CharDevice, BlockDevice:
		b = appendUvarint(b, uint64(e.Major))
		b = appendUvarint(b, uint64(e.Minor))
	}
	if e.Xattrs != 0 {
		b = append(b, e.XattrHash[:]...)
	}
	return b
}

// appendPrivate encodes the fields by which the entry is recognised, and its place in the archive.
func appendPrivate(b []byte, e *Entry, names *nameTable) []byte {
	b = appendUvarint(b, uint64(e.Dev))
	b = appendUvarint(b, e.Ino)
	b = appendSigned(b, e.Ctime.Sec-e.Mtime.Sec)
	b = binary.BigEndian.AppendUint32(b, e.Ctime.Nsec)
	b = appendUvarint(b, e.Stored)
	b = appendUvarint(b, e.Blocks)
	b = appendUvarint(b, uint64(e.Flags))
	if e.Flags&Kept != 0 {
		b = appendUvarint(b, names.number(e.AsOf))
	}
	if e.Xattrs != 0 {
		b = appendUvarint(b, uint64(e.Xattrs))
	}
	if e.Type == Dir {
		b = appendUvarint(b, e.Child)
		b = appendTotals(b, e.Below)
		b = append(b, e.Inodes[:]...)
		b = appendUvarint(b, e.Space)
	}
	return b
}

func appendTotals(b []byte, t Totals) []byte {
	b = appendUvarint(b, t.Files)
	b = appendUvarint(b, t.Dirs)
	b = appendUvarint(b, t.Bytes)
	return appendUvarint(b, t.Structure)
}

// decodeEntry reads one entry from the two sections and overwrites all of e.
func decodeEntry(e *Entry, pub, priv *decoder, root bool) error {
	*e = Entry{Name: pub.string()}
	bits := pub.uint16()
	e.Type = Type(bits >> typeShift & 7)
	e.Mode = uint32(bits & modeBits)
	e.UID = pub.uvarint32()
	e.GID = pub.uvarint32()
	e.Mtime = pub.time()
	e.Attrs = Attrs(pub.uvarint32())
	if e.Type != Dir {
		e.Nlink = pub.uvarint32()
	}
	switch e.Type {
	case File:
		e.Size = pub.uvarint()
		pub.hash(&e.Hash)
	case Dir:
		pub.hash(&e.Hash)
	case Symlink:
		e.Target = pub.string()
		e.Size = uint64(len(e.Target))
	case CharDevice, BlockDevice:
		e.Major = pub.uvarint32()
		e.Minor = pub.uvarint32()
	}
	if bits&xattrBit != 0 {
		pub.hash(&e.XattrHash)
	}

	e.Dev = priv.uvarint32()
	e.Ino = priv.uvarint()
	e.Ctime.Sec = e.Mtime.Sec + priv.signed()
	e.Ctime.Nsec = priv.nsec()
	e.Stored = priv.uvarint()
	e.Blocks = priv.uvarint()
	e.Flags = Flags(priv.uvarint32())
	if e.Flags&Kept != 0 {
		e.AsOf = priv.numbered()
	}
	if bits&xattrBit != 0 {
		e.Xattrs = XattrRef(priv.uvarint())
		if e.Xattrs == 0 {
			priv.fail(errBothXattrs)
		}
	}
	if e.Type == Dir {
		e.Child = priv.uvarint()
		e.Below = decodeTotals(priv)
		copy(e.Inodes[:], priv.take(uint64(len(e.Inodes))))
		e.Space = priv.uvarint()
	}
	if pub.err != nil {
		return pub.err
	}
	if priv.err != nil {
		return priv.err
	}
	return e.validate(root)
}

func decodeTotals(d *decoder) Totals {
	return Totals{Files: d.uvarint(), Dirs: d.uvarint(), Bytes: d.uvarint(), Structure: d.uvarint()}
}

// Record is the part of a catalog that describes one directory. It is immutable and safe for concurrent use. Names and
// targets of its entries are views of the record, and keep the record in memory.
type Record struct {
	id          DirID
	count       int
	totals      Totals
	pub, priv   []byte
	marks       []mark // of entries markEvery, 2×markEvery, …
	finalBlocks map[uint64]uint64
	names       []string // of the snapshots that entries are kept as of
}

// mark is the place of an entry in the two sections.
type mark struct{ pub, priv int }

// decodeRecord reads the body of the record at position pos, and validates all of it. The record keeps body.
func decodeRecord(body []byte, pos uint64, t *tail) (*Record, error) {
	d := decoder{b: body}
	r := &Record{finalBlocks: t.finalBlocks, names: t.names, id: DirID(d.uvarint32())}
	count := d.uvarint()
	r.totals = decodeTotals(&d)
	r.pub = d.take(d.uvarint())
	r.priv = d.b[d.off:]
	if d.err != nil {
		return nil, d.err
	}
	if count > uint64(len(r.pub)/minPublic) || count > uint64(len(r.priv)/minPrivate) {
		return nil, errShort
	}
	r.count = int(count)
	if err := r.validate(pos); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Record) validate(pos uint64) error {
	var e Entry
	var sum Totals
	last := ""
	pub, priv := decoder{b: r.pub}, decoder{b: r.priv, names: r.names}
	if n := r.count / markEvery; n > 0 {
		r.marks = make([]mark, 0, n)
	}
	for i := range r.count {
		if i > 0 && i%markEvery == 0 {
			r.marks = append(r.marks, mark{pub.off, priv.off})
		}
		if err := decodeEntry(&e, &pub, &priv, false); err != nil {
			return err
		}
		if e.Name <= last {
			return fmt.Errorf("%w: %q after %q", errOrder, e.Name, last)
		}
		if e.Type == Dir && e.Child >= pos {
			return fmt.Errorf("%w: directory %q comes after its parent", errOrder, e.Name)
		}
		last = e.Name
		sum.count(&e)
	}
	if sum != r.totals {
		return fmt.Errorf("%w: totals", errMismatch)
	}
	return errors.Join(pub.end(), priv.end())
}

// written returns the record with the block counts as they were first written, before SetBlocks corrected them.
func (r *Record) written() *Record {
	w := *r
	w.finalBlocks = nil
	return &w
}

// ID returns the number of the directory.
func (r *Record) ID() DirID { return r.id }

// Len returns the number of entries.
func (r *Record) Len() int { return r.count }

// hash returns the directory's hash, computed from the entries.
func (r *Record) hash() Hash { return hashOf(r.pub) }

// Cursor returns a cursor before the first entry.
func (r *Record) Cursor() Cursor { return r.from(0) }

func (r *Record) from(i int) Cursor {
	c := Cursor{pub: decoder{b: r.pub}, priv: decoder{b: r.priv, names: r.names}, left: r.count, pos: -1,
		finalBlocks: r.finalBlocks}
	if m := min(i/markEvery, len(r.marks)); m > 0 {
		c.pub.off, c.priv.off = r.marks[m-1].pub, r.marks[m-1].priv
		c.left -= m * markEvery
		c.pos += m * markEvery
	}
	return c
}

// CursorAt returns a cursor before the entry at position i.
func (r *Record) CursorAt(i int) Cursor {
	c := r.from(i)
	for e := new(Entry); c.pos < i-1 && c.Next(e); {
	}
	return c
}

// Entries yields the entries in bytewise order of their names, with their positions. All iterations share one Entry:
// copy it to keep it.
func (r *Record) Entries() iter.Seq2[int, *Entry] {
	return func(yield func(int, *Entry) bool) {
		var e Entry
		for c := r.Cursor(); c.Next(&e); {
			if !yield(c.pos, &e) {
				return
			}
		}
	}
}

// Pull gives the entries as Entries does, one with each call, and nil after the last. A nil record has none.
func (r *Record) Pull() func() *Entry {
	if r == nil {
		return func() *Entry { return nil }
	}
	p := struct {
		c Cursor
		e Entry
	}{c: r.Cursor()}
	return func() *Entry {
		if !p.c.Next(&p.e) {
			return nil
		}
		return &p.e
	}
}

// CompareNames compares entries by their names, in the order of a record.
func CompareNames(a, b *Entry) int { return strings.Compare(a.Name, b.Name) }

// Find returns the entry called name.
func (r *Record) Find(name string) (Entry, bool) {
	m := sort.Search(len(r.marks), func(i int) bool {
		d := decoder{b: r.pub, off: r.marks[i].pub}
		return d.string() > name
	})
	var e Entry
	for c := r.from(m * markEvery); c.Next(&e) && e.Name <= name; {
		if e.Name == name {
			return e, true
		}
	}
	return Entry{}, false
}

// At returns the entry at position i, counted from 0 in the order of the names.
func (r *Record) At(i int) (Entry, bool) {
	if i < 0 || i >= r.count {
		return Entry{}, false
	}
	var e Entry
	for c := r.from(i); c.Next(&e); {
		if c.pos == i {
			return e, true
		}
	}
	return Entry{}, false
}

// Cursor steps through the entries of a record. It belongs to one goroutine.
type Cursor struct {
	pub, priv   decoder
	left        int
	pos         int
	finalBlocks map[uint64]uint64
}

// Next stores the next entry in *e, overwriting all of it, and reports whether there was one. It does not allocate and
// cannot fail: the record was validated when it was read.
func (c *Cursor) Next(e *Entry) bool {
	if c.left == 0 {
		return false
	}
	c.left--
	c.pos++
	if decodeEntry(e, &c.pub, &c.priv, false) != nil {
		return false
	}
	if c.finalBlocks != nil {
		if blocks, ok := c.finalBlocks[e.Stored]; ok && e.Type != Dir {
			e.Blocks = blocks
		}
	}
	return true
}

// Pos returns the position of the entry that Next stored last, counted from 0.
func (c *Cursor) Pos() int { return c.pos }
