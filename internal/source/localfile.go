package source

import (
	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// localFile is an open file of a Local source.
type localFile struct {
	contentFile
	of       *Local
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

func (f *localFile) Metadata() Metadata { return metadataOf(f.fd) }
