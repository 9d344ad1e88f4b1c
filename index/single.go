package index

// Version is the version of the formats of this package; a file that holds entries in this encoding records it.
const Version = catalogVersion

// AppendEntry appends one entry with its set of extended attributes, in the encoding of a catalog's record, to b. The
// reference to the set is not encoded: it belongs to one catalog. An entry that was carried along has no such encoding.
func AppendEntry(b []byte, e *Entry, set []Xattr) ([]byte, error) {
	if e.Flags&Kept != 0 {
		return nil, errKept
	}
	one := *e
	one.Xattrs, one.XattrHash = 0, Hash{}
	var attrs []byte
	if len(set) > 0 {
		var err error
		if attrs, err = appendXattrs(nil, set); err != nil {
			return nil, err
		}
		one.Xattrs, one.XattrHash = 1, hashOf(attrs)
	}
	if err := one.validate(false); err != nil {
		return nil, err
	}
	for _, part := range [][]byte{appendPublic(nil, &one), appendPrivate(nil, &one, nil), attrs} {
		b = append(appendUvarint(b, uint64(len(part))), part...)
	}
	return b, nil
}

// DecodeEntry decodes what AppendEntry has encoded, from the front of b, and returns the rest. Names and values are
// views of b.
func DecodeEntry(b []byte) (e Entry, set []Xattr, rest []byte, err error) {
	d := decoder{b: b}
	pub, priv := decoder{b: d.take(d.uvarint())}, decoder{b: d.take(d.uvarint())}
	attrs := d.take(d.uvarint())
	if d.err != nil {
		return e, nil, nil, d.err
	}
	if err := decodeEntry(&e, &pub, &priv, false); err != nil {
		return e, nil, nil, err
	}
	if e.Flags&Kept != 0 {
		return e, nil, nil, errKept
	}
	if pub.left() > 0 || priv.left() > 0 {
		return e, nil, nil, errTrailing
	}
	if len(attrs) > 0 {
		if set, err = decodeXattrs(attrs); err != nil {
			return e, nil, nil, err
		}
	}
	if HashXattrs(set) != e.XattrHash {
		return e, nil, nil, errMismatch
	}
	e.Xattrs = 0
	return e, set, b[d.off:], nil
}
