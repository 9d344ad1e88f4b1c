package instant

import (
	"strings"

	"snapcopy/index"
	"snapcopy/internal/overlay"
)

// merge is a folder of the mounted tree: the upper folder at the same place, and the folder of the snapshot that shows
// through.
type merge struct {
	at    *way
	lower bool   // something does
	low   *way   // which folder of the snapshot
	pos   uint64 // its record in the catalog; 0: it has none
}

// layers knows which folder of the snapshot shows through a folder of the tree.
type layers struct {
	catalog   *index.Catalog
	userXattr bool // the kernel's attributes are those of a user namespace
}

// child returns the layers of a folder in a merged one; upper is the open upper folder.
func (l layers) child(upper int, m merge, r *index.Record, name string) (merge, error) {
	c := merge{at: &way{m.at, name}}
	through, err := overlay.Below(upper, name, l.userXattr)
	if err != nil || through == "" {
		return c, err
	}
	if strings.HasPrefix(through, "/") {
		names := strings.Split(strings.Trim(through, "/"), "/")
		c.lower, c.low = true, wayOf(names)
		if l.catalog != nil {
			e, ok, err := l.catalog.Lookup(strings.Join(names, "/"))
			if err != nil {
				return c, err
			}
			if ok && e.Type == index.Dir {
				c.pos = e.Child
			}
		}
		return c, nil
	}
	if !m.lower {
		return c, nil
	}
	if through == "." {
		through = name
	}
	c.lower, c.low = true, &way{m.low, through}
	if r != nil {
		if e, ok := r.Find(through); ok && e.Type == index.Dir {
			c.pos = e.Child
		}
	}
	return c, nil
}
