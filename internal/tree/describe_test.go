package tree

import (
	"testing"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

func TestDescribe(t *testing.T) {
	st := fsat.Stat{Mode: 0o4755, UID: 1, GID: 2, Nlink: 3, Dev: 4, Ino: 5, Size: 6, Major: 7, Minor: 8,
		Mtime: fsat.Time{Sec: 9, Nsec: 10}, Ctime: fsat.Time{Sec: 11}, Attrs: 0x10 | 0x80000000}
	base := index.Entry{Name: "kept", Mode: 0o4755, UID: 1, GID: 2, Ino: 5, Mtime: st.Mtime, Ctime: st.Ctime, Attrs: 0x10,
		Nlink: 3, Flags: index.Racy, Target: "kept"}
	for kind, edit := range map[uint32]func(*index.Entry){
		fsat.Regular:    func(e *index.Entry) { e.Type, e.Size = index.File, 6 },
		fsat.Directory:  func(e *index.Entry) { e.Type, e.Nlink = index.Dir, 0 },
		fsat.Symlink:    func(e *index.Entry) { e.Type = index.Symlink },
		fsat.CharDevice: func(e *index.Entry) { e.Type, e.Major, e.Minor = index.CharDevice, 7, 8 },
		fsat.Fifo:       func(e *index.Entry) { e.Type = index.Fifo },
	} {
		st.Type = kind
		want, got := base, index.Entry{Name: "kept", Flags: index.Racy, Target: "kept"}
		edit(&want)
		if Describe(&got, &st); got != want {
			t.Errorf("%s: %+v, want %+v", want.Type, got, want)
		}
	}
}
