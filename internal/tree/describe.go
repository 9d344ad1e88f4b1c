package tree

import (
	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// Describe sets the fields of an entry that stat data tell. It leaves the name, the fields that need a read (content
// hash, extended attributes, the target of a symbolic link), the number of the file system, and the place of the entry
// in an archive.
//
// Stat data tell only some of the file attributes; KnownAttrs returns those of an open file.
func Describe(e *index.Entry, st *fsat.Stat) {
	e.Type, e.Mode, e.UID, e.GID = TypeOf(st.Type), st.Mode, st.UID, st.GID
	e.Mtime, e.Ctime, e.Ino = st.Mtime, st.Ctime, st.Ino
	e.Attrs = KnownAttrs(st.Attrs)
	e.Nlink = 0
	if e.Type != index.Dir { // the count of a folder says nothing
		e.Nlink = st.Nlink
	}
	if e.Type == index.File {
		e.Size = uint64(st.Size)
	}
	if IsDevice(e.Type) {
		e.Major, e.Minor = st.Major, st.Minor
	}
}

// KnownAttrs returns the file attributes that a catalog records. The others only say how a file system stores a file.
func KnownAttrs(attrs uint32) index.Attrs { return index.Attrs(attrs) & index.RecordedAttrs }
