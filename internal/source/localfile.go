package source

import (
	"context"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/fsat"
)

// localFile is an open file of a Local source.
type localFile struct {
	contentFile
	of       *Local
	name     string
	unsynced bool // its file system could not be synced
}

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

func (f *localFile) Metadata() (m Metadata) {
	if m.Err = f.of.step("metadata", f.name); m.Err != nil {
		return m
	}
	return metadataOf(f.fd)
}

func (f *localFile) Read(buf []byte, size int64) (int, error) {
	if err := f.of.step("read", f.name); err != nil {
		return 0, err
	}
	return f.contentFile.Read(buf, size)
}

func (f *localFile) CopyTo(ctx context.Context, c *filecopy.Copier, dst int, size int64, sparse bool) (int64, [32]byte, error) {
	if err := f.of.step("read", f.name); err != nil {
		return 0, [32]byte{}, err
	}
	return f.contentFile.CopyTo(ctx, c, dst, size, sparse)
}
