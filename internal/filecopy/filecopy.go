// Package filecopy copies the content of one open file into another and hashes it on the way: each byte is read once,
// and holes stay holes.
//
// The hash is BLAKE3-256 of the whole content, in which a hole counts as zeros, as every other program sees it. Only
// the hash of a file with gigabytes of nothing but zeros leaves them out and differs (docs/format.md has the rule).
//
// The package reads and writes by handles and changes no metadata. Whether a file changed while it was read is for the
// caller to find out.
package filecopy

import (
	"context"
	"errors"
	"io"

	"snapcopy/internal/fsat"
)

// NoFile in place of the destination makes Copy only hash.
const NoFile = -1

// A WriteError is a failure of the destination; all other errors are failures of the source.
type WriteError struct{ Err error }

func (e *WriteError) Error() string { return e.Err.Error() }
func (e *WriteError) Unwrap() error { return e.Err }

// Copier copies one file at a time. Its buffer may be shared with its owner between calls.
type Copier struct {
	Buf []byte
	// Tick, if set, is called after each piece of content is read.
	Tick func(bytes int)
	// Exact says that src ends at the expected size, so that Copy need not probe for more.
	Exact bool
	// Out, if set, receives the content as well, without holes if Copy looks for them.
	Out io.Writer
	// Data is the number of bytes of the last file that were data and not holes.
	Data int64
	// ZeroHash reports that the last hash leaves out segments of zeros.
	ZeroHash bool
	hash     contentHash

	// Team, if set, lets several threads hash a large file without holes, if Copy only hashes.
	Team *Team

	// Marks, if set, lets a copy be continued by another Copier. See Marks.
	Marks *Marks
}

// Copy copies src to dst, an empty file, and returns the number of bytes in src and their hash. size is the expected
// size of src; Copy reads to the end of the file in any case. sparse makes Copy look for holes. With Marks, dst may have
// the beginning of the content already.
func (c *Copier) Copy(ctx context.Context, dst, src int, size int64, sparse bool) (n int64, hash [32]byte, err error) {
	c.hash.reset(segmentSize)
	c.Data = 0
	c.Team.enter()
	defer c.Team.leave()
	end := int64(-1)
	if c.Exact {
		end = size
	}
	if dst == NoFile && c.Out == nil && !sparse && c.Team.isFor(size) {
		return c.hashJointly(ctx, src, end)
	}
	if dst != NoFile && c.Marks != nil {
		if n, err = c.takeOver(ctx, dst); err != nil {
			return n, hash, err
		}
		defer func() {
			var full *WriteError // the caller may need the space that the rest takes
			if err != nil && !errors.As(err, &full) {
				err = errors.Join(err, c.mark(n))
			}
		}()
	}
	if sparse {
		n, err = c.copySparse(ctx, dst, src, n, size)
	}
	if err == nil {
		n, err = c.copyRange(ctx, dst, src, n, end)
	}
	hash, c.ZeroHash = c.hash.sum()
	return n, hash, err
}

// copySparse copies the first size bytes, from offset at on, piece by piece of data, and stops at the end of the file if
// that comes first.
func (c *Copier) copySparse(ctx context.Context, dst, src int, at, size int64) (int64, error) {
	if dst != NoFile { // writing beyond the end would make XFS set space aside, which the holes would keep
		if err := fsat.Truncate(dst, size); err != nil {
			return at, &WriteError{err}
		}
	}
	for at < size {
		start, end, ok, err := fsat.NextData(src, at, size)
		if err != nil {
			return at, err
		}
		if !ok { // a hole to the end, which may have moved closer
			var st fsat.Stat
			if err := fsat.StatHandle(src, &st); err != nil {
				return at, err
			}
			start = max(at, min(size, st.Size))
			end = start
		}
		if err := c.hash.writeZeros(ctx, start-at); err != nil {
			return at, err
		}
		if at, err = c.copyRange(ctx, dst, src, start, end); err != nil {
			return at, err
		}
		if !ok || at < end { // shorter than expected
			break
		}
	}
	if dst == NoFile {
		return at, nil
	}
	if err := fsat.Truncate(dst, at); err != nil {
		return at, &WriteError{err}
	}
	return at, nil
}

// copyRange copies from offset at to end, or to the end of the file if that comes first or end is negative. It returns
// the offset reached.
func (c *Copier) copyRange(ctx context.Context, dst, src int, at, end int64) (int64, error) {
	for end < 0 || at < end {
		if err := ctx.Err(); err != nil {
			return at, context.Cause(ctx)
		}
		buf := c.Buf
		if end >= 0 && end-at < int64(len(buf)) {
			buf = buf[:end-at]
		}
		n, err := fsat.ReadSome(src, buf, at)
		if err != nil || n == 0 {
			return at, err
		}
		if err := c.put(dst, buf[:n], at); err != nil {
			return at, err
		}
		at += int64(n)
		c.Data += int64(n)
		if c.Tick != nil {
			c.Tick(n)
		}
		if dst != NoFile && c.Marks.isDue(at) {
			if err := c.mark(at); err != nil {
				return at, err
			}
		}
	}
	return at, nil
}

// put writes what was read at an offset to the copy and to Out, and hashes it.
func (c *Copier) put(dst int, b []byte, at int64) error {
	if dst != NoFile {
		if err := fsat.Write(dst, b, at); err != nil {
			return &WriteError{err}
		}
	}
	c.hash.write(b)
	if c.Out != nil {
		if _, err := c.Out.Write(b); err != nil {
			return &WriteError{err}
		}
	}
	return nil
}

// BufferSize is a good size of a buffer for content. Measured with cached files, reads of 1 MiB and hashing take 8 % less
// time than with 128 KiB where the file system caches in large folios, as ext4 and XFS do, and 1 % less on tmpfs.
const BufferSize = 1 << 20
