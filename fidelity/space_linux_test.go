package fidelity

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"snapcopy/index"
)

// blocks makes sure that each catalog says what its snapshot takes: of every entry what is allocated to its inode. On
// btrfs that is not settled when a run ends.
func (l *lab) blocks() {
	l.t.Helper()
	var fs unix.Statfs_t
	l.check(unix.Statfs(l.arch, &fs))
	if fs.Type == unix.BTRFS_SUPER_MAGIC {
		return
	}
	for _, name := range l.order {
		look := func(path string, e *index.Entry) {
			if e.Flags&index.NotStored != 0 {
				return
			}
			info, err := os.Lstat(l.path(name, path))
			if err != nil {
				return // too deep for a path, or not stored: not the matter here
			}
			st := info.Sys().(*syscall.Stat_t)
			if e.Stored != st.Ino || e.Blocks != uint64(st.Blocks) {
				l.t.Errorf("%s %q: catalog has inode %d with %d blocks, it is inode %d with %d", name, path, e.Stored,
					e.Blocks, st.Ino, st.Blocks)
			}
		}
		for path, e := range l.entries(name) {
			look(path, &e)
		}
		c := l.catalog(name)
		root := c.Root()
		l.check(c.Close())
		look("", &root)
	}
}
