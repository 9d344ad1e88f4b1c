package main

import (
	stdhex "encoding/hex"
	"fmt"
	"strings"
	"time"

	"snapcopy/index"
)

// typeNames are the words for types of files in JSON.
var typeNames = map[index.Type]string{
	index.File: "file", index.Dir: "dir", index.Symlink: "symlink", index.Fifo: "fifo", index.Socket: "socket",
	index.CharDevice: "char", index.BlockDevice: "block",
}

// entryName is a path as people see it; that of a folder ends with a slash.
func entryName(path string, t index.Type) string {
	if path == "" {
		path = "." // the root
	}
	if t == index.Dir {
		path += "/"
	}
	return name(path)
}

func timeOf(t index.Time) time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }

// hex writes a hash; "" for none.
func hex(h index.Hash) string {
	if h == (index.Hash{}) {
		return ""
	}
	return stdhex.EncodeToString(h[:])
}

// walkBelow calls visit for everything below the folder e, a folder before its entries, in the order of the names.
func walkBelow(c *index.Catalog, path string, e *index.Entry, visit func(path string, e *index.Entry) error) error {
	r, err := c.ReadDir(e.Child)
	if err != nil {
		return err
	}
	var child index.Entry
	for cur := r.Cursor(); cur.Next(&child); {
		below := joinPath(path, child.Name)
		if err := visit(below, &child); err != nil {
			return err
		}
		if child.Type != index.Dir {
			continue
		}
		if err := walkBelow(c, below, &child, visit); err != nil {
			return err
		}
	}
	return nil
}

func joinPath(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// flagWords are the words for an entry's flags, for programs and for people.
var flagWords = []struct {
	flag  index.Flags
	name  string
	words string // "": of no interest
}{
	{index.Racy, "racy", ""},
	{index.Torn, "torn", "changed while it was read"},
	{index.Unread, "unread", "could not be listed completely"},
	{index.NotStored, "not_stored", "in the catalog only"},
	{index.OwnerCatalogOnly, "owner_catalog_only", ""},
	{index.ModeCatalogOnly, "mode_catalog_only", ""},
	{index.TimeCatalogOnly, "time_catalog_only", ""},
	{index.XattrsCatalogOnly, "xattrs_catalog_only", ""},
	{index.LinksCatalogOnly, "links_catalog_only", ""},
	{index.ZeroHash, "zero_hash", ""},
	{index.AtLinkLimit, "at_link_limit", ""},
	{index.WasMissing, "was_missing", ""},
	{index.Kept, "kept", ""},
	{index.Rotten, "rotten", "damaged in the source"},
}

func flagNames(f index.Flags) (names []string) {
	for _, w := range flagWords {
		if f&w.flag != 0 {
			names = append(names, w.name)
		}
	}
	return names
}

// letterOfAttr has the letters of chattr(1) and lsattr(1), by bit.
var letterOfAttr = [32]byte{0: 's', 1: 'u', 2: 'c', 3: 'S', 4: 'i', 5: 'a', 6: 'd', 7: 'A', 10: 'm', 14: 'j', 15: 't',
	16: 'D', 17: 'T', 23: 'C', 25: 'x', 29: 'P', 30: 'F'}

// attrLetters returns the letters of lsattr(1), in the order of the bits.
func attrLetters(a index.Attrs) string {
	var b []byte
	for i, letter := range letterOfAttr {
		if a&(1<<i) != 0 && letter != 0 {
			b = append(b, letter)
		}
	}
	return string(b)
}

// longLine describes an entry as ls -l does; shown is the name.
func (a *app) longLine(shown string, e *index.Entry) string {
	var b strings.Builder
	size := fmt.Sprint(e.Size)
	switch e.Type {
	case index.CharDevice, index.BlockDevice:
		size = fmt.Sprintf("%d, %d", e.Major, e.Minor)
	case index.Dir:
		size = "-"
	}
	fmt.Fprintf(&b, "%-11s %5d %5d %13s  %s  %s", modeString(e), e.UID, e.GID, size, a.local(timeOf(e.Mtime)), shown)
	if e.Type == index.Symlink {
		b.WriteString(" -> " + name(e.Target))
	}
	if e.Attrs != 0 {
		b.WriteString("  (attributes " + attrLetters(e.Attrs) + ")")
	}
	for _, w := range flagWords {
		if e.Flags&w.flag != 0 && w.words != "" {
			b.WriteString("  (" + w.words + ")")
		}
	}
	return b.String() + a.keptMark(e)
}

var typeLetters = map[index.Type]byte{
	index.File: '-', index.Dir: 'd', index.Symlink: 'l', index.Fifo: 'p', index.Socket: 's',
	index.CharDevice: 'c', index.BlockDevice: 'b',
}

// modeString writes type and mode as ls does; a '+' stands for extended attributes, which include ACLs.
func modeString(e *index.Entry) string {
	s := []byte("?rwxrwxrwx")
	s[0] = typeLetters[e.Type]
	for i := range 9 {
		if e.Mode&(1<<(8-i)) == 0 {
			s[1+i] = '-'
		}
	}
	special := func(bit uint32, at int, with, without byte) {
		if e.Mode&bit == 0 {
			return
		}
		if s[at] == 'x' {
			s[at] = with
		} else {
			s[at] = without
		}
	}
	special(0o4000, 3, 's', 'S')
	special(0o2000, 6, 's', 'S')
	special(0o1000, 9, 't', 'T')
	if e.XattrHash != (index.Hash{}) {
		s = append(s, '+')
	}
	return string(s)
}
