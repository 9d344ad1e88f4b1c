package archive

// Needs is what a snapshot is expected to take of its file system, and what is free there.
type Needs struct {
	NeedsBytes  uint64 `json:"needs_bytes"`
	NeedsInodes uint64 `json:"needs_inodes"`
	FreeBytes   uint64 `json:"free_bytes"`
	// FreeInodes is nil if the file system does not limit them.
	FreeInodes *uint64 `json:"free_inodes,omitempty"`
}

// Lacks reports whether the snapshot does not fit.
func (n *Needs) Lacks() bool { return n != nil && (n.LacksBytes() || n.LacksInodes()) }

// LacksBytes reports whether too few bytes are free.
func (n *Needs) LacksBytes() bool { return n.NeedsBytes > n.FreeBytes }

// LacksInodes reports whether too few inodes are free.
func (n *Needs) LacksInodes() bool { return n.FreeInodes != nil && n.NeedsInodes > *n.FreeInodes }
