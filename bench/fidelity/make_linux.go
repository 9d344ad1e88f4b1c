package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maker builds a tree below root. The first error stays, and nothing more is done then.
type maker struct {
	root string
	undo []func() error // before the tree may be left
	err  error
}

func (m *maker) path(name string) string { return m.root + "/" + name }

// do runs one step on a name, whose folder is made first.
func (m *maker) do(name string, step func(path string) error) {
	if m.err != nil {
		return
	}
	path := m.path(name)
	m.err = os.MkdirAll(filepath.Dir(path), 0o755)
	if m.err == nil {
		m.err = step(path)
	}
	if m.err != nil {
		m.err = fmt.Errorf("make %q: %w", name, m.err)
	}
}

func (m *maker) file(name, content string) {
	m.do(name, func(p string) error { return os.WriteFile(p, []byte(content), 0o644) })
}

func (m *maker) folder(name string) {
	m.do(name, func(p string) error { return os.MkdirAll(p, 0o755) })
}

func (m *maker) symlink(name, target string) {
	m.do(name, func(p string) error { return os.Symlink(target, p) })
}

// link gives what is at old, relative to the root or absolute, another name.
func (m *maker) link(old, name string) {
	if !filepath.IsAbs(old) {
		old = m.path(old)
	}
	m.do(name, func(p string) error { return os.Link(old, p) })
}

// node makes a FIFO, socket or device.
func (m *maker) node(name string, kind uint32, major, minor uint32) {
	m.do(name, func(p string) error { return unix.Mknod(p, kind|0o640, int(unix.Mkdev(major, minor))) })
}

func (m *maker) remove(name string) {
	m.do(name, os.RemoveAll)
}

func (m *maker) chmod(name string, mode uint32) {
	m.do(name, func(p string) error { return unix.Chmod(p, mode) })
}

func (m *maker) chown(name string, uid, gid int) {
	m.do(name, func(p string) error { return os.Lchown(p, uid, gid) })
}

func (m *maker) xattr(name, attr, value string) {
	m.do(name, func(p string) error { return unix.Lsetxattr(p, attr, []byte(value), 0) })
}

// times sets access and modification time in seconds since 1970.
func (m *maker) times(name string, atime, mtime unix.Timespec) {
	m.do(name, func(p string) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{atime, mtime}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (m *maker) mtime(name string, sec, nsec int64) {
	m.times(name, unix.Timespec{Nsec: unix.UTIME_OMIT}, unix.Timespec{Sec: sec, Nsec: nsec})
}

// edit works on an open file, which is made if it is missing.
func (m *maker) edit(name string, work func(f *os.File) error) {
	m.do(name, func(p string) error {
		f, err := os.OpenFile(p, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		return errors.Join(work(f), f.Close())
	})
}

// sparse makes a file of a size with data at some offsets and holes elsewhere.
func (m *maker) sparse(name string, size int64, data ...int64) {
	m.edit(name, func(f *os.File) error {
		err := f.Truncate(size)
		for i, at := range data {
			_, werr := f.WriteAt([]byte(random(int(min(256<<10, size-at)), uint64(i))), at)
			err = errors.Join(err, werr)
		}
		return err
	})
}

// flag sets flags as chattr does.
func (m *maker) flag(name string, bits uint32) {
	m.do(name, func(p string) error {
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		now, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
		if err == nil {
			err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(now|bits))
		}
		return errors.Join(err, f.Close())
	})
}

// deep makes so many folders, one in the other, with a file in the last, far below what a path can name.
func (m *maker) deep(top string, levels, length int) {
	m.folder(top)
	m.do(top, func(p string) error {
		fd, err := unix.Open(p, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		name := strings.Repeat("d", length)
		for range levels {
			if err := unix.Mkdirat(fd, name, 0o755); err != nil {
				return errors.Join(err, unix.Close(fd))
			}
			next, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err = errors.Join(err, unix.Close(fd)); err != nil {
				return err
			}
			fd = next
		}
		f, err := unix.Openat(fd, "file", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		_, err = unix.Write(f, []byte("at the bottom"))
		return errors.Join(err, unix.Close(f), unix.Close(fd))
	})
}

// bind makes a file of the system appear in the tree.
func (m *maker) bind(name, from string) {
	m.file(name, "")
	m.do(name, func(p string) error {
		if err := quiet("mount", "--bind", from, p); err != nil {
			return err
		}
		m.undo = append(m.undo, func() error { return quiet("umount", p) })
		return nil
	})
}

// done takes back what must not outlive the row.
func (m *maker) done() (err error) {
	for _, undo := range m.undo {
		err = errors.Join(err, undo())
	}
	return err
}

// quiet runs a command of the system.
func quiet(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// random gives text that depends on seed alone.
func random(n int, seed uint64) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b) // never fails
	return string(b)
}

// acl encodes an ACL with one named user and one named group, as in linux/posix_acl_xattr.h.
func acl(uid, gid uint32) string {
	const nobody = 1<<32 - 1
	b := binary.LittleEndian.AppendUint32(nil, 2) // version
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 6, nobody}, {2, 4, uid}, {4, 4, nobody}, {8, 6, gid}, {16, 6, nobody}, {32, 0, nobody}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return string(b)
}

// capability encodes file capabilities, as in linux/capability.h: version 2, effective, the bits of permitted.
func capability(permitted uint32) string {
	b := binary.LittleEndian.AppendUint32(nil, 0x02000001)
	b = binary.LittleEndian.AppendUint32(b, permitted)
	return string(append(b, make([]byte, 12)...))
}
