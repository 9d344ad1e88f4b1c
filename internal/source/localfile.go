package source

import (
	"context"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
)

// localFile is an open file of a Local source.
type localFile struct {
	of       *Local
	fd       int
	self     fsat.Stat // as last described
	unsynced bool      // its file system could not be synced
}

func (f *localFile) Close() error { return fsat.Close(f.fd) }

func (f *localFile) Stat(st *Stat) error {
	if err := fsat.StatHandle(f.fd, &st.Stat); err != nil {
		return err
	}
	f.self = st.Stat
	if f.of.mark(st); f.unsynced {
		st.Flags |= index.Racy
	}
	return nil
}

func (f *localFile) Metadata() Metadata { return metadataOf(f.fd) }

func (f *localFile) HasHoles(size int64) bool { return fsat.HasHoles(f.fd, size) }

// Read asks for the end of the file only if the first call brings another size than expected: a Stat that follows would
// show that the file has grown.
func (f *localFile) Read(buf []byte, size int64) (int, error) {
	n, err := fsat.ReadSome(f.fd, buf, 0)
	if err != nil || int64(n) == size {
		return n, err
	}
	rest, err := fsat.Read(f.fd, buf[n:], int64(n))
	return n + rest, err
}

func (f *localFile) CopyTo(ctx context.Context, c *filecopy.Copier, dst int, size int64, sparse bool) (int64, [32]byte, error) {
	return c.Copy(ctx, dst, f.fd, size, sparse)
}

func (f *localFile) CloneTo(dst int, dev uint64) bool {
	return f.self.Dev == dev && fsat.Clone(dst, f.fd) == nil
}

func (f *localFile) SameHoles(stored int, st *fsat.Stat) (bool, error) {
	return filecopy.SameHoles(f.fd, stored, st.Size, max(st.BlockLen, f.self.BlockLen))
}

func (f *localFile) KeepPreallocated(dst int, data int64, reflink bool) (int64, bool) {
	return filecopy.KeepPreallocated(dst, f.fd, &f.self, data, reflink)
}
