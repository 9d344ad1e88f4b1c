package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// row is one line of the table. The entries of the tree's top folder are its parts; their names are what the table
// calls them.
type row struct {
	title  string
	fields []field // compared besides what every row compares
	build  func(*maker)
	change func(*maker) // between a first and a second backup; nil: one is enough
	source bool         // the question is what becomes of the source
	top    bool         // the question is the top folder itself
}

// rows is the table, in its order.
var rows = slices.Concat(things, metadata, history)

// things are rows about the kinds of entries and their content.
var things = []row{
	{title: "contents", build: func(m *maker) {
		m.file("empty file", "")
		m.file("one byte", "x")
		m.file("zeros", strings.Repeat("\x00", 300<<10))
		m.file("5 MB", random(5e6, 1))
	}},
	{title: "empty folders", build: func(m *maker) {
		m.folder("one")
		m.folder("nested/in/others")
	}},
	{title: "the top folder's own mode, owner, time, xattr", fields: []field{mode, owner, mtime, xattrs}, top: true,
		build: func(m *maker) {
			m.xattr(".", "user.note", "top")
			m.chown(".", 1234, 2345)
			m.chmod(".", 0o2750)
			m.mtime(".", 1e9, 123456789)
		}},
	{title: "link groups", fields: []field{links}, build: func(m *maker) {
		m.file("pair/a", "a pair")
		m.link("pair/a", "pair/b")
		m.file("100 names/0", "many")
		for i := range 99 {
			m.link("100 names/0", fmt.Sprint("100 names/", i+1))
		}
		m.file("group with a name outside/a", "three names")
		m.link("group with a name outside/a", "group with a name outside/b")
		m.link("group with a name outside/a", "../outside")
		m.file("twins that are no group/a", "the same")
		m.file("twins that are no group/b", "the same")
	}},
	{title: "link groups across folders", fields: []field{links}, build: func(m *maker) {
		m.file("two folders/1/a", "across")
		m.link("two folders/1/a", "two folders/2/b")
		m.file("different depths/a", "depths")
		m.link("different depths/a", "different depths/b/c/d/e")
	}},
	{title: "link groups of symlinks and special files", fields: []field{links}, build: func(m *maker) {
		m.symlink("symlinks/a", "target")
		m.link("symlinks/a", "symlinks/b")
		m.node("FIFOs/a", unix.S_IFIFO, 0, 0)
		m.link("FIFOs/a", "FIFOs/b")
		m.node("devices/a", unix.S_IFCHR, 1, 3)
		m.link("devices/a", "devices/b")
	}},
	{title: "symlinks, with their own owner and mtime", fields: []field{owner, mtime}, build: func(m *maker) {
		for i, l := range [][2]string{{"dangling", "nowhere"}, {"absolute", "/etc/passwd"}, {"loop", "loop"},
			{"to a folder", "."}, {"odd target", "a\n\xff "}} {
			m.symlink(l[0], l[1])
			m.chown(l[0], 1001+i, 2001)
			m.mtime(l[0], int64(1e9+i), 123456789)
		}
	}},
	{title: "symlink targets of 4,095 bytes", build: func(m *maker) {
		m.symlink("long", strings.Repeat("long/", 819))
	}},
	{title: "FIFOs, sockets, devices", fields: []field{mode, owner, mtime}, build: func(m *maker) {
		m.node("FIFO", unix.S_IFIFO, 0, 0)
		m.node("socket", unix.S_IFSOCK, 0, 0)
		m.node("character device", unix.S_IFCHR, 1, 3)
		m.node("block device", unix.S_IFBLK, 7, 200)
		m.node("device with large numbers", unix.S_IFCHR, 4095, 1<<20-1)
		for i, name := range []string{"FIFO", "socket", "character device", "block device", "device with large numbers"} {
			m.chown(name, 1001, 2001+i)
			m.mtime(name, 1e9, int64(i))
		}
	}},
	{title: "sparse files", fields: []field{holes}, build: func(m *maker) {
		m.sparse("hole at the start", 4<<20, 3<<20)
		m.sparse("hole in the middle", 4<<20, 0, 3<<20)
		m.sparse("hole at the end", 4<<20, 0)
		m.sparse("all hole", 4<<20)
		m.sparse("data in the last byte", 4<<20, 4<<20-1)
	}},
	{title: "a sparse file of 5 TiB", fields: []field{holes}, build: func(m *maker) {
		m.sparse("huge", 5<<40, 1<<40, 5<<40-1)
	}},
	{title: "preallocated blocks", fields: []field{space}, build: func(m *maker) {
		for name, how := range map[string]uint32{"within the size": 0, "beyond the size": unix.FALLOC_FL_KEEP_SIZE} {
			m.edit(name, func(f *os.File) error {
				_, err := f.WriteString("some data")
				if err == nil {
					err = unix.Fallocate(int(f.Fd()), how, 0, 8<<20)
				}
				return err
			})
		}
	}},
	{title: "odd names", build: func(m *maker) {
		for part, names := range map[string][]string{
			"control bytes":             {"a\nb", "a\tb", "\x01\x1b[0m\x7f", "a\rb"},
			"invalid UTF-8":             {"\xff\xfe", "caf\xe9", "\xed\xa0\x80"},
			"255 bytes":                 {strings.Repeat("n", 255), strings.Repeat("ü", 127)},
			"spaces and signs":          {" a ", "trailing ", "trailing.", "...", "-rf", "--", "~", "#a", "a:b"},
			"quotes and globs":          {`a"b`, "a'b", `a\b`, `\012`, `a\`, "*", "[a]", "?", "$HOME", "%n"},
			"NFC and NFD twins":         {"\u00e9", "e\u0301"},
			"names that differ in case": {"name", "NAME", "Name"},
		} {
			for i, name := range names {
				m.file(part+"/"+name, fmt.Sprint(i))
				m.file(part+"/in/"+name+"/file", fmt.Sprint(i))
			}
		}
	}},
	{title: "300 levels of 100 bytes", build: func(m *maker) { m.deep("deep", 300, 100) }},
	{title: "files of size 0 with content, as in /proc", build: func(m *maker) { m.bind("version", "/proc/version") }},
}
