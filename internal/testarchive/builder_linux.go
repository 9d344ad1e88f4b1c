package testarchive

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/fsat"
	"snapcopy/internal/testtree"
)

// TempDir is t.TempDir for trees with folders that may not be written to, which only root can remove as they are.
func TempDir(t *testing.T) string {
	t.Helper()
	return testtree.TempDir(t)
}

// Builder makes trees.
type Builder struct {
	T    *testing.T
	Root string
}

func (b Builder) Path(name string) string { return filepath.Join(b.Root, name) }

func (b Builder) Check(err error) {
	b.T.Helper()
	if err != nil {
		b.T.Fatal(err)
	}
}

func (b Builder) Dir(name string) {
	b.T.Helper()
	b.Check(os.MkdirAll(b.Path(name), 0o755))
}

func (b Builder) File(name, content string) {
	b.T.Helper()
	b.Check(os.MkdirAll(filepath.Dir(b.Path(name)), 0o755))
	b.Check(os.WriteFile(b.Path(name), []byte(content), 0o644))
}

func (b Builder) Link(from, to string) {
	b.T.Helper()
	b.Check(os.MkdirAll(filepath.Dir(b.Path(to)), 0o755))
	b.Check(os.Link(b.Path(from), b.Path(to)))
}

func (b Builder) Mode(name string, mode uint32) {
	b.T.Helper()
	b.Check(unix.Chmod(b.Path(name), mode))
}

func (b Builder) Owner(name string, uid, gid int) {
	b.T.Helper()
	b.Check(os.Lchown(b.Path(name), uid, gid))
}

func (b Builder) Xattr(name, attr, value string) {
	b.T.Helper()
	b.Check(unix.Lsetxattr(b.Path(name), attr, []byte(value), 0))
}

func (b Builder) Mtime(name string, sec, nsec int64) {
	b.T.Helper()
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: sec, Nsec: nsec}}
	b.Check(unix.UtimesNanoAt(unix.AT_FDCWD, b.Path(name), ts, unix.AT_SYMLINK_NOFOLLOW))
}

// ACL encodes an ACL that gives user 12345 the permissions perm (acl(5), linux/posix_acl_xattr.h).
func ACL(perm byte) string {
	return "\x02\x00\x00\x00" +
		"\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00" + string(perm) + "\x00\x39\x30\x00\x00" +
		"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x06\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"
}

