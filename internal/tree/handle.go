package tree

import "snapcopy/internal/fsat"

// An Inode is an inode whose metadata are to be set, with the way to it: a handle, which reaches that inode even if
// its name has changed, or a name alone, where no other user may change names. Opened, Noded and Named make one.
type Inode struct {
	fd   int
	node bool // fd is a node handle
	dir  int  // folder of the name, or where a node handle was opened
	name string
}

// Opened is the inode of an open file or folder.
func Opened(fd int) Inode { return Inode{fd: fd} }

// Noded is the inode of a node handle (see fsat.OpenNode), which was opened by its name in dir.
func Noded(fd, dir int, name string) Inode { return Inode{fd: fd, node: true, dir: dir, name: name} }

// Named is the inode with a name in dir that cannot or need not be opened: this process has just made it, where no
// other user may write.
func Named(dir int, name string) Inode { return Inode{fd: fsat.NoDir, dir: dir, name: name} }

func (n Inode) named() bool { return n.fd == fsat.NoDir }

func (n Inode) asNode() fsat.Node { return fsat.Node{FD: n.fd, Dir: n.dir, Name: n.name} }

func (n Inode) stat(st *fsat.Stat) error {
	if n.named() {
		return fsat.StatAt(n.dir, n.name, st)
	}
	return fsat.StatHandle(n.fd, st)
}

func (n Inode) chown(uid, gid uint32) error {
	switch {
	case n.named():
		return fsat.ChownAt(n.dir, n.name, uid, gid)
	case n.node:
		return fsat.ChownNode(n.fd, uid, gid)
	}
	return fsat.Chown(n.fd, uid, gid)
}

func (n Inode) chmod(mode uint32) error {
	switch {
	case n.named():
		return fsat.ChmodAt(n.dir, n.name, mode)
	case n.node:
		return fsat.ChmodNode(n.fd, mode)
	}
	return fsat.Chmod(n.fd, mode)
}

func (n Inode) setMtime(t fsat.Time) error {
	switch {
	case n.named():
		return fsat.SetMtimeAt(n.dir, n.name, t)
	case n.node:
		return fsat.SetMtimeNode(n.fd, t)
	}
	return fsat.SetMtime(n.fd, t)
}

func (n Inode) setXattr(x fsat.Xattr) error {
	switch {
	case n.named():
		return fsat.SetXattrAt(n.dir, n.name, x)
	case n.node:
		return n.asNode().SetXattr(x)
	}
	return fsat.SetXattr(n.fd, x)
}

func (n Inode) removeXattr(name string) error {
	if n.node {
		return n.asNode().RemoveXattr(name)
	}
	return fsat.RemoveXattr(n.fd, name)
}

// Xattrs reads the extended attributes.
func (n Inode) Xattrs() ([]fsat.Xattr, error) {
	if n.named() || n.node {
		return fsat.XattrsAt(n.dir, n.name)
	}
	return fsat.Xattrs(n.fd)
}

// hasRoom reports whether the file system has room, for as much as an inode may take. It knows nothing of quotas.
func (n Inode) hasRoom() bool {
	const enough = 1 << 20
	at := n.fd
	if n.named() {
		at = n.dir
	}
	space, err := fsat.FileSystem(at)
	return err == nil && space.Free >= enough && (space.Inodes == 0 || space.FreeInodes > 0)
}
