// Package pax writes tar archives in the POSIX pax interchange format (IEEE Std 1003.1, pax), in the form that GNU tar
// and libarchive's bsdtar read alike.
//
// A member is a ustar header, with an extended header before it for all values that do not fit. Beyond POSIX it uses
// extensions that both programs know: SCHILY.xattr.* for extended attributes, SCHILY.acl.* for POSIX ACLs as text with
// numeric ids, and the PAX sparse format 1.0 of GNU tar (its manual, appendix "Sparse Formats") for files with holes.
// The same members give the same bytes.
//
// The package does not check that a member's name or target leads to a sensible place; it can be any bytes but NUL. It
// reads no files, and does not know archives of snapcopy.
package pax

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"snapcopy/internal/fsat"
)

// ErrNoPlace reports a member that the format cannot express. The writer wrote nothing of it.
var ErrNoPlace = errors.New("a tar archive has no place for it")

// ErrHeaderSize is the ErrNoPlace of a member whose extended header would be larger than bsdtar accepts. Extended
// attributes usually take most of such a header.
var ErrHeaderSize = fmt.Errorf("%w: names and extended attributes take more than 1 MiB", ErrNoPlace)

// Kind is the type of a member, by its number in the header.
type Kind byte

// The types of members.
const (
	File        Kind = '0'
	HardLink    Kind = '1'
	Symlink     Kind = '2'
	CharDevice  Kind = '3'
	BlockDevice Kind = '4'
	Folder      Kind = '5'
	Fifo        Kind = '6'
)

// Header describes a member without its content.
type Header struct {
	Kind     Kind
	Name     string // elements joined by '/', none at the end
	Target   string // Symlink: where it points; HardLink: Name of an earlier member, which has the content
	Mode     uint32 // permission, setuid, setgid and sticky bits (07777)
	UID, GID uint32
	Mtime    fsat.Time
	Major    uint32 // CharDevice, BlockDevice
	Minor    uint32
	Xattrs   []fsat.Xattr // POSIX ACLs among them, as the kernel gives them

	Size   int64        // File
	Sparse bool         // File: only the ranges in Data are written; the rest is a hole
	Data   []fsat.Range // File, if Sparse: in ascending order, none empty, none beyond Size
}

// contentSize returns the number of bytes of content to be written.
func (h *Header) contentSize() int64 {
	if !h.Sparse {
		return h.Size
	}
	var n int64
	for _, r := range h.Data {
		n += r.End - r.Start
	}
	return n
}

const blockSize = 512

var zeros [blockSize]byte

// Writer writes an archive. After an error of the stream it writes nothing more, and every call returns that error.
type Writer struct {
	w       io.Writer
	written int64
	left    int64 // bytes of the member's content still to be written
	pad     int64 // zeros after it
	err     error
	buf     bytes.Buffer
}

// NewWriter returns a Writer on w. It writes many small pieces, so w should be buffered.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Written returns the length of the archive so far.
func (w *Writer) Written() int64 { return w.written }

// Begin begins a member. A File's content must follow by Write: all of it, or all ranges in Data. An error that wraps
// ErrNoPlace leaves the archive unchanged.
func (w *Writer) Begin(h *Header) error {
	if err := w.endMember(); err != nil {
		return err
	}
	w.buf.Reset()
	if err := encode(&w.buf, h); err != nil {
		return err
	}
	if err := w.put(w.buf.Bytes()); err != nil {
		return err
	}
	if h.Kind == File {
		w.left = h.contentSize()
		w.pad = -w.left & (blockSize - 1)
	}
	return nil
}

var errTooMuch = errors.New("write too much content of a member")

// Write writes content of the current member.
func (w *Writer) Write(p []byte) (int, error) {
	if int64(len(p)) > w.left {
		return 0, errTooMuch
	}
	if err := w.put(p); err != nil {
		return 0, err
	}
	w.left -= int64(len(p))
	return len(p), nil
}

// Close ends the archive. It does not close the stream.
func (w *Writer) Close() error {
	if err := w.endMember(); err != nil {
		return err
	}
	return errors.Join(w.put(zeros[:]), w.put(zeros[:]))
}

// notice is the text at the end of an incomplete archive, for people who look at its bytes.
const notice = "this archive is not complete: its writer ended early"

// Abort ends an archive so that no program takes it for a complete one: within a member, or after an extended header
// whose member is missing. No program notices a plain end between two members, and bsdtar skips anything that is not a
// header.
func (w *Writer) Abort() error {
	if w.err != nil || w.left > 0 {
		return w.err
	}
	if err := w.endMember(); err != nil {
		return err
	}
	w.buf.Reset()
	u := ustar{kind: 'x', mode: 0o644, size: blockSize, name: notice}
	u.appendTo(&w.buf)
	return w.put(w.buf.Bytes())
}

var errIncomplete = errors.New("content of a member is incomplete")

func (w *Writer) endMember() error {
	if w.left > 0 {
		return errIncomplete
	}
	pad := w.pad
	w.pad = 0
	return w.put(zeros[:pad])
}

func (w *Writer) put(p []byte) error {
	if w.err != nil || len(p) == 0 {
		return w.err
	}
	n, err := w.w.Write(p)
	w.written += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	w.err = err
	return err
}
