package verify

import (
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// compare compares the stat data of an entry with its record, except for the fields that the archive could not store.
func (v *verifier) compare(e *index.Entry, st *fsat.Stat) error {
	if wrong := tree.Differences(e, st); len(wrong) > 0 {
		return ofEntry.damagef("%s", strings.Join(wrong, "; "))
	}
	return nil
}

// groupKey identifies a link group, or, if the snapshot's folder does not have the group together, the part of it with
// one stored file. tree.Links does not fit: not each name of a part comes, nor each one of a group of which ForgetPath has
// removed some, and of a group a number is enough.
type groupKey struct {
	device uint32
	ino    uint64
	part   uint64
}

// compareLinks checks that names share a stored file exactly if they were hard links of one another in the source.
func (v *verifier) compareLinks(e *index.Entry, st *fsat.Stat) error {
	if e.Type != index.File && !e.Linked() {
		return nil // unchanged symbolic links and special files share inodes across snapshots only
	}
	if !e.Linked() {
		if !v.used.Claim(st.Ino) {
			return ofEntry.damagef("%w", tree.ErrShared)
		}
		return nil
	}
	key := groupKey{device: e.Dev, ino: e.Ino}
	// Names that were carried along may have another stored file than those that were read, or the same.
	whole, part := key, groupKey{e.Dev, e.Ino, st.Ino}
	if e.Flags&(index.LinksCatalogOnly|index.Kept) != 0 {
		key = part
	}
	v.lock.Lock()
	ino, seen := v.groups[key]
	common := v.groups[part] == st.Ino || v.groups[whole] == st.Ino
	if !seen {
		v.groups[key] = st.Ino
	}
	v.lock.Unlock()
	switch {
	case !seen && !v.used.Claim(st.Ino) && !common:
		return ofEntry.damagef("%w", tree.ErrShared)
	case seen && ino != st.Ino && v.archive.Info.Capabilities.HardLinks:
		return ofEntry.damagef("%w", tree.ErrParted)
	}
	return nil
}

// compareXattrs compares extended attributes with the catalog.
func (v *verifier) compareXattrs(e *index.Entry, read func() ([]fsat.Xattr, error)) error {
	if e.Flags&index.XattrsCatalogOnly != 0 {
		return nil
	}
	set, err := read()
	if err != nil {
		return ofEntry.lookFailed("read extended attributes", err)
	}
	have := set
	if index.HashXattrs(have) == e.XattrHash {
		return nil
	}
	want, err := v.catalog.Xattrs(e.Xattrs)
	if err != nil {
		return ofEntry.damagef("catalog: %w", err)
	}
	if wrong := tree.XattrDifference(have, want, v.root); wrong != "" {
		return ofEntry.damagef("%s", wrong)
	}
	return nil
}
