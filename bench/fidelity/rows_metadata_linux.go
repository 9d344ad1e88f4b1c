package main

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// metadata are rows about what is kept beside the content.
var metadata = []row{
	{title: "modes", fields: []field{mode}, build: func(m *maker) {
		for name, bits := range map[string]uint32{"setuid": 0o4755, "setgid": 0o2755, "sticky": 0o1644, "0000": 0,
			"7777": 0o7777, "0604": 0o604} {
			m.file(name+" file", name)
			m.chown(name+" file", 1001, 2001) // what is set before the owner is lost with it
			m.chmod(name+" file", bits)
			m.file(name+" folder/file", name)
			m.chown(name+" folder", 1001, 2001)
			m.chmod(name+" folder", bits)
		}
	}},
	{title: "owners", fields: []field{owner}, build: func(m *maker) {
		for part, id := range map[string]int{"without a name": 123456, "above 2^31": 3e9, "2^32-2": 1<<32 - 2} {
			m.file(part+"/file", part)
			m.symlink(part+"/symlink", part)
			m.chown(part+"/file", id, id)
			m.chown(part+"/symlink", id, 0)
			m.chown(part, 0, id)
		}
	}},
	{title: "user xattrs: empty, binary, many, large", fields: []field{xattrs}, build: func(m *maker) {
		for _, part := range []string{"text", "empty", "binary", "many", "60 KB"} {
			m.file(part+"/file", part)
		}
		for _, name := range []string{"text", "text/file"} {
			m.xattr(name, "user.note", "a note")
		}
		m.xattr("empty/file", "user.empty", "")
		m.xattr("binary/file", "user.binary", "\x00\xff\n=\x00")
		for i := range 100 {
			m.xattr("many/file", "user.number"+strconv.Itoa(i), strconv.Itoa(i))
		}
		m.xattr("60 KB/file", "user.large", random(60_000, 2))
	}},
	{title: "trusted and security xattrs", fields: []field{xattrs}, build: func(m *maker) {
		for _, space := range []string{"trusted", "security"} {
			m.file(space+" file", "x")
			m.xattr(space+" file", space+".note", "for root")
			m.folder(space + " folder")
			m.xattr(space+" folder", space+".note", "for root")
		}
	}},
	{title: "capabilities", fields: []field{xattrs}, build: func(m *maker) {
		m.file("root's file", "x")
		m.file("file of another owner", "x")
		m.chown("file of another owner", 1001, 2001)
		for _, name := range []string{"root's file", "file of another owner"} {
			m.chmod(name, 0o755)
			m.xattr(name, "security.capability", capability(1<<10)) // cap_net_bind_service
		}
	}},
	{title: "POSIX ACLs, access and default", fields: []field{mode, xattrs}, build: func(m *maker) {
		const access, inherited = "system.posix_acl_access", "system.posix_acl_default"
		m.file("access", "x")
		m.xattr("access", access, acl(1001, 2001))
		m.folder("default")
		m.xattr("default", inherited, acl(1001, 2001))
		m.file("both/file made before", "x")
		m.xattr("both", access, acl(1002, 2002))
		m.xattr("both", inherited, acl(1003, 2003))
		m.file("ids without names", "x")
		m.xattr("ids without names", access, acl(4e9, 1<<32-2))
	}},
	{title: "xattrs of symlinks and special files", fields: []field{xattrs}, build: func(m *maker) {
		m.symlink("symlink", "target")
		m.node("FIFO", unix.S_IFIFO, 0, 0)
		m.node("socket", unix.S_IFSOCK, 0, 0)
		m.node("device", unix.S_IFCHR, 1, 3)
		for _, name := range []string{"symlink", "FIFO", "socket", "device"} {
			m.xattr(name, "trusted.note", name)
		}
	}},
	{title: "mtimes", fields: []field{mtime}, build: func(m *maker) {
		for part, at := range map[string]unix.Timespec{"nanoseconds": {Sec: 1e9, Nsec: 123456789}, "1970-01-01": {},
			"before 1970": {Sec: -2, Nsec: 5e8}, "1901": {Sec: -1 << 31, Nsec: 1}, "after 2038": {Sec: 1 << 31, Nsec: 1},
			"after 2106": {Sec: 1<<32 + 1, Nsec: 1}, "2446": {Sec: 1<<34 - 1<<31 - 1, Nsec: 999999999}} {
			m.file(part, part)
			m.mtime(part, at.Sec, at.Nsec)
		}
	}},
	{title: "mtimes of folders", fields: []field{mtime}, build: func(m *maker) {
		m.file("with files/file", "x")
		m.file("with folders/in/file", "x")
		m.file("read-only/file", "x")
		m.chmod("read-only", 0o555)
		for _, name := range []string{"with files", "with folders/in", "with folders", "read-only"} {
			m.mtime(name, 1e9, 123456789)
		}
	}},
	{title: "atimes", fields: []field{atime}, build: oldAccess},
	{title: "atimes of the source left alone", fields: []field{atime}, source: true, build: oldAccess},
	{title: "chattr flags", fields: []field{flags}, build: func(m *maker) {
		m.file("immutable folder (i)/file", "x")
		m.file("synchronous folder (D)/file", "x")
		for part, bits := range map[string]uint32{"nodump (d)": 0x40, "immutable (i)": 0x10, "append-only (a)": 0x20,
			"no atime (A)": 0x80, "synchronous (S)": 0x8, "no tail-merging (t)": 0x8000, // FS_…_FL of linux/fs.h
			"immutable folder (i)": 0x10, "synchronous folder (D)": 0x10000} {
			if !strings.Contains(part, "folder") {
				m.file(part, part)
			}
			m.flag(part, bits)
		}
	}},
}

