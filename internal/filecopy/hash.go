package filecopy

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/zeebo/blake3"
)

// segmentSize is the length of the aligned segments that the hash leaves out if they consist of zeros.
const segmentSize = 1 << 30

// hashContext separates hashes that leave out segments from plain ones. See docs/format.md.
const hashContext = "snapcopy 2026-11-23 content without segments of zeros"

// contentHash computes the hash of a file's content, written to it from beginning to end.
type contentHash struct {
	segment int64
	plain   plainHash
	runs    *blake3.Hasher // nil until a segment is left out
	at      int64
	// idle: the current segment has only zeros so far, and plain has not seen them.
	idle   bool
	first  int64 // number of the first segment of the run of zeros just seen
	length int64 // of that run, in segments; 0: there is none
}

// plainHash is a plain BLAKE3 hash: of one thread a [blake3.Hasher], of several a tree.
type plainHash interface {
	Write([]byte) (int, error)
	Sum([]byte) []byte
	Reset()
}

func (h *contentHash) reset(segment int64) {
	if h.plain == nil {
		h.plain = blake3.New()
	}
	h.plain.Reset()
	*h = contentHash{segment: segment, plain: h.plain, idle: true}
}

// clone returns a copy that goes on by itself, of the hash of one thread.
func (h *contentHash) clone() contentHash {
	c := *h
	c.plain = h.plain.(*blake3.Hasher).Clone()
	if h.runs != nil {
		c.runs = h.runs.Clone()
	}
	return c
}

// soFar returns the hash of the content written so far, which may go on.
func (h *contentHash) soFar() [32]byte {
	c := h.clone()
	hash, _ := c.sum()
	return hash
}

var zeros [64 << 10]byte

// write adds the next bytes. The hasher's own errors cannot happen.
func (h *contentHash) write(b []byte) {
	for len(b) > 0 {
		piece := b[:min(int64(len(b)), h.segment-h.at%h.segment)]
		b = b[len(piece):]
		h.writePart(int64(len(piece)), h.idle && AllZero(piece), func() { _, _ = h.plain.Write(piece) })
	}
}

// writePart is write for n bytes of one segment that were hashed elsewhere: add adds them to the plain hash.
func (h *contentHash) writePart(n int64, allZero bool, add func()) {
	if h.idle && !allZero {
		h.plainZeros(h.at % h.segment)
		h.idle = false
	}
	if !h.idle {
		add()
	}
	h.advance(n)
}

// writeZeros adds n zeros; whole segments of them take no time.
func (h *contentHash) writeZeros(ctx context.Context, n int64) error {
	for n > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		piece := min(n, h.segment-h.at%h.segment)
		if !h.idle {
			piece = min(piece, int64(len(zeros)))
			_, _ = h.plain.Write(zeros[:piece])
		}
		if whole := n / h.segment; whole > 0 && h.at%h.segment == 0 {
			h.leaveOut(h.at/h.segment, whole)
			h.at += whole * h.segment
			n -= whole * h.segment
			continue
		}
		h.advance(piece)
		n -= piece
	}
	return nil
}

// advance counts bytes, and ends a segment.
func (h *contentHash) advance(n int64) {
	h.at += n
	if h.at%h.segment != 0 {
		return
	}
	if h.idle {
		h.leaveOut(h.at/h.segment-1, 1)
	}
	h.idle = true
}

// leaveOut records segments of zeros.
func (h *contentHash) leaveOut(first, segments int64) {
	if h.length > 0 && h.first+h.length == first {
		h.length += segments
		return
	}
	h.endRun()
	h.first, h.length = first, segments
}

func (h *contentHash) endRun() {
	if h.length == 0 {
		return
	}
	if h.runs == nil {
		h.runs = blake3.NewDeriveKey(hashContext)
	}
	h.add(h.first)
	h.add(h.length)
	h.length = 0
}

func (h *contentHash) add(n int64) {
	_, _ = h.runs.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func (h *contentHash) plainZeros(n int64) {
	for n > 0 {
		piece := min(n, int64(len(zeros)))
		_, _ = h.plain.Write(zeros[:piece])
		n -= piece
	}
}

// sum returns the hash, and whether segments were left out.
func (h *contentHash) sum() (hash [32]byte, zeroHash bool) {
	if h.idle {
		h.plainZeros(h.at % h.segment)
	}
	h.endRun()
	h.plain.Sum(hash[:0])
	if h.runs == nil {
		return hash, false
	}
	h.add(h.at)
	_, _ = h.runs.Write(hash[:])
	h.runs.Sum(hash[:0])
	return hash, true
}

// AllZero reports whether there is nothing but zeros in b.
func AllZero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}
