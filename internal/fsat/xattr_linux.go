package fsat

import (
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Xattrs returns all readable extended attributes of an open file or directory, sorted by name. A file system without
// extended attributes has none.
func Xattrs(fd int) ([]Xattr, error) {
	var small [256]byte // as a variable of readXattrs it would be allocated for each file
	get := func(name string, b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) }
	switch n, err := unix.Flistxattr(fd, small[:]); {
	case err == nil && n == 0:
		return nil, nil
	case err == nil && n <= len(small):
		return readNamed(string(small[:n]), get)
	}
	return readXattrs(func(b []byte) (int, error) { return unix.Flistxattr(fd, b) }, get)
}

// XattrsAt is Xattrs for a name that must not or cannot be opened: a symbolic link, a device, a pipe.
func XattrsAt(dir int, name string) ([]Xattr, error) {
	if !HasProc() {
		return readXattrs(
			func(b []byte) (int, error) { return listxattrat(dir, name, b) },
			func(attr string, b []byte) (int, error) { return getxattrat(dir, name, attr, b) })
	}
	path := procPath(dir, name)
	return readXattrs(
		func(b []byte) (int, error) { return unix.Llistxattr(path, b) },
		func(attr string, b []byte) (int, error) { return unix.Lgetxattr(path, attr, b) })
}

// xfsACL begins the names under which XFS shows root a file's ACLs a second time, in its own form. They come and go
// with the POSIX ACLs, and mean nothing on other file systems; attr's xattr.conf skips them too.
const xfsACL = "trusted.SGI_ACL_"

func readXattrs(list func([]byte) (int, error), get func(string, []byte) (int, error)) ([]Xattr, error) {
	var small [256]byte
	names, err := grow(small[:], list)
	if err == unix.ENOTSUP || len(names) == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return readNamed(string(names), get)
}

// readNamed reads the attributes of a list of names, each of which a zero byte ends.
func readNamed(names string, get func(string, []byte) (int, error)) ([]Xattr, error) {
	var set []Xattr
	var failed error
	for name := range strings.SplitSeq(strings.TrimSuffix(names, "\x00"), "\x00") {
		if strings.HasPrefix(name, xfsACL) {
			continue
		}
		value, err := grow(nil, func(b []byte) (int, error) { return get(name, b) })
		switch err {
		case nil:
			set = append(set, Xattr{name, value})
		case unix.ENODATA: // gone since it was listed
		case unix.ENOTSUP: // listed by a file system that cannot read it
		default:
			failed = errors.Join(failed, &os.PathError{Op: "getxattr", Path: name, Err: err})
		}
	}
	slices.SortFunc(set, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return set, failed
}

// grow calls read with buf, and with larger buffers as long as read fails with ERANGE.
func grow(buf []byte, read func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := read(buf)
		switch {
		case err == nil && (n <= len(buf) && len(buf) > 0 || n == 0):
			return buf[:n:n], nil
		case err == nil: // called with an empty buffer: n is the size needed
			buf = make([]byte, n)
		case err == unix.ERANGE:
			if n, err = read(nil); err == unix.EINTR {
				continue
			} else if err != nil {
				return nil, err
			}
			buf = make([]byte, n+64)
		case err == unix.EINTR:
		default:
			return nil, err
		}
	}
}

// SetXattr sets one extended attribute of an open file or directory.
func SetXattr(fd int, x Xattr) error {
	return retry(func() error { return unix.Fsetxattr(fd, x.Name, x.Value, 0) })
}

// SetXattrAt sets one extended attribute of name in dir, of a symbolic link itself.
func SetXattrAt(dir int, name string, x Xattr) error {
	if !HasProc() {
		return setxattrat(dir, name, x)
	}
	path := procPath(dir, name)
	return retry(func() error { return unix.Lsetxattr(path, x.Name, x.Value, 0) })
}

// RemoveXattr removes one extended attribute of an open file or directory. An attribute that does not exist is no
// error.
func RemoveXattr(fd int, name string) error {
	err := retry(func() error { return unix.Fremovexattr(fd, name) })
	if err == unix.ENODATA || err == unix.ENOTSUP {
		return nil
	}
	return err
}
