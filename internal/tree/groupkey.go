package tree

import (
	"hash/maphash"

	"snapcopy/index"
)

// GroupKey identifies an inode of the source, in one state of it: a file that changed while the snapshot was taken may
// be stored in a different state under each name. The key is small because there can be many.
type GroupKey struct {
	dev   uint32
	ino   uint64
	state uint64 // hash of an inodeState
}

// inodeState is the part of an entry that one inode can have only once.
type inodeState struct {
	kind     index.Type
	mode     uint32
	uid, gid uint32
	mtime    index.Time
	size     uint64
	content  index.Hash
	xattrs   index.Hash
}

var stateSeed = maphash.MakeSeed()

// GroupKeyOf returns the key of an entry with several names.
func GroupKeyOf(e *index.Entry) GroupKey {
	state := inodeState{e.Type, e.Mode, e.UID, e.GID, e.Mtime, e.Size, e.Hash, e.XattrHash}
	return GroupKey{e.Dev, e.Ino, maphash.Comparable(stateSeed, state)}
}

// ContentBytes returns the number of bytes of an entry's content.
func ContentBytes(e *index.Entry) uint64 {
	if e.Type == index.File {
		return e.Size
	}
	return 0
}
