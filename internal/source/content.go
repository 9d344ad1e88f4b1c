package source

import (
	"context"

	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
)

// contentFile is a regular file of this machine: the part that all kinds of File with local contents share.
type contentFile struct {
	fd   int
	self fsat.Stat // as last described
}

func (f *contentFile) Close() error { return fsat.Close(f.fd) }

// DropCache makes the next read one from the disk, if the system does as it is asked.
func (f *contentFile) DropCache() error { return fsat.DropCache(f.fd) }

func (f *contentFile) HasHoles(size int64) bool { return fsat.HasHoles(f.fd, size) }

// Read probes for the end of the file only if the first read returns another size than expected: the Stat that follows
// would show a longer file.
func (f *contentFile) Read(buf []byte, size int64) (int, error) {
	n, err := fsat.ReadSome(f.fd, buf, 0)
	if err != nil || int64(n) == size {
		return n, err
	}
	rest, err := fsat.Read(f.fd, buf[n:], int64(n))
	return n + rest, err
}

func (f *contentFile) CopyTo(ctx context.Context, c *filecopy.Copier, dst int, size int64, sparse bool) (int64, [32]byte, error) {
	return c.Copy(ctx, dst, f.fd, size, sparse)
}

func (f *contentFile) CloneTo(dst int, dev uint64) bool {
	return f.self.Dev == dev && fsat.Clone(dst, f.fd) == nil
}

func (f *contentFile) SameHoles(stored int, st *fsat.Stat) (bool, error) {
	return filecopy.SameHoles(f.fd, stored, st.Size, max(st.BlockLen, f.self.BlockLen))
}

func (f *contentFile) KeepPreallocated(dst int, data int64, reflink bool) (int64, bool) {
	return filecopy.KeepPreallocated(dst, f.fd, &f.self, data, reflink)
}
