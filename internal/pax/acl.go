package pax

import (
	"encoding/binary"
	"errors"
	"strconv"
)

// The layout of a POSIX ACL in an extended attribute (linux/posix_acl_xattr.h): a version, then entries of 8 bytes.
const (
	aclVersion = 2
	aclHeader  = 4
	aclEntry   = 8
)

// aclTags are the kinds of ACL entries. The entry for a single user or group has an id.
var aclTags = map[uint16]struct {
	name  string
	hasID bool
}{
	0x01: {"user", false},
	0x02: {"user", true},
	0x04: {"group", false},
	0x08: {"group", true},
	0x10: {"mask", false},
	0x20: {"other", false},
}

var errACL = errors.New("not a POSIX ACL in the form of Linux")

// aclText turns the value of a POSIX ACL attribute into text like "user::rw-,user:1000:r--,…", with ids as numbers. It
// keeps the order of the entries, and does not check that they make a valid ACL together.
func aclText(value []byte) (string, error) {
	if len(value) <= aclHeader || (len(value)-aclHeader)%aclEntry != 0 ||
		binary.LittleEndian.Uint32(value) != aclVersion {
		return "", errACL
	}
	var b []byte
	for at := aclHeader; at < len(value); at += aclEntry {
		tag, known := aclTags[binary.LittleEndian.Uint16(value[at:])]
		perm := binary.LittleEndian.Uint16(value[at+2:])
		id := binary.LittleEndian.Uint32(value[at+4:])
		if !known || perm > 7 {
			return "", errACL
		}
		if at > aclHeader {
			b = append(b, ',')
		}
		b = append(append(b, tag.name...), ':')
		if tag.hasID {
			b = strconv.AppendUint(b, uint64(id), 10)
		}
		b = append(b, ':')
		for i, letter := range []byte("rwx") {
			if perm&(4>>i) == 0 {
				letter = '-'
			}
			b = append(b, letter)
		}
	}
	return string(b), nil
}
