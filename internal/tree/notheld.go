package tree

// NotHeld counts restored entries by what they lack.
type NotHeld struct {
	Owners uint64
	Modes  uint64 // among them set-ID bits, which nobody gets without the owner they are for
	Times  uint64
	Xattrs uint64 // some of the entry's extended attributes or ACLs
	Links  uint64 // names restored as files of their own
	Attrs  uint64
	Space  uint64
}

// Count counts an entry that does not hold some fields.
func (n *NotHeld) Count(f Fields) {
	for _, c := range []struct {
		field Fields
		count *uint64
	}{
		{Owner, &n.Owners}, {Mode, &n.Modes}, {Mtime, &n.Times}, {Xattrs, &n.Xattrs}, {Attrs, &n.Attrs},
	} {
		if f&c.field != 0 {
			*c.count++
		}
	}
}

// Add adds what another one has counted.
func (n *NotHeld) Add(m *NotHeld) {
	n.Owners += m.Owners
	n.Modes += m.Modes
	n.Times += m.Times
	n.Xattrs += m.Xattrs
	n.Links += m.Links
	n.Attrs += m.Attrs
	n.Space += m.Space
}
