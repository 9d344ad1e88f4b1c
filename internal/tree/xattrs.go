package tree

import "snapcopy/index"

// XattrCache reads sets of extended attributes from a catalog and keeps the last one: neighbouring entries often have
// the same set. The zero value is empty; a cache is for one goroutine.
type XattrCache struct {
	ref index.XattrRef
	set []index.Xattr
}

// Get returns a set, nil for none.
func (c *XattrCache) Get(from *index.Catalog, ref index.XattrRef) ([]index.Xattr, error) {
	if ref == 0 {
		return nil, nil
	}
	if ref != c.ref {
		set, err := from.Xattrs(ref)
		if err != nil {
			return nil, CatalogError(err)
		}
		c.ref, c.set = ref, set
	}
	return c.set, nil
}
