package archive

import "snapcopy/internal/verified"

const (
	verifiedFile = "verified"
	damagedFile  = "damaged.json"
)

// Verified returns the place of the dates at which stored files were last read and found sound, and of the note of
// damage. It needs no lock of the archive, but can be written to only where CanRemember returns nil.
func (a *Archive) Verified() *verified.Store {
	return &verified.Store{Path: a.Meta.Path(verifiedFile), DamagePath: a.Meta.Path(damagedFile), Anchor: a.Anchor}
}

// CanRemember returns an error if nothing may be written to the archive, because it lies in a snapshot of another one.
func (a *Archive) CanRemember() error { return OutsideOthers(a.Path) }
