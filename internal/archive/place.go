package archive

import "snapcopy/internal/fsat"

// Place is where a source is: see fsat.Place.
type Place struct {
	Kind       string `json:"file_system"`
	Type       uint64 `json:"type"`
	ID         string `json:"id,omitempty"`
	Inode      uint64 `json:"inode"`
	MountPoint bool   `json:"mount_point"`
}

// NewPlace returns the record of a place.
func NewPlace(p fsat.Place) *Place {
	return &Place{Kind: p.Kind, Type: p.Type, ID: p.ID, Inode: p.Inode, MountPoint: p.MountPoint}
}

// PlaceChange is the place of a source, and that in the base line; nil: not known.
type PlaceChange struct{ Was, Is *Place }

func (s *Standing) placeChange() PlaceChange { return PlaceChange{s.PlaceWas, s.Place} }

// Tripwires compares the two places. A source that was a mount point is suspect if nothing is mounted there now, unless
// it is the same folder of the same file system: a sandbox mounts a folder over itself. Otherwise the types of the file
// systems have to be equal, and, as far as they are known, the identities.
func (c PlaceChange) Tripwires() []Tripwire {
	was, is := c.Was, c.Is
	if was == nil || is == nil {
		return nil
	}
	isOther := was.Type != is.Type || was.ID != is.ID && was.ID != "" && is.ID != ""
	isSame := was.Type == is.Type && was.ID == is.ID && is.ID != "" && was.Inode == is.Inode
	switch {
	case was.MountPoint && !is.MountPoint && !isSame:
		return []Tripwire{NotMounted}
	case isOther:
		return []Tripwire{OtherDevice}
	}
	return nil
}
