package tree

import (
	"hash/maphash"

	"snapcopy/index"
)

// GroupKey names an inode of the source, in one state of it: a file that changed while the snapshot was taken may have
// been stored with a different state under each name. It is small because there can be many.
type GroupKey struct {
	dev   uint32
	ino   uint64
	state uint64 // hash of an inodeState
}

// inodeState is what an inode can have only one of.
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

// GroupKeyOf gives the key of an entry that has several names.
func GroupKeyOf(e *index.Entry) GroupKey {
	state := inodeState{e.Type, e.Mode, e.UID, e.GID, e.Mtime, e.Size, e.Hash, e.XattrHash}
	return GroupKey{e.Dev, e.Ino, maphash.Comparable(stateSeed, state)}
}

// ContentBytes is how many bytes of content an entry has.
func ContentBytes(e *index.Entry) uint64 {
	if e.Type == index.File {
		return e.Size
	}
	return 0
}
