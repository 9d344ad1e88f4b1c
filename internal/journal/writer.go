package journal

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"time"
)

// Writer appends to a journal. Its methods may be called by several goroutines at once. After an error, every further
// call returns it.
type Writer struct {
	mu    sync.Mutex
	file  *os.File
	buf   []byte
	end   int64 // of the file, with buf
	worth uint64
	err   error

	since   uint64    // bytes of content recorded since the last checkpoint
	last    time.Time // of the last checkpoint
	Records uint64    // recorded by this Writer
}

// A record that is still in memory when the process is killed costs its file's content a second read. So the buffer is
// written when it is full, and when it stands for so much content.
const (
	flushBytes = 32 << 10
	flushWorth = 4 << 20
)

// Create begins a journal in a new file, and writes its header at once: without it, whoever finds the file cannot know
// whose it is.
func Create(file *os.File, h *Header) (*Writer, error) {
	w := &Writer{file: file, last: time.Now()}
	if err := w.frame(kindHeader, h.append); err != nil {
		return w, err
	}
	w.flush()
	return w, w.err
}

// frame adds a frame to the buffer.
func (w *Writer) frame(kind byte, put func([]byte) ([]byte, error)) error {
	before := len(w.buf)
	var err error
	if w.buf, err = appendFrame(w.buf, kind, put); err != nil {
		return err
	}
	w.end += int64(len(w.buf) - before)
	return nil
}

// Add records a stored file, and returns the position of the record.
func (w *Writer) Add(r *Record) (at int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	at = w.end
	if err := w.frame(r.kind(), r.append); err != nil {
		return 0, err
	}
	worth := r.New
	if r.Partial() {
		worth = flushWorth
	}
	w.worth += worth
	w.since += r.New
	w.Records++
	if len(w.buf) >= flushBytes || w.worth >= flushWorth {
		w.flush()
	}
	return at, w.err
}

// Due reports whether there is enough new work since the last checkpoint for another one.
func (w *Writer) Due(bytes uint64, after time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.since >= bytes || w.since > 0 && time.Since(w.last) >= after
}

// Position writes everything recorded so far to the file, and returns the file's end, for Checkpoint.
func (w *Writer) Position() (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since, w.last = 0, time.Now()
	w.flush()
	return w.end, w.err
}

// Checkpoint records durably that all stored files recorded before a position are on the disk.
func (w *Writer) Checkpoint(position int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.err = w.frame(kindCheckpoint, func(b []byte) ([]byte, error) {
		return binary.BigEndian.AppendUint64(b, uint64(position)), nil
	})
	w.flush()
	if w.err == nil {
		w.err = w.file.Sync()
	}
	return w.err
}

func (w *Writer) flush() {
	if w.err != nil || len(w.buf) == 0 {
		return
	}
	_, w.err = w.file.Write(w.buf)
	w.buf, w.worth = w.buf[:0], 0
}

// Sync writes everything recorded so far durably.
func (w *Writer) Sync() error {
	if _, err := w.Position(); err != nil {
		return err
	}
	return w.file.Sync()
}

// ErrClosed is the error of a Writer after Close.
var ErrClosed = errors.New("journal is closed")

// Close writes what is in memory, and closes the file. Further calls do nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(w.err, ErrClosed) {
		return nil
	}
	w.flush()
	err := errors.Join(w.err, w.file.Close())
	w.err = ErrClosed
	return err
}
