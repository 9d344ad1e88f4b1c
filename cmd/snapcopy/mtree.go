package main

import (
	"fmt"
	"strings"

	"snapcopy/index"
)

var mtreeTypes = map[index.Type]string{
	index.File: "file", index.Dir: "dir", index.Symlink: "link", index.Fifo: "fifo", index.Socket: "socket",
	index.CharDevice: "char", index.BlockDevice: "block",
}

// exportMtree prints an mtree(5) specification with full paths.
func exportMtree(a *app, c *index.Catalog, each entryVisitor) error {
	s := c.Summary()
	if err := a.printf("#mtree\n# snapcopy snapshot %s\n", s.Snapshot); err != nil {
		return err
	}
	return each(func(path string, e *index.Entry) error { return a.printf("%s\n", mtreeLine(path, e)) })
}

func mtreeLine(path string, e *index.Entry) string {
	shown := "."
	if path != "" {
		shown = "./" + vis(path)
	}
	line := fmt.Sprintf("%s type=%s mode=%04o uid=%d gid=%d time=%d.%09d", shown, mtreeTypes[e.Type], e.Mode, e.UID, e.GID,
		e.Mtime.Sec, e.Mtime.Nsec)
	switch e.Type {
	case index.File:
		line += fmt.Sprintf(" size=%d", e.Size)
	case index.Symlink:
		line += " link=" + vis(e.Target)
	case index.CharDevice, index.BlockDevice:
		line += fmt.Sprintf(" device=native,%d,%d", e.Major, e.Minor)
	}
	return line
}

// vis writes a name as vis(3) does in its octal style: every byte but plain letters, digits and signs is \ooo. That
// includes the characters with a meaning in a specification: white space, '#', '=', the backslash, and the signs of
// patterns.
func vis(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`#=\*?[]{}"'$!`, c) >= 0 {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
