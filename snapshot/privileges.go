package snapshot

import (
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
)

// lacking returns the privileges that root lacks and would need for the metadata that the mirror does not have. The
// run sets no metadata on linked files: if the file system can store such metadata at all, privileges are to blame.
func (r *run) lacking(n *archive.CatalogOnly) fsat.Privileges {
	lacks := r.mirror.Lacks()
	if !r.caps.Symlinks || !r.caps.Modes {
		return lacks
	}
	if n.Owners > 0 && lacks&fsat.CapOverride == 0 {
		lacks |= fsat.Missing(fsat.CapChown)
	}
	if n.Entries > 0 && r.caps.Specials {
		lacks |= fsat.Missing(fsat.CapMknod)
	}
	if n.Modes+n.Times > 0 && n.Owners == 0 && r.caps.TimeResolution == 1 {
		lacks |= fsat.Missing(fsat.CapFowner)
	}
	const forXattrs = fsat.CapSysAdmin | fsat.CapSetfcap
	if n.Xattrs > 0 && r.caps.Xattrs && r.caps.ACLs && lacks&(forXattrs|fsat.CapFowner) == 0 {
		lacks |= fsat.Missing(forXattrs)
	}
	return lacks
}
