package index

import (
	"fmt"
	"slices"
	"strings"
)

// appendXattrs encodes a set that is not empty, in the order of the names.
func appendXattrs(b []byte, set []Xattr) ([]byte, error) {
	byName := func(x, y Xattr) int { return strings.Compare(x.Name, y.Name) }
	if !slices.IsSortedFunc(set, byName) {
		set = slices.SortedFunc(slices.Values(set), byName)
	}
	b = appendUvarint(b, uint64(len(set)))
	last := ""
	for i := range set {
		x := &set[i]
		if err := checkXattrName(last, x.Name); err != nil {
			return nil, err
		}
		last = x.Name
		b = appendString(b, x.Name)
		b = appendUvarint(b, uint64(len(x.Value)))
		b = append(b, x.Value...)
	}
	return b, nil
}

// decodeXattrs returns the set; names and values are views of b.
func decodeXattrs(b []byte) ([]Xattr, error) {
	d := decoder{b: b}
	count := d.uvarint()
	if count == 0 {
		d.fail(errZero)
	}
	if count > uint64(len(b)/3) {
		d.fail(errShort)
	}
	if d.err != nil {
		return nil, d.err
	}
	set := make([]Xattr, 0, count)
	last := ""
	for range count {
		x := Xattr{Name: d.string()}
		x.Value = d.take(d.uvarint())
		if d.err != nil {
			return nil, d.err
		}
		if err := checkXattrName(last, x.Name); err != nil {
			return nil, err
		}
		last = x.Name
		set = append(set, x)
	}
	return set, d.end()
}

func checkXattrName(last, name string) error {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return fmt.Errorf("extended attribute %q: %w", name, errName)
	}
	if name <= last {
		return fmt.Errorf("extended attribute %q: %w", name, errOrder)
	}
	return nil
}