// oldAccess makes files and folders whose next reading changes their access time, if the reader lets it.
func oldAccess(m *maker) {
	m.file("file", "read me")
	m.file("folder/file", "read me")
	for _, name := range []string{"folder/file", "folder", "file"} {
		m.times(name, unix.Timespec{Sec: 1e9, Nsec: 1}, unix.Timespec{Sec: 1e9 + 1000, Nsec: 1})
	}
}

// history are rows about what a second backup makes of what has changed, and of the first.
var history = []row{
	{title: "metadata-only change: new in the second, old in the first backup",
		fields: []field{mode, owner, mtime, xattrs},
		build: func(m *maker) {
			for _, part := range []string{"chmod", "chown", "touch", "setfattr", "setfacl"} {
				m.file(part+"/file", part)
				m.xattr(part+"/file", "user.note", "old")
				m.mtime(part, 1e9, 1)
			}
		}, change: func(m *maker) {
			m.chmod("chmod/file", 0o600)
			m.chown("chown/file", 1001, 2001)
			m.mtime("touch/file", 1e9, 1)
			m.xattr("setfattr/file", "user.note", "new")
			m.xattr("setfacl/file", "system.posix_acl_access", acl(1001, 2001))
		}},
	{title: "content changed, size and mtime forged back", build: func(m *maker) {
		m.file("small", random(1000, 1))
		m.file("large", random(3e6, 2))
	}, change: func(m *maker) {
		for i, name := range []string{"small", "large"} {
			m.edit(name, func(f *os.File) error {
				info, err := f.Stat()
				if err == nil {
					_, err = f.WriteAt([]byte(random(100, uint64(10+i))), 500)
				}
				if err != nil {
					return err
				}
				return os.Chtimes(f.Name(), time.Time{}, info.ModTime())
			})
		}
	}},
	{title: "link groups that change between backups", fields: []field{links}, build: func(m *maker) {
		for _, name := range []string{"split/a", "formed/a", "formed/b", "moved/a", "moved/c"} {
			m.file(name, "the same")
			m.mtime(name, 1e9, 1)
		}
		m.link("split/a", "split/b")
		m.link("moved/a", "moved/b")
	}, change: func(m *maker) {
		m.remove("split/b")
		m.file("split/b", "the same")
		m.mtime("split/b", 1e9, 1)
		m.remove("formed/b")
		m.link("formed/a", "formed/b")
		m.remove("moved/b")
		m.link("moved/c", "moved/b")
	}},
	{title: "names that change their type between backups", build: func(m *maker) {
		m.file("file to folder/x", "x")
		m.file("folder to symlink/x/file", "x")
		m.symlink("symlink to folder/x", "../folder to symlink")
		m.node("FIFO to file/x", unix.S_IFIFO, 0, 0)
	}, change: func(m *maker) {
		for _, part := range []string{"file to folder", "folder to symlink", "symlink to folder", "FIFO to file"} {
			m.remove(part + "/x")
		}
		m.file("file to folder/x/file", "x")
		m.symlink("folder to symlink/x", "../file to folder")
		m.file("symlink to folder/x/file", "x")
		m.file("FIFO to file/x", "x")
	}},
}
