package snapshot

import (
	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/mirror"
	"snapcopy/internal/tree"
)

// abilities are the abilities of a run: those of the archive's file system, and those that follow from its privileges and
// from the catalogs of the archive.
type abilities struct {
	archive.Capabilities
	asRoot bool
	newOn  uint64 // number of the file system on which a dry run would make an archive that may share blocks; 0: none
	// gainedRights says that this run can set owners and modes, and the previous one could not.
	gainedRights bool
	restat       bool // the previous catalog has inode numbers of another file system
}

// standsFor reports whether a stored file with entry a can serve as e, too, if the contents are equal.
func (c *abilities) standsFor(a, e *index.Entry) bool {
	return tree.Diff(a, e)&tree.StandsFor == 0 && a.Flags&index.NotStored == 0 && !c.couldSetMore(a)
}

// couldSetMore reports whether a stored file lacks metadata that this run could set on a new one: its privileges are
// different, or only a passing error was in the way.
func (c *abilities) couldSetMore(a *index.Entry) bool {
	return c.gainedRights && lacksRights(a) || a.Flags&mirror.LacksForNow == mirror.LacksForNow && (c.Xattrs || c.ACLs)
}

func lacksRights(a *index.Entry) bool {
	return a.Flags&(index.OwnerCatalogOnly|index.ModeCatalogOnly) != 0
}

// untouched reports whether the stat data of a stored file agree with its entry.
func (c *abilities) untouched(e *index.Entry, st *fsat.Stat) bool {
	differ := tree.DiffStored(e, st)
	if c.restat { // in a copied archive each stored file has another number
		differ &^= tree.Stored
	}
	return differ == 0
}

// largeGroup is the number of names from which roomFor checks the link limit.
const largeGroup = 64

// roomFor reports whether a stored file can take all names of a link group, so that the file system's link limit does
// not tear the group in two. A group too large for any inode goes wherever there is room: see linkPart.
func (c *abilities) roomFor(names uint32, stored *fsat.Stat) bool {
	limit := c.LinkLimit
	return limit == 0 || names > limit || uint64(stored.Nlink)+uint64(names) <= uint64(limit)
}
