package outcome

import "snapcopy/internal/tree"

// CatalogOnlyCounts counts restored entries by the metadata that they lack, which only the catalog has.
type CatalogOnlyCounts struct {
	Owners uint64
	Modes  uint64 // including set-ID bits, which no entry gets without the owner they are for
	Times  uint64
	Xattrs uint64 // some of the entry's extended attributes or ACLs
	Links  uint64 // names restored as files of their own
	Attrs  uint64
	Space  uint64
}

// Count counts an entry that lacks some fields.
func (n *CatalogOnlyCounts) Count(f tree.Fields) {
	for _, c := range []struct {
		field tree.Fields
		count *uint64
	}{
		{tree.Owner, &n.Owners}, {tree.Mode, &n.Modes}, {tree.Mtime, &n.Times}, {tree.Xattrs, &n.Xattrs}, {tree.Attrs, &n.Attrs},
	} {
		if f&c.field != 0 {
			*c.count++
		}
	}
}

// Add adds the counts of m.
func (n *CatalogOnlyCounts) Add(m *CatalogOnlyCounts) {
	n.Owners += m.Owners
	n.Modes += m.Modes
	n.Times += m.Times
	n.Xattrs += m.Xattrs
	n.Links += m.Links
	n.Attrs += m.Attrs
	n.Space += m.Space
}
