package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
)

// Reader reads a journal from beginning to end.
type Reader struct {
	Header Header
	file   *os.File
	in     *bufio.Reader
	at     int64 // of the next frame
}

// NewReader reads the header of a journal. The file stays the caller's. Of a file that is no journal the error is
// ErrForeign or ErrNoHeader.
func NewReader(file *os.File) (*Reader, error) {
	r := &Reader{file: file, in: bufio.NewReaderSize(io.NewSectionReader(file, 0, 1<<62), 256<<10)}
	kind, payload, err := r.frame()
	if err == io.EOF {
		return nil, noHeader(file)
	}
	if err == nil && kind != kindHeader {
		return nil, ErrForeign
	}
	if err != nil {
		return nil, err
	}
	r.Header, err = decodeHeader(payload)
	return r, err
}

// noHeader returns the error of a file that does not begin with a whole frame: ErrNoHeader if it may have been cut short
// in its header, or if it has only zeros, as after a power cut.
func noHeader(file *os.File) error {
	const most = 64 << 10 // no header is longer
	b := make([]byte, most)
	n, err := file.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return err
	}
	b = b[:n]
	if len(bytes.Trim(b, "\x00")) == 0 && n < most {
		return ErrNoHeader
	}
	var length [4]byte
	copy(length[:], b)
	if n >= frameHead {
		rest := b[frameHead:]
		if b[frameHead-1] != kindHeader || !strings.HasPrefix(magic, string(rest[:min(len(rest), len(magic))])) {
			return ErrForeign
		}
	}
	if size := binary.BigEndian.Uint32(length[:]); size < most && n < frameHead+int(size) {
		return ErrNoHeader
	}
	return ErrForeign
}

// frame reads the next frame. It returns io.EOF at a frame that is damaged or cut short.
func (r *Reader) frame() (kind byte, payload []byte, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return 0, nil, endOf(err)
	}
	n, ok := payloadLength(head[:])
	if !ok {
		return 0, nil, io.EOF
	}
	if payload, err = readPayload(r.in, n); err != nil {
		return 0, nil, endOf(err)
	}
	if !checkFrame(head[:], payload) {
		return 0, nil, io.EOF
	}
	r.at += int64(frameHead + n)
	return head[8], payload, nil
}

// readPayload does not believe a length before it has read so much.
func readPayload(in io.Reader, n int) ([]byte, error) {
	const first = 64 << 10
	b := make([]byte, min(n, first))
	if _, err := io.ReadFull(in, b); err != nil || n <= first {
		return b, err
	}
	rest, err := io.ReadAll(io.LimitReader(in, int64(n-first)))
	if err == nil && len(rest) < n-first {
		err = io.ErrUnexpectedEOF
	}
	return append(b, rest...), err
}

func endOf(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// Next returns the next record with its position, and io.EOF after the last that can be read. A record whose frame is
// whole, but which nobody can have written, is skipped.
func (r *Reader) Next() (at int64, rec *Record, err error) {
	for {
		at = r.at
		kind, payload, err := r.frame()
		if err != nil {
			return at, nil, err
		}
		if kind == kindFile || kind == kindPartial {
			if rec, err := decodeRecord(kind, payload); err == nil {
				return at, rec, nil
			}
		}
	}
}

// Proven returns the position before which all records are proven, by reading the rest of the journal for checkpoints.
func (r *Reader) Proven() (position int64, err error) {
	for {
		at := r.at
		kind, payload, err := r.frame()
		if err == io.EOF {
			return position, nil
		}
		if err != nil {
			return 0, err
		}
		if kind != kindCheckpoint || len(payload) != 8 {
			continue
		}
		if p := int64(binary.BigEndian.Uint64(payload)); p > position && p <= at {
			position = p
		}
	}
}

// ReadAt returns the record at a position of a journal.
func ReadAt(file io.ReaderAt, at int64) (*Record, error) {
	const usual = 1 << 10 // most records are shorter, and need one call
	b := make([]byte, usual)
	n, err := file.ReadAt(b, at)
	if n < frameHead {
		return nil, errors.Join(errDamaged, err)
	}
	length, ok := payloadLength(b)
	if !ok {
		return nil, errDamaged
	}
	var rest []byte
	if frameHead+length > n {
		if n < usual {
			return nil, errDamaged
		}
		if rest, err = readPayload(io.NewSectionReader(file, at+usual, 1<<62-at), frameHead+length-usual); err != nil {
			return nil, errors.Join(errDamaged, err)
		}
	}
	b = append(b[:min(n, frameHead+length)], rest...)
	if !checkFrame(b, b[frameHead:]) || b[8] != kindFile && b[8] != kindPartial {
		return nil, errDamaged
	}
	return decodeRecord(b[8], b[frameHead:])
}