// NetBind is cap_net_bind_service=ep (linux/capability.h, VFS_CAP_REVISION_2).
const NetBind = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// MakeTorture makes such a tree. Without root some of it is left out.
func MakeTorture(t *testing.T, root string) {
	t.Helper()
	b := Builder{t, root}
	b.Dir("")

	b.File("plain", "hello\n")
	b.File("empty", "")
	b.File("a/group", "one inode, three names")
	b.Link("a/group", "b/c/group")
	b.Link("a/group", "z/other name")
	b.File("same content 1", "equal")
	b.File("same content 2", "equal")
	b.Check(os.Symlink("plain", b.Path("symlink")))
	b.Check(os.Symlink("../nowhere/\n\xff", b.Path("dangling")))
	b.Check(os.Symlink("/etc", b.Path("a/to a folder")))
	b.Check(os.Symlink("anywhere", b.Path("a/symlink")))
	b.Link("a/symlink", "b/linked symlink")
	b.Check(unix.Mkfifo(b.Path("fifo"), 0o640))
	b.Check(unix.Mkfifo(b.Path("a/fifo"), 0o640))
	b.Link("a/fifo", "z/fifo again")
	b.File("at the top", "x")
	b.Link("at the top", "z/y/x/at the bottom")
	b.Check(unix.Mknod(b.Path("socket"), unix.S_IFSOCK|0o600, 0))
	for _, name := range testtree.SharedNames(t) {
		b.File("names/"+name, name)
		b.File("names/dir "+name[:min(len(name), 200)]+"/in", name)
	}
	for i := range 100 {
		b.File(fmt.Sprintf("many/%03d", i), fmt.Sprint(i))
	}

	large, err := os.Create(b.Path("large"))
	b.Check(err)
	piece := []byte(strings.Repeat("0123456789abcde\n", 1<<14))
	for range 20 {
		_, err := large.Write(piece)
		b.Check(err)
		piece[0]++
	}
	b.Check(large.Close())
	sparse, err := os.Create(b.Path("sparse"))
	b.Check(err)
	_, err = sparse.WriteAt([]byte("in the middle"), 1<<20)
	b.Check(err)
	_, err = sparse.WriteAt([]byte("later"), 5<<20)
	b.Check(err)
	b.Check(sparse.Truncate(8 << 20))
	b.Check(sparse.Close())
	b.Check(os.WriteFile(b.Path("all hole"), nil, 0o644))
	b.Check(os.Truncate(b.Path("all hole"), 1<<20))

	b.Xattr("plain", "user.note", "a\x00b")
	b.Xattr("plain", "user.empty", "")
	b.Xattr("b", "user.dir", strings.Repeat("x", 1000))
	b.Xattr("plain", "system.posix_acl_access", ACL(4))
	b.Xattr("b/c", "system.posix_acl_access", ACL(6))
	b.Xattr("b/c", "system.posix_acl_default", ACL(5))

	b.Mtime("plain", 1_234_567_890, 123_456_789)
	b.Mtime("empty", -86_400*365*20, 1)
	b.Mtime("symlink", 1, 999_999_999)
	b.Mtime("fifo", 4_000_000_000, 5)
	b.Mode("empty", 0o7777)
	b.Mode("names", 0o1777)
	b.File("read only dir/file", "x")
	b.Mode("read only dir", 0o555)
	b.Mtime("read only dir", 946_684_800, 7)
	if testtree.Root() {
		b.tortureAsRoot()
	}
	b.Deep("deep", 300)
	b.Mode("", 0o751)
	b.Mtime("", 1_000_000_000, 42)
}

func (b Builder) tortureAsRoot() {
	b.T.Helper()
	b.Check(unix.Mknod(b.Path("char device"), unix.S_IFCHR|0o620, int(unix.Mkdev(1, 3))))
	b.Check(unix.Mknod(b.Path("block device"), unix.S_IFBLK|0o600, int(unix.Mkdev(259, 70_000))))
	b.File("program", "#!/bin/sh\n")
	b.Owner("program", 1234, 5678)
	b.Xattr("program", "security.capability", NetBind)
	b.Xattr("program", "trusted.secret", "s")
	b.File("set-id", "x")
	b.Owner("set-id", 1234, 0)
	b.Mode("set-id", 0o6755)
	b.Owner("symlink", 77, 88)
	b.Xattr("symlink", "trusted.on a link", "yes")
	b.Xattr("fifo", "trusted.on a pipe", "yes")
	b.Owner("socket", 4_294_967_294, 3)
	b.Owner("b/c", 5, 6)
	b.Mode("b/c", 0o2775)
	b.File("closed/inside/file", "y")
	b.Link("a/group", "closed/group")
	b.Mode("closed/inside/file", 0)
	b.Mode("closed/inside", 0)
	b.Mode("closed", 0)
}

// Deep makes a chain of directories with a file in some, by handles because its path is too long for one call.
func (b Builder) Deep(name string, levels int) {
	b.T.Helper()
	b.Dir(name)
	fd, err := fsat.OpenRoot(b.Path(name))
	b.Check(err)
	for i := range levels {
		level := fmt.Sprint(i % 10)
		b.Check(fsat.Mkdir(fd, level, 0o755))
		next, err := fsat.OpenDir(fd, level)
		b.Check(err)
		if i%50 == 49 {
			file, err := fsat.Create(next, "file", 0o644)
			b.Check(err)
			b.Check(fsat.Close(file))
		}
		b.Check(fsat.SetMtimeAt(fd, level, fsat.Time{Sec: int64(i), Nsec: 1}))
		b.Check(fsat.Close(fd))
		fd = next
	}
	b.Check(fsat.Close(fd))
}

// BuiltTree builds a tree below a new folder.
func BuiltTree(t *testing.T, script string) string {
	t.Helper()
	root := filepath.Join(TempDir(t), "tree")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	testtree.Build(t, root, script)
	return root
}
