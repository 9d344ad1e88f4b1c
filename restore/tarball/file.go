package tarball

import (
	"errors"
	"fmt"
	"io"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
	"snapcopy/internal/pax"
	"snapcopy/internal/tree"
)

// errUnsteady ends the archive: it contains the beginning of the content already.
var errUnsteady = errors.New("its content was right at first, and differed when it was read again")

// kinds are the types of entries that need no content. Tar has no member for sockets.
var kinds = map[index.Type]pax.Kind{
	index.Symlink: pax.Symlink, index.Fifo: pax.Fifo, index.CharDevice: pax.CharDevice,
	index.BlockDevice: pax.BlockDevice,
}

// make writes an entry with its content and metadata.
func (t *run) make(d *dir, e *index.Entry) error {
	if e.Type == index.File {
		return t.file(d, e)
	}
	kind, ok := kinds[e.Type]
	if !ok {
		return fmt.Errorf("%w: %s", ErrNotInTar, e.Type)
	}
	return t.begin(d.member(e.Name), e, &pax.Header{Kind: kind, Target: e.Target, Major: e.Major, Minor: e.Minor})
}

// maxRanges bounds the memory for the ranges of one file: 16 bytes each.
const maxRanges = 1 << 20

// file writes a regular file. It writes the header only when the content is known to have the catalog's hash.
func (t *run) file(d *dir, e *index.Entry) (err error) {
	src, st, err := tree.OpenStored(d.FD(stored), d.Lost(stored), e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(src)) }()
	h := &pax.Header{Kind: pax.File, Size: st.Size}
	h.Data, h.Sparse = []fsat.Range{{Start: 0, End: st.Size}}, fsat.HasHoles(src, st.Size)
	exact := true
	if h.Sparse {
		if h.Data, exact, err = filecopy.DataRanges(src, st.Size, maxRanges); err != nil {
			return tree.StoredError(fmt.Errorf("find holes: %w", err))
		}
	}
	var data int64
	for _, r := range h.Data {
		data += r.End - r.Start
	}
	if data <= filecopy.BufferSize {
		err = t.fileAtOnce(d, e, h, src)
	} else {
		err = t.fileTwice(d, e, h, src)
	}
	if err == nil {
		t.report.BytesContent += uint64(data)
		if !exact {
			t.report.HolesCatalogOnly++
		}
	}
	return err
}

// fileAtOnce writes a file that fits in memory.
func (t *run) fileAtOnce(d *dir, e *index.Entry, h *pax.Header, src int) error {
	t.small.Reset()
	t.copier.Tick = t.tick
	if err := t.read(&t.small, e, h, src); err != nil {
		return err
	}
	if err := t.begin(d.member(e.Name), e, h); err != nil {
		return err
	}
	_, err := t.out.Write(t.small.Bytes())
	return written(err)
}

// fileTwice reads a file once to check its hash and a second time to write it. The second read is hashed again: a disk
// may return other bytes.
func (t *run) fileTwice(d *dir, e *index.Entry, h *pax.Header, src int) error {
	t.copier.Tick = nil
	if err := t.read(io.Discard, e, h, src); err != nil {
		return err
	}
	if err := t.begin(d.member(e.Name), e, h); err != nil {
		return err
	}
	if t.opt.Fault != nil {
		if err := t.opt.Fault("read again"); err != nil {
			return fmt.Errorf("%w: %w", errUnsteady, err)
		}
	}
	t.copier.Tick = t.tick
	err := t.read(t.out, e, h, src)
	var write *filecopy.WriteError
	if err != nil && !errors.As(err, &write) {
		return fmt.Errorf("%w: %w", errUnsteady, err)
	}
	return err
}

func (t *run) tick(n int) { t.opt.Progress.Bytes.Add(uint64(n)) }

// read writes the content to to, the last piece only if the whole has the catalog's hash.
func (t *run) read(to io.Writer, e *index.Entry, h *pax.Header, src int) error {
	err := t.copier.Send(t.ctx, to, src, h.Size, h.Data, e.Hash)
	var write *filecopy.WriteError
	switch {
	case err == nil || errors.As(err, &write):
		return err
	case errors.Is(err, filecopy.ErrContent):
		return tree.ErrContent
	}
	return tree.StoredError(fmt.Errorf("read: %w", err))
}

// written marks an error of the output stream as a WriteError. A member that tar cannot express is no such error.
func written(err error) error {
	if err == nil || errors.Is(err, ErrNotInTar) {
		return err
	}
	return &filecopy.WriteError{Err: err}
}
