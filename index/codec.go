package index

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"unsafe"
)

// Reasons why a decoder refuses its input. Users see them inside a DamageError.
var (
	errShort     = errors.New("data ends too early")
	errVarint    = errors.New("number not in its shortest form")
	errRange     = errors.New("number out of range")
	errTrailing  = errors.New("data after the end")
	errName      = errors.New("not a valid file name")
	errOrder     = errors.New("not in order")
	errType      = errors.New("unknown type or reserved bits")
	errMismatch  = errors.New("numbers contradict each other")
	errChecksum  = errors.New("checksum does not match")
	errZero      = errors.New("zero where a value is needed")
	errMagic     = errors.New("not a file of this kind")
	errTruncated = errors.New("file is cut short")
)

// maxName bounds the length of a name, far above the limit of any file system, so that a row fits in a block.
const maxName = 1<<16 - 1

func appendUvarint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

func appendString(b []byte, s string) []byte {
	return append(appendUvarint(b, uint64(len(s))), s...)
}

// appendSigned writes small negative numbers as short as small positive ones.
func appendSigned(b []byte, v int64) []byte {
	return appendUvarint(b, uint64(v)<<1^uint64(v>>63))
}

func appendTime(b []byte, t Time) []byte {
	return binary.BigEndian.AppendUint32(appendSigned(b, t.Sec), t.Nsec)
}

// decoder takes values from the front of b. The first failure sticks in err; every value after it is zero.
type decoder struct {
	b     []byte
	off   int
	err   error
	names []string // for numbered
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.off = len(d.b)
}

func (d *decoder) left() int { return len(d.b) - d.off }

func (d *decoder) uvarint() uint64 {
	if d.off < len(d.b) && d.b[d.off] < 0x80 {
		d.off++
		return uint64(d.b[d.off-1])
	}
	return d.longUvarint()
}

func (d *decoder) longUvarint() uint64 {
	v, n := binary.Uvarint(d.b[d.off:])
	switch {
	case n == 0:
		d.fail(errShort)
		return 0
	case n < 0:
		d.fail(errRange)
		return 0
	case n > 1 && d.b[d.off+n-1] == 0:
		d.fail(errVarint)
		return 0
	}
	d.off += n
	return v
}

func (d *decoder) uvarint32() uint32 {
	v := d.uvarint()
	if bits.Len64(v) > 32 {
		d.fail(errRange)
		return 0
	}
	return uint32(v)
}

func (d *decoder) signed() int64 {
	v := d.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// take returns the next n bytes, as a view of the input.
func (d *decoder) take(n uint64) []byte {
	if n > uint64(d.left()) {
		d.fail(errShort)
		return nil
	}
	d.off += int(n)
	return d.b[d.off-int(n) : d.off : d.off]
}

func (d *decoder) uint16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// string returns a view of the input, which must never change.
func (d *decoder) string() string {
	b := d.take(d.uvarint())
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (d *decoder) hash(h *Hash) {
	copy(h[:], d.take(uint64(len(h))))
}

// numbered returns the name with the next number.
func (d *decoder) numbered() string {
	n := d.uvarint()
	if n >= uint64(len(d.names)) {
		d.fail(errRange)
		return ""
	}
	return d.names[n]
}

func (d *decoder) nsec() uint32 {
	n := d.uint32()
	if n >= 1e9 {
		d.fail(errRange)
	}
	return n
}

func (d *decoder) time() Time {
	sec := d.signed()
	return Time{Sec: sec, Nsec: d.nsec()}
}

// end returns the first failure, or errTrailing if input is left.
func (d *decoder) end() error {
	if d.err == nil && d.left() > 0 {
		return errTrailing
	}
	return d.err
}

// validName reports whether s can be one element of a path.
func validName(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		if s[i] == '/' || s[i] == 0 {
			return false
		}
	}
	return true
}
