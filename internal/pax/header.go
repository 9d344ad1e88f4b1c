package pax

import (
	"bytes"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"snapcopy/internal/fsat"
)

// maxExtended is the largest extended header that bsdtar accepts; a larger one makes it give up the whole archive.
const maxExtended = 1 << 20

// The largest numbers that fit the fields of a ustar header.
const (
	maxID   = 1<<21 - 1
	maxSize = 1<<33 - 1
)

// nobody is the id in the ustar header of an owner or group whose number fits only the extended header: a program that
// ignores extended headers must not restore it as root.
const nobody = 65534

// encode appends the headers of a member.
func encode(b *bytes.Buffer, h *Header) error {
	if h.Major > maxID || h.Minor > maxID {
		return fmt.Errorf("%w: device number %d:%d", ErrNoPlace, h.Major, h.Minor)
	}
	u := ustar{kind: byte(h.Kind), name: h.Name, mode: h.Mode, uid: h.UID, gid: h.GID, target: h.Target,
		major: h.Major, minor: h.Minor}
	if h.Kind == Folder {
		u.name += "/"
	}
	var sparse []byte
	if h.Kind == File {
		u.size = h.contentSize()
		if h.Sparse {
			sparse = sparseMap(h)
			u.size += int64(len(sparse))
		}
	}
	x := extended(h, &u)
	if x.Len() > maxExtended {
		return ErrHeaderSize
	}
	if x.Len() > 0 {
		dir, base := path.Split(h.Name)
		xu := ustar{kind: 'x', mode: 0o644, size: int64(x.Len()), name: fitting(dir + "PaxHeaders/" + base)}
		xu.appendTo(b)
		b.Write(x.Bytes())
		b.Write(zeros[:-x.Len()&(blockSize-1)])
	}
	u.appendTo(b)
	b.Write(sparse)
	return nil
}

// extended returns the records of the extended header, and sets the fields of u that go with them.
func extended(h *Header, u *ustar) *bytes.Buffer {
	x := new(bytes.Buffer)
	names(x, h, u)
	numbers(x, h, u)
	for _, attr := range h.Xattrs {
		xattr(x, attr)
	}
	return x
}

// names adds the records of names that the ustar header has no place for, and those of a sparse file, which has a name there
// that is not its own.
func names(x *bytes.Buffer, h *Header, u *ustar) {
	long := h.Sparse || !fits(u.name)
	longTarget := len(u.target) > targetSize
	if long && !ascii(u.name) || longTarget && !ascii(u.target) {
		// Names are bytes. Without this record, bsdtar complains about UTF-8 names in another locale; with it, GNU tar
		// warns about an unknown keyword but works. Names in the ustar header need no record.
		record(x, "hdrcharset", "BINARY")
	}
	if h.Sparse {
		record(x, "GNU.sparse.major", "1")
		record(x, "GNU.sparse.minor", "0")
		record(x, "GNU.sparse.name", u.name)
		record(x, "GNU.sparse.realsize", strconv.FormatInt(h.Size, 10))
		dir, base := path.Split(u.name)
		u.name = fitting(dir + "GNUSparseFile.0/" + base) // where programs that do not know the format put the file
	} else if long {
		record(x, "path", u.name)
		u.name = fitting(u.name)
	}
	if longTarget {
		record(x, "linkpath", u.target)
		u.target = fitting(u.target)
	}
}

// numbers adds the records of numbers that the ustar header has no place for.
func numbers(x *bytes.Buffer, h *Header, u *ustar) {
	if u.size > maxSize {
		record(x, "size", strconv.FormatInt(u.size, 10))
		u.size = 0
	}
	if u.uid > maxID {
		record(x, "uid", strconv.FormatUint(uint64(u.uid), 10))
		u.uid = nobody
	}
	if u.gid > maxID {
		record(x, "gid", strconv.FormatUint(uint64(u.gid), 10))
		u.gid = nobody
	}
	u.mtime = h.Mtime.Sec
	if h.Mtime.Nsec != 0 || u.mtime < 0 || u.mtime > maxSize {
		record(x, "mtime", timeText(h.Mtime))
		u.mtime = min(max(u.mtime, 0), maxSize)
	}
}

func ascii(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf })
}

// The names by which Linux shows POSIX ACLs as extended attributes.
const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// xattrEscape encodes the characters that a keyword cannot contain, as GNU tar does.
var xattrEscape = strings.NewReplacer("%", "%25", "=", "%3D")

func xattr(x *bytes.Buffer, attr fsat.Xattr) {
	key := "SCHILY.xattr." + xattrEscape.Replace(attr.Name)
	value := string(attr.Value)
	if attr.Name == accessACL || attr.Name == defaultACL {
		if text, err := aclText(attr.Value); err == nil { // otherwise the bytes stay as they are
			key, value = "SCHILY.acl."+strings.TrimPrefix(attr.Name, "system.posix_acl_"), text
		}
	}
	record(x, key, value)
}

// record appends one record: its length, which counts its own digits, keyword and value.
func record(x *bytes.Buffer, key, value string) {
	rest := len(key) + len(value) + 3 // blank, equals sign, end of line
	n := rest + len(strconv.Itoa(rest))
	n = rest + len(strconv.Itoa(n))
	x.WriteString(strconv.Itoa(n))
	x.WriteByte(' ')
	x.WriteString(key)
	x.WriteByte('=')
	x.WriteString(value)
	x.WriteByte('\n')
}

// timeText returns a time as a decimal number of seconds.
func timeText(t fsat.Time) string {
	sign, sec, nsec := "", t.Sec, t.Nsec
	if sec < 0 {
		sign = "-"
		if nsec > 0 {
			sec, nsec = sec+1, 1e9-nsec
		}
	}
	text := sign + strings.TrimPrefix(strconv.FormatInt(sec, 10), "-")
	if nsec == 0 {
		return text
	}
	return text + strings.TrimRight(fmt.Sprintf(".%09d", nsec), "0")
}

// sparseMap lists the data ranges of a sparse file: their number, then offset and length of each, one number a line.
// An empty range at the end marks the end of a hole there.
func sparseMap(h *Header) []byte {
	n := len(h.Data)
	end := n == 0 || h.Data[n-1].End < h.Size
	if end {
		n++
	}
	b := strconv.AppendInt(nil, int64(n), 10)
	add := func(offset, length int64) {
		b = strconv.AppendInt(append(b, '\n'), offset, 10)
		b = strconv.AppendInt(append(b, '\n'), length, 10)
	}
	for _, r := range h.Data {
		add(r.Start, r.End-r.Start)
	}
	if end {
		add(h.Size, 0)
	}
	b = append(b, '\n')
	return append(b, zeros[:-len(b)&(blockSize-1)]...)
}
