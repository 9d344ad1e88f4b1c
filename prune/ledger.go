package prune

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/zeebo/blake3"

	"snapcopy/index"
	"snapcopy/internal/atomicfile"
	"snapcopy/internal/plainfile"
)

// A ledger is a file that records which snapshots have which stored files, so that a further snapshot costs only the
// work for its changes. It is derived from the catalogs: a ledger that is missing, damaged or of other snapshots is
// made anew.
//
//	ledger  := magic (8 bytes), record*, table, offset of the table (u64), BLAKE3 hash of everything before it (32 bytes)
//	record  := varint era minus that of the record before, varint inode (minus that of the record before, in the same era),
//	           varint blocks, varint names in the last snapshot, varint number of the set of sharers
//	table   := varint snapshots, then for each: varint length, name, hash of the catalog (32 bytes), varint era;
//	           varint sets, then for each: its words (u64 each), varint bytes, varint inodes
const ledgerMagic = "\x89snapsp\x01"

const ledgerTrailer = 8 + 32

var errLedger = errors.New("ledger is damaged")

// known is a snapshot that a ledger covers.
type known struct {
	name string
	hash index.Hash // of its catalog
	era  uint32
}

// account is the record of one stored file in a ledger.
type account struct {
	inode
	blocks uint64
	names  uint64 // in the last snapshot
	set    uint32
}

// ledgerReader reads a ledger from beginning to end.
type ledgerReader struct {
	f         *os.File
	in        *bufio.Reader
	hash      *blake3.Hasher
	left      int64 // bytes of records
	sum       [32]byte
	table     []byte
	snapshots []known
	setTable
	last inode
}

// openLedger opens a ledger and reads its table. Its records are proved only by reading all of them.
func openLedger(path string) (l *ledgerReader, err error) {
	f, err := plainfile.Open(path)
	if errors.Is(err, plainfile.ErrKind) {
		return nil, errLedger
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	end := info.Size() - ledgerTrailer
	if end < int64(len(ledgerMagic)) {
		return nil, errLedger
	}
	trailer := make([]byte, ledgerTrailer)
	if _, err := f.ReadAt(trailer, end); err != nil {
		return nil, err
	}
	at := binary.LittleEndian.Uint64(trailer)
	if at < uint64(len(ledgerMagic)) || at > uint64(end) {
		return nil, errLedger
	}
	l = &ledgerReader{f: f, hash: blake3.New(), left: int64(at)}
	copy(l.sum[:], trailer[8:])
	l.table = make([]byte, end-int64(at)+8)
	if _, err := f.ReadAt(l.table, int64(at)); err != nil {
		return nil, err
	}
	if err := l.decodeTable(l.table[:len(l.table)-8]); err != nil {
		return nil, err
	}
	l.in = bufio.NewReaderSize(io.TeeReader(io.LimitReader(f, int64(at)), l.hash), 1<<18)
	magic := make([]byte, len(ledgerMagic))
	if _, err := io.ReadFull(l.in, magic); err != nil || string(magic) != ledgerMagic {
		return nil, errLedger
	}
	return l, nil
}

func (l *ledgerReader) decodeTable(b []byte) error {
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			b = nil
			return 0
		}
		b = b[n:]
		return v
	}
	take := func(n uint64) []byte {
		if n > uint64(len(b)) {
			b = nil
			return nil
		}
		p := b[:n]
		b = b[n:]
		return p
	}
	count := number()
	for i := uint64(0); i < count && b != nil; i++ {
		var k known
		k.name = string(take(number()))
		copy(k.hash[:], take(32))
		k.era = uint32(number())
		l.snapshots = append(l.snapshots, k)
	}
	sets := number()
	words := (len(l.snapshots) + 63) / 64
	for i := uint64(0); i < sets && b != nil; i++ {
		h := make(sharers, words)
		for w := range h {
			if p := take(8); p != nil {
				h[w] = binary.LittleEndian.Uint64(p)
			}
		}
		n := l.number(h)
		l.sizes[n] = Size{Bytes: number(), Inodes: number()}
		if uint64(n) != i {
			return errLedger
		}
	}
	if b == nil || len(b) > 0 || uint64(len(l.snapshots)) != count {
		return errLedger
	}
	return nil
}

