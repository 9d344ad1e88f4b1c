package verified

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/zeebo/blake3"

	"snapcopy/internal/atomicfile"
	"snapcopy/internal/plainfile"
)

// The file: magic, anchor, records, table, and a trailer with the offset of the table, the hash of anchor, table and
// offset, and the hash of everything before it.
const (
	magic       = "\x89snapvf\x01"
	headerSize  = len(magic) + 8
	trailerSize = 8 + 32 + 32
	bufferSize  = 1 << 18
	maxTable    = 64 << 20 // some 50 bytes for each day and each snapshot
)

// errUnusable reports a file that is damaged, or of another archive. It is then made anew.
var errUnusable = errors.New("the file of dates cannot be used")

// reader reads a file from beginning to end. A nil reader has no records.
type reader struct {
	f     *os.File
	in    *bufio.Reader
	hash  *blake3.Hasher
	rest  []byte // what follows the records, up to the hash of everything
	sum   [32]byte
	table *Table
	last  Record
}

// openReader opens the file at path and proves its table. Its records are proved only by reading all of them. It returns
// nil if there is no file, and errUnusable if it is damaged or of another archive.
func openReader(path string, anchor uint64) (r *reader, err error) {
	f, err := plainfile.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, plainfile.ErrKind):
		return nil, errUnusable
	case err != nil:
		return nil, err
	}
	r = &reader{f: f, hash: blake3.New()}
	if err := r.open(anchor); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

func (r *reader) open(anchor uint64) error {
	info, err := r.f.Stat()
	if err != nil {
		return err
	}
	end := info.Size() - trailerSize
	if end < int64(headerSize) {
		return errUnusable
	}
	head, trailer := make([]byte, headerSize), make([]byte, trailerSize)
	if err := readAt(r.f, head, 0); err != nil {
		return err
	}
	if err := readAt(r.f, trailer, end); err != nil {
		return err
	}
	at := binary.BigEndian.Uint64(trailer)
	if !bytes.Equal(head, header(anchor)) || at < uint64(headerSize) || at > uint64(end) {
		return errUnusable
	}
	if end-int64(at) > maxTable {
		return errUnusable
	}
	table := make([]byte, end-int64(at))
	if err := readAt(r.f, table, int64(at)); err != nil {
		return err
	}
	if tableSum(head, table, trailer[:8]) != [32]byte(trailer[8:40]) {
		return errUnusable
	}
	var ok bool
	if r.table, ok = decodeTable(table); !ok {
		return errUnusable
	}
	r.rest = append(table, trailer[:40]...)
	copy(r.sum[:], trailer[40:])
	_, _ = r.hash.Write(head) // never fails
	records := io.NewSectionReader(r.f, int64(headerSize), int64(at)-int64(headerSize))
	r.in = bufio.NewReaderSize(io.TeeReader(records, r.hash), bufferSize)
	return nil
}

func readAt(f *os.File, b []byte, at int64) error {
	_, err := f.ReadAt(b, at)
	if err == io.EOF {
		return errUnusable // cut short just now
	}
	return err
}

func header(anchor uint64) []byte { return binary.BigEndian.AppendUint64([]byte(magic), anchor) }

func tableSum(head, table, offset []byte) [32]byte {
	return blake3.Sum256(bytes.Join([][]byte{head[len(magic):], table, offset}, nil))
}

// next reads the next record; ok is false after the last, when the hash of the whole file is proved.
func (r *reader) next(rec *Record) (ok bool, err error) {
	if r == nil {
		return false, nil
	}
	if _, err := r.in.Peek(1); err == io.EOF {
		return false, r.finish()
	}
	step, err := binary.ReadUvarint(r.in)
	if err != nil {
		return false, damaged(err)
	}
	var tag [8]byte
	if _, err := io.ReadFull(r.in, tag[:]); err != nil {
		return false, damaged(err)
	}
	size, err := binary.ReadUvarint(r.in)
	if err != nil {
		return false, damaged(err)
	}
	ago, err := binary.ReadVarint(r.in)
	if err != nil {
		return false, damaged(err)
	}
	*rec = Record{Stored: r.last.Stored + step, Tag: Tag(binary.BigEndian.Uint64(tag[:])), Size: size >> 1, Read: size&1 != 0,
		Time: r.last.Time + ago}
	if (r.last != Record{}) && Compare(&r.last, rec) >= 0 {
		return false, errUnusable
	}
	r.last = *rec
	return true, nil
}

func (r *reader) finish() error {
	_, _ = r.hash.Write(r.rest)
	if [32]byte(r.hash.Sum(nil)) != r.sum {
		return errUnusable
	}
	return nil
}

// damaged turns the error of reading a record that ends early or has too long a number into errUnusable.
func damaged(err error) error {
	var call *fs.PathError
	if errors.As(err, &call) {
		return err
	}
	return errUnusable
}

func (r *reader) close() error {
	if r == nil {
		return nil
	}
	return r.f.Close()
}

// writer writes a file that takes the place of the one at its path.
type writer struct {
	file *atomicfile.File
	out  *bufio.Writer
	hash *blake3.Hasher
	at   uint64
	buf  []byte
	last Record
	head []byte
	days days
}

func newWriter(path string, anchor uint64) (*writer, error) {
	f, err := atomicfile.Create(path, 0o600)
	if err != nil {
		return nil, err
	}
	w := &writer{file: f, hash: blake3.New(), head: header(anchor), days: make(days)}
	w.out = bufio.NewWriterSize(io.MultiWriter(f, w.hash), bufferSize)
	if err := w.write(w.head); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *writer) write(b []byte) error {
	w.at += uint64(len(b))
	_, err := w.out.Write(b)
	return err
}

// add writes a record; records come in ascending order.
func (w *writer) add(r *Record) error {
	b := binary.AppendUvarint(w.buf[:0], r.Stored-w.last.Stored)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Tag))
	read := uint64(0)
	if r.Read {
		read = 1
	}
	b = binary.AppendUvarint(b, r.Size<<1|read)
	b = binary.AppendVarint(b, r.Time-w.last.Time)
	w.last, w.buf = *r, b
	w.days.add(r)
	return w.write(b)
}

// commit writes the table and gives the file its name.
func (w *writer) commit(t *Table) error {
	offset := binary.BigEndian.AppendUint64(nil, w.at)
	t.Days = w.days.list()
	table := t.encode()
	sum := tableSum(w.head, table, offset)
	err := errors.Join(w.write(table), w.write(offset), w.write(sum[:]), w.out.Flush())
	if err != nil {
		return err
	}
	if _, err := w.file.Write(w.hash.Sum(nil)); err != nil {
		return err
	}
	return w.file.Commit()
}

// close removes the file unless it was committed.
func (w *writer) close() error {
	if w == nil {
		return nil
	}
	return w.file.Cleanup()
}
