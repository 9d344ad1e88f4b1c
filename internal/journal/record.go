package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
)

// Header says where a journal belongs.
type Header struct {
	Archive string // id
	Anchor  uint64 // inode number of .snapcopy: in a copied archive no inode number means anything
	Host    string
	Source  string    // path
	Began   time.Time // of the first of the runs whose work the journal has, in seconds
}

// Matches reports whether stored files recorded under one header can be used under another.
func (h *Header) Matches(other *Header) bool {
	a, b := *h, *other
	a.Began, b.Began = time.Time{}, time.Time{}
	return a == b
}

// Record is a stored file.
type Record struct {
	Dir    string      // path of its folder, below the source
	Entry  index.Entry // as the run has found the source's entry; of a partial copy without the hash
	Xattrs []index.Xattr
	Device uint64 // of the source's inode

	New, Shared uint64 // bytes of content that are new in the archive, and that it shares with another stored file
	SpaceLost   bool   // it lacks space that the source's file has beyond its content

	Marks []filecopy.Mark // of a partial copy; nil: the file has its whole content and metadata
}

// Partial reports whether the stored file is only a part of a copy.
func (r *Record) Partial() bool { return r.Marks != nil }

// Copied returns the number of bytes of a partial copy.
func (r *Record) Copied() uint64 { return uint64(r.Marks[len(r.Marks)-1].At) }

// Kinds of frames. The numbers are part of the format.
const (
	kindHeader     = 1
	kindFile       = 2
	kindPartial    = 3
	kindCheckpoint = 4
)

// magic begins the header's frame; it has the version of the format.
const magic = "snapcopy journal 1\n"

const (
	frameHead = 4 + 4 + 1 // length of the payload, checksum of kind and payload, kind
	// maxPayload is far above any record: paths and extended attributes are bounded by the system.
	maxPayload = 64 << 20
)

var (
	errDamaged = errors.New("journal record is damaged")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// ErrForeign reports a file that is no journal of this version of the formats.
var ErrForeign = errors.New("not a journal of this version")

// ErrNoHeader is the ErrForeign of a journal that ends before its header does: its process died when it began.
var ErrNoHeader = fmt.Errorf("%w: it ends before its header does", ErrForeign)

// appendFrame appends a frame whose payload is appended by put.
func appendFrame(b []byte, kind byte, put func(b []byte) ([]byte, error)) ([]byte, error) {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, kind)
	whole, err := put(b)
	if err != nil {
		return b[:start], err
	}
	b = whole
	n := len(b) - start - frameHead
	if n > maxPayload {
		return b[:start], fmt.Errorf("record of %d bytes", n)
	}
	binary.BigEndian.PutUint32(b[start:], uint32(n))
	binary.BigEndian.PutUint32(b[start+4:], crc32.Checksum(b[start+8:], castagnoli))
	return b, nil
}

// payloadLength returns the length in the head of a frame; false: no frame has it.
func payloadLength(head []byte) (int, bool) {
	n := binary.BigEndian.Uint32(head)
	return int(n), n <= maxPayload
}

// checkFrame reports whether the checksum in head fits the payload.
func checkFrame(head, payload []byte) bool {
	sum := crc32.Update(crc32.Checksum(head[8:frameHead], castagnoli), castagnoli, payload)
	return binary.BigEndian.Uint32(head[4:]) == sum
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (h *Header) append(b []byte) ([]byte, error) {
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint16(b, index.Version)
	b = appendText(b, h.Archive)
	b = binary.AppendUvarint(b, h.Anchor)
	b = appendText(b, h.Host)
	b = appendText(b, h.Source)
	return binary.AppendVarint(b, h.Began.Unix()), nil
}

func decodeHeader(b []byte) (h Header, err error) {
	rest, ok := strings.CutPrefix(string(b), magic)
	if !ok || len(rest) < 2 || binary.BigEndian.Uint16([]byte(rest)) != index.Version {
		return h, ErrForeign
	}
	d := decoder{b: []byte(rest[2:])}
	h.Archive, h.Anchor, h.Host, h.Source = d.text(), d.number(), d.text(), d.text()
	began, n := binary.Varint(d.b)
	if d.bad || n <= 0 || n != len(d.b) {
		return h, ErrForeign
	}
	h.Began = time.Unix(began, 0).UTC()
	return h, nil
}

func (r *Record) kind() byte {
	if r.Partial() {
		return kindPartial
	}
	return kindFile
}

func (r *Record) append(b []byte) ([]byte, error) {
	b = appendText(b, r.Dir)
	b, err := index.AppendEntry(b, &r.Entry, r.Xattrs)
	if err != nil {
		return b, err
	}
	b = binary.AppendUvarint(b, r.Device)
	b = binary.AppendUvarint(b, r.New)
	b = binary.AppendUvarint(b, r.Shared)
	lost := byte(0)
	if r.SpaceLost {
		lost = 1
	}
	b = append(b, lost)
	if !r.Partial() {
		return b, nil
	}
	b = binary.AppendUvarint(b, uint64(len(r.Marks)))
	for _, m := range r.Marks {
		b = append(binary.AppendUvarint(b, uint64(m.At)), m.Hash[:]...)
	}
	return b, nil
}

// decodeRecord decodes and checks a record. Its strings are views of b.
func decodeRecord(kind byte, b []byte) (*Record, error) {
	d := decoder{b: b}
	r := &Record{Dir: d.text()}
	if d.bad || !validDir(r.Dir) {
		return nil, errDamaged
	}
	var err error
	if r.Entry, r.Xattrs, d.b, err = index.DecodeEntry(d.b); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	r.Device, r.New, r.Shared = d.number(), d.number(), d.number()
	lost := d.take(1)
	if kind == kindPartial {
		r.Marks = d.marks()
	}
	if d.bad || len(d.b) > 0 || lost[0] > 1 || r.Entry.Type != index.File || r.Entry.Stored == 0 {
		return nil, errDamaged
	}
	r.SpaceLost = lost[0] == 1
	return r, nil
}

// validDir reports whether a path leads nowhere but down.
func validDir(dir string) bool {
	if dir == "" {
		return true
	}
	for name := range strings.SplitSeq(dir, "/") {
		if name == "" || name == "." || name == ".." || strings.IndexByte(name, 0) >= 0 {
			return false
		}
	}
	return true
}

// decoder takes values from the front of b. After a failure, bad is set and values mean nothing.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return []byte{0}
	}
	part := d.b[:n]
	d.b = d.b[n:]
	return part
}

func (d *decoder) text() string { return string(d.take(d.number())) }

// marks decodes the marks of a partial copy, of which there is at least one, in ascending order.
func (d *decoder) marks() (list []filecopy.Mark) {
	count := d.number()
	if count == 0 || count > uint64(len(d.b)/(1+32)) {
		d.bad = true
		return nil
	}
	last := int64(0)
	for range count {
		m := filecopy.Mark{At: int64(d.number())}
		if copy(m.Hash[:], d.take(32)) < 32 || m.At <= last {
			d.bad = true
			return nil
		}
		last = m.At
		list = append(list, m)
	}
	return list
}
