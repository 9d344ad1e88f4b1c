package tree

import (
	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// Describe fills in everything of an entry that stat tells of its inode. It leaves the name, what only reading tells
// (content hash, extended attributes, the target of a symbolic link), the number of the file system, and all that says
// where an archive has the entry.
//
// Of the file attributes stat tells only some; see KnownAttrs for those of a file that was opened.
func Describe(e *index.Entry, st *fsat.Stat) {
	e.Type, e.Mode, e.UID, e.GID = TypeOf(st.Type), st.Mode, st.UID, st.GID
	e.Mtime, e.Ctime, e.Ino = st.Mtime, st.Ctime, st.Ino
	e.Attrs = KnownAttrs(st.Attrs)
	e.Nlink = 0
	if e.Type != index.Dir { // the count of a directory says nothing
		e.Nlink = st.Nlink
	}
	if e.Type == index.File {
		e.Size = uint64(st.Size)
	}
	if IsDevice(e.Type) {
		e.Major, e.Minor = st.Major, st.Minor
	}
}

// KnownAttrs gives those of the file attributes that a catalog keeps: the others only say how a file system stores a file.
func KnownAttrs(attrs uint32) index.Attrs { return index.Attrs(attrs) & index.KnownAttrs }
