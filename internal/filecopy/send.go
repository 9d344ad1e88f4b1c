package filecopy

import (
	"context"
	"errors"
	"io"

	"snapcopy/internal/fsat"
)

// ErrContent reports content whose hash differs from the expected one.
var ErrContent = errors.New("content does not have the expected hash")

// Send writes the given ranges of src, a file of size bytes, to w, one after the other; the gaps between them count as
// zeros. The last piece is written only after the whole content has proved to have the hash want: after ErrContent, w
// has less than all ranges. Tick is called after each piece is read.
func (c *Copier) Send(ctx context.Context, w io.Writer, src int, size int64, ranges []fsat.Range, want [32]byte) error {
	c.hash.reset(segmentSize)
	half := len(c.Buf) / 2
	free, full := c.Buf[:half:half], c.Buf[half:half:2*half]
	var at int64
	for _, r := range ranges {
		if err := c.hash.writeZeros(ctx, r.Start-at); err != nil {
			return err
		}
		for at = r.Start; at < r.End; {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			n, err := fsat.ReadSome(src, free[:min(int64(len(free)), r.End-at)], at)
			if err != nil {
				return err
			}
			if n == 0 {
				return io.ErrUnexpectedEOF
			}
			c.hash.write(free[:n])
			if _, err := w.Write(full); err != nil {
				return &WriteError{err}
			}
			free, full = full[:cap(full)], free[:n]
			at += int64(n)
			if c.Tick != nil {
				c.Tick(n)
			}
		}
	}
	if err := c.hash.writeZeros(ctx, size-at); err != nil {
		return err
	}
	var got [32]byte
	if got, c.ZeroHash = c.hash.sum(); got != want {
		return ErrContent
	}
	if _, err := w.Write(full); err != nil {
		return &WriteError{err}
	}
	return nil
}

// DataRanges returns the ranges of data in the first size bytes of a file. If there are more than most, DataRanges
// counts the smallest holes as data, and exact is false.
func DataRanges(fd int, size int64, most int) (list []fsat.Range, exact bool, err error) {
	leastHole := int64(1)
	for at := int64(0); at < size; {
		start, end, ok, err := fsat.NextData(fd, at, size)
		if err != nil {
			return nil, false, err
		}
		if !ok {
			break
		}
		list = joinRange(list, fsat.Range{Start: start, End: end}, leastHole)
		for len(list) > most {
			leastHole *= 2
			kept := list[:0]
			for _, r := range list {
				kept = joinRange(kept, r, leastHole)
			}
			list = kept
		}
		at = end
	}
	return list, leastHole == 1, nil
}

// joinRange appends a range, or extends the last range if the hole between them is too small.
func joinRange(list []fsat.Range, r fsat.Range, leastHole int64) []fsat.Range {
	if n := len(list); n > 0 && r.Start-list[n-1].End < leastHole {
		list[n-1].End = r.End
		return list
	}
	return append(list, r)
}
