package pax

import (
	"bytes"
	"fmt"
	"strings"
)

// Sizes of the fields of a ustar header for names.
const (
	nameSize   = 100
	targetSize = 100
	prefixSize = 155
)

// ustar is a header block. Its numbers fit their fields.
type ustar struct {
	kind         byte
	name         string
	mode         uint32
	uid, gid     uint32
	size, mtime  int64
	target       string
	major, minor uint32
}

// appendTo encodes the header. The names of owner and group stay empty: ids go by number.
func (u *ustar) appendTo(b *bytes.Buffer) {
	prefix, name, _ := split(u.name)
	var block [blockSize]byte
	copy(block[0:nameSize], name)
	octal(block[100:108], int64(u.mode))
	octal(block[108:116], int64(u.uid))
	octal(block[116:124], int64(u.gid))
	octal(block[124:136], u.size)
	octal(block[136:148], u.mtime)
	block[156] = u.kind
	copy(block[157:257], u.target)
	copy(block[257:265], "ustar\x0000")
	if u.kind == byte(CharDevice) || u.kind == byte(BlockDevice) {
		octal(block[329:337], int64(u.major))
		octal(block[337:345], int64(u.minor))
	}
	copy(block[345:500], prefix)
	sum := int64(8 * ' ') // the field of the sum counts as blanks
	for _, c := range block {
		sum += int64(c)
	}
	octal(block[148:155], sum)
	block[155] = ' '
	b.Write(block[:])
}

// octal fills a field with digits and a NUL.
func octal(field []byte, n int64) { copy(field, fmt.Sprintf("%0*o", len(field)-1, n)) }

// split divides a name between its two fields at a slash, which then belongs to neither.
func split(name string) (prefix, rest string, ok bool) {
	if len(name) <= nameSize {
		return "", name, true
	}
	if len(name) > prefixSize+1+nameSize {
		return "", "", false
	}
	at := len(name) - nameSize - 1
	slash := strings.IndexByte(name[at:], '/')
	if slash < 0 || at+slash > prefixSize || at+slash == 0 || at+slash == len(name)-1 {
		return "", "", false
	}
	return name[:at+slash], name[at+slash+1:], true
}

func fits(name string) bool {
	_, _, ok := split(name)
	return ok
}

// fitting shortens a name for the ustar header, for old programs; the extended header has the whole name.
func fitting(name string) string { return name[:min(len(name), nameSize)] }