// next reads the next record. At the end it proves the hash of the whole file.
func (l *ledgerReader) next(a *account) (ok bool, err error) {
	if _, err := l.in.Peek(1); err == io.EOF {
		return false, l.finish()
	}
	number := func() (v uint64) {
		if err == nil {
			v, err = binary.ReadUvarint(l.in)
		}
		return v
	}
	if step := number(); step > 0 {
		l.last.era += uint32(step)
		l.last.number = 0
	}
	l.last.number += number()
	*a = account{inode: l.last, blocks: number(), names: number(), set: uint32(number())}
	if err == nil && int(a.set) >= len(l.sets) {
		err = errLedger
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = errLedger
	}
	return err == nil, err
}

func (l *ledgerReader) finish() error {
	if _, err := l.hash.Write(l.table); err != nil { // with the offset after it
		return err
	}
	if [32]byte(l.hash.Sum(nil)) != l.sum {
		return errLedger
	}
	return nil
}

// proveUnchanged reads the rest of the records, and so finds damage.
func (l *ledgerReader) proveUnchanged() error {
	if _, err := io.Copy(io.Discard, l.in); err != nil {
		return err
	}
	return l.finish()
}

func (l *ledgerReader) close() error { return l.f.Close() }

// ledgerWriter writes a ledger. Without a file, or when the file cannot be written, it only counts.
type ledgerWriter struct {
	file *atomicfile.File
	to   giveUp // the file
	out  *bufio.Writer
	hash *blake3.Hasher
	at   uint64
	buf  []byte
	last inode
	setTable
}

// giveUp is a writer that never fails: after the first error it writes nothing more.
type giveUp struct {
	to  io.Writer
	err error
}

func (g *giveUp) Write(b []byte) (int, error) {
	if g.err == nil {
		_, g.err = g.to.Write(b)
	}
	return len(b), nil
}

func newLedgerWriter(path string) (*ledgerWriter, error) {
	w := &ledgerWriter{hash: blake3.New(), to: giveUp{to: io.Discard}}
	if path != "" {
		var err error
		if w.file, err = atomicfile.Create(path, 0o600); err != nil {
			return nil, err
		}
		w.to.to = w.file.File
	}
	w.out = bufio.NewWriterSize(io.MultiWriter(&w.to, w.hash), 1<<18)
	return w, w.write([]byte(ledgerMagic))
}

func (w *ledgerWriter) write(b []byte) error {
	w.at += uint64(len(b))
	_, err := w.out.Write(b)
	return err
}

func (w *ledgerWriter) add(a *account) error {
	size := &w.sizes[a.set]
	size.Bytes += a.blocks * blockSize
	size.Inodes++
	if w.file == nil {
		return nil
	}
	b := binary.AppendUvarint(w.buf[:0], uint64(a.era-w.last.era))
	if a.era != w.last.era {
		w.last = inode{era: a.era}
	}
	b = binary.AppendUvarint(b, a.number-w.last.number)
	b = binary.AppendUvarint(b, a.blocks)
	b = binary.AppendUvarint(b, a.names)
	b = binary.AppendUvarint(b, uint64(a.set))
	w.last, w.buf = a.inode, b
	return w.write(b)
}

// finish writes the table and moves the file to its path.
func (w *ledgerWriter) finish(snapshots []known) error {
	if w.file == nil {
		return nil
	}
	offset := w.at
	b := binary.AppendUvarint(nil, uint64(len(snapshots)))
	for i := range snapshots {
		k := &snapshots[i]
		b = append(binary.AppendUvarint(b, uint64(len(k.name))), k.name...)
		b = append(b, k.hash[:]...)
		b = binary.AppendUvarint(b, uint64(k.era))
	}
	b = binary.AppendUvarint(b, uint64(len(w.sets)))
	for i, h := range w.sets {
		for _, word := range h {
			b = binary.LittleEndian.AppendUint64(b, word)
		}
		b = binary.AppendUvarint(b, w.sizes[i].Bytes)
		b = binary.AppendUvarint(b, w.sizes[i].Inodes)
	}
	b = binary.LittleEndian.AppendUint64(b, offset)
	if err := errors.Join(w.write(b), w.out.Flush(), w.to.err); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	if _, err := w.file.Write(w.hash.Sum(nil)); err != nil {
		return err
	}
	if err := w.file.Commit(); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	return nil
}

func (w *ledgerWriter) close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Cleanup()
}
