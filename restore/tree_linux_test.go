package restore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// tempDir is t.TempDir for trees with folders that may not be written to, which only root can remove as they are.
func tempDir(t *testing.T) string {
	t.Helper()
	return testtree.TempDir(t)
}

// describe gives one line for each entry of a tree, with everything that a restore promises.
func describe(t *testing.T, root string) []string {
	t.Helper()
	fd, err := fsat.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	d := description{t: t, first: make(map[inodeID]string), buf: make([]byte, 64<<10)}
	d.check(fsat.Close(d.dir(fd, "")))
	return d.lines
}

type description struct {
	t     *testing.T
	lines []string
	first map[inodeID]string // of each inode with several names, the first one met
	buf   []byte
}

// dir describes an open directory. It returns a handle of it, which need not be the same: no more than two are open at
// a time, however deep the tree is.
func (d *description) dir(fd int, path string) int {
	d.t.Helper()
	d.entry(fd, ".", path)
	list, err := fsat.ReadDir(fd, d.buf)
	d.check(err)
	for _, e := range list {
		if e.Type != fsat.Directory {
			d.entry(fd, e.Name, path+"/"+e.Name)
			continue
		}
		child, err := fsat.OpenDir(fd, e.Name)
		d.check(err)
		d.check(fsat.Close(fd))
		child = d.dir(child, path+"/"+e.Name)
		fd, err = fsat.OpenParent(child)
		d.check(errors.Join(err, fsat.Close(child)))
	}
	return fd
}

func (d *description) check(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *description) entry(dir int, name, path string) {
	d.t.Helper()
	var st fsat.Stat
	d.check(fsat.StatAt(dir, name, &st))
	line := fmt.Sprintf("%q type=%x mode=%04o owner=%d:%d mtime=%d.%09d", path, st.Type, st.Mode, st.UID, st.GID,
		st.Mtime.Sec, st.Mtime.Nsec)
	switch st.Type {
	case fsat.Regular:
		line += fmt.Sprintf(" size=%d %s", st.Size, d.content(dir, name, st.Size))
	case fsat.Symlink:
		target, err := fsat.Readlink(dir, name, st.Size)
		d.check(err)
		line += fmt.Sprintf(" target=%q", target)
	case fsat.CharDevice, fsat.BlockDevice:
		line += fmt.Sprintf(" device=%d:%d", st.Major, st.Minor)
	}
	if st.Type != fsat.Directory && st.Nlink > 1 {
		if _, ok := d.first[idOf(&st)]; !ok {
			d.first[idOf(&st)] = path
		}
		line += fmt.Sprintf(" link=%q", d.first[idOf(&st)])
	}
	set, err := fsat.XattrsAt(dir, name)
	d.check(err)
	for _, x := range set {
		line += fmt.Sprintf(" %s=%x", x.Name, x.Value)
	}
	d.lines = append(d.lines, line)
}

func (d *description) content(dir int, name string, size int64) string {
	d.t.Helper()
	fd, err := fsat.OpenFile(dir, name)
	if fsat.IsRefused(err) {
		return "unreadable"
	}
	d.check(err)
	defer func() { d.check(fsat.Close(fd)) }()
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for at := int64(0); at < size; {
		n, err := fsat.Read(fd, buf, at)
		d.check(err)
		h.Write(buf[:n])
		at += int64(n)
	}
	text := fmt.Sprintf("sha=%x data=", h.Sum(nil)[:8])
	for at := int64(0); ; {
		start, end, ok, err := fsat.NextData(fd, at, size)
		d.check(err)
		if !ok {
			return text
		}
		text += fmt.Sprintf("[%d-%d]", start, end)
		at = end
	}
}

func sameTree(t *testing.T, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("restored tree differs (-want +got):\n%.4000s", diff)
	}
}

// unfinishedName is the name of the note of a restore that is not finished.
var unfinishedName = leftover.NoteName(0)

// archived is a snapshot that a test has made.
type archived struct {
	Source
	t *testing.T
}

// archive takes a snapshot of a tree.
func archive(t *testing.T, source string) archived {
	t.Helper()
	a := archiveIn(t, source, filepath.Join(tempDir(t), "archive"))
	t.Cleanup(func() { closeAll(t, a.Catalog) })
	return a
}

func archiveIn(t *testing.T, source, path string) archived {
	t.Helper()
	rep, err := snapshot.Run(context.Background(), source, path, snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Incomplete {
		t.Fatalf("snapshot is incomplete: %v", rep.Failed)
	}
	c, err := index.Open(filepath.Join(path, ".snapcopy", "catalogs", rep.Snapshot+".cat"))
	if err != nil {
		t.Fatal(err)
	}
	return archived{Source{c, filepath.Join(path, rep.Snapshot)}, t}
}

// restore restores without an error of the run itself.
func (a archived) restore(paths []string, to string, opt Options) *Report {
	a.t.Helper()
	before := openDescriptors(a.t)
	rep, err := Run(context.Background(), a.Source, paths, to, opt)
	if err != nil {
		a.t.Fatal(err)
	}
	if after := openDescriptors(a.t); after != before {
		a.t.Errorf("%d descriptors open before, %d after", before, after)
	}
	return rep
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// wantFailed checks what a report says was not restored, by path.
func wantFailed(t *testing.T, rep *Report, paths ...string) {
	t.Helper()
	var got []string
	for _, f := range rep.Failed {
		got = append(got, f.Path)
	}
	slices.Sort(paths)
	if !slices.Equal(got, paths) {
		t.Errorf("failed %q, want %q\n%+v", got, paths, rep.Failed)
	}
}

// builder makes trees.
type builder struct {
	t    *testing.T
	root string
}

func (b builder) path(name string) string { return filepath.Join(b.root, name) }

func (b builder) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b builder) dir(name string) {
	b.t.Helper()
	b.check(os.MkdirAll(b.path(name), 0o755))
}

func (b builder) file(name, content string) {
	b.t.Helper()
	b.check(os.MkdirAll(filepath.Dir(b.path(name)), 0o755))
	b.check(os.WriteFile(b.path(name), []byte(content), 0o644))
}

func (b builder) link(from, to string) {
	b.t.Helper()
	b.check(os.MkdirAll(filepath.Dir(b.path(to)), 0o755))
	b.check(os.Link(b.path(from), b.path(to)))
}

func (b builder) mode(name string, mode uint32) {
	b.t.Helper()
	b.check(unix.Chmod(b.path(name), mode))
}

func (b builder) owner(name string, uid, gid int) {
	b.t.Helper()
	b.check(os.Lchown(b.path(name), uid, gid))
}

func (b builder) xattr(name, attr, value string) {
	b.t.Helper()
	b.check(unix.Lsetxattr(b.path(name), attr, []byte(value), 0))
}

func (b builder) mtime(name string, sec, nsec int64) {
	b.t.Helper()
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: sec, Nsec: nsec}}
	b.check(unix.UtimesNanoAt(unix.AT_FDCWD, b.path(name), ts, unix.AT_SYMLINK_NOFOLLOW))
}

// acl encodes an ACL that gives user 12345 the permissions perm (acl(5), linux/posix_acl_xattr.h).
func acl(perm byte) string {
	return "\x02\x00\x00\x00" +
		"\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00" + string(perm) + "\x00\x39\x30\x00\x00" +
		"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x06\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"
}

// netBind is cap_net_bind_service=ep (linux/capability.h, VFS_CAP_REVISION_2).
const netBind = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// tortured is a tree with everything that is hard to copy, and an archive of it. They are made once; tests only read
// them.
var tortured struct {
	sync.Once
	dir string // "" until they are made
	archived
	want []string // description of the tree
}

// torture gives a tree with everything that is hard to copy, its description, and a snapshot of it.
func torture(t *testing.T) (source string, want []string, a archived) {
	t.Helper()
	tortured.Do(func() {
		var err error
		if tortured.dir, err = os.MkdirTemp("", "restore"); err != nil {
			t.Fatal(err)
		}
		makeTorture(t, filepath.Join(tortured.dir, "source"))
		tortured.archived = archiveIn(t, filepath.Join(tortured.dir, "source"), filepath.Join(tortured.dir, "archive"))
		tortured.want = describe(t, filepath.Join(tortured.dir, "source"))
	})
	if tortured.want == nil {
		t.Fatal("the tree could not be made")
	}
	return filepath.Join(tortured.dir, "source"), tortured.want, archived{tortured.Source, t}
}

func removeTortured() error {
	if tortured.dir == "" {
		return nil
	}
	err := testtree.MakeWritable(tortured.dir)
	if tortured.Catalog != nil {
		err = errors.Join(err, tortured.Catalog.Close())
	}
	return errors.Join(err, os.RemoveAll(tortured.dir))
}

// makeTorture makes such a tree. Without root some of it is left out.
func makeTorture(t *testing.T, root string) {
	t.Helper()
	b := builder{t, root}
	b.dir("")

	b.file("plain", "hello\n")
	b.file("empty", "")
	b.file("a/group", "one inode, three names")
	b.link("a/group", "b/c/group")
	b.link("a/group", "z/other name")
	b.file("same content 1", "equal")
	b.file("same content 2", "equal")
	b.check(os.Symlink("plain", b.path("symlink")))
	b.check(os.Symlink("../nowhere/\n\xff", b.path("dangling")))
	b.check(os.Symlink("/etc", b.path("a/to a folder")))
	b.check(os.Symlink("anywhere", b.path("a/symlink")))
	b.link("a/symlink", "b/linked symlink")
	b.check(unix.Mkfifo(b.path("fifo"), 0o640))
	b.check(unix.Mkfifo(b.path("a/fifo"), 0o640))
	b.link("a/fifo", "z/fifo again")
	b.file("at the top", "x")
	b.link("at the top", "z/y/x/at the bottom")
	b.check(unix.Mknod(b.path("socket"), unix.S_IFSOCK|0o600, 0))
	for _, name := range []string{"new\nline", "\xff\xfe invalid", "..dots", "-rf", " ", "tab\t", strings.Repeat("n", 255)} {
		b.file("names/"+name, name)
		b.file("names/dir "+name[:min(len(name), 200)]+"/in", name)
	}
	for i := range 100 {
		b.file(fmt.Sprintf("many/%03d", i), fmt.Sprint(i))
	}

	large, err := os.Create(b.path("large"))
	b.check(err)
	piece := []byte(strings.Repeat("0123456789abcde\n", 1<<14))
	for range 20 {
		_, err := large.Write(piece)
		b.check(err)
		piece[0]++
	}
	b.check(large.Close())
	sparse, err := os.Create(b.path("sparse"))
	b.check(err)
	_, err = sparse.WriteAt([]byte("in the middle"), 1<<20)
	b.check(err)
	_, err = sparse.WriteAt([]byte("later"), 5<<20)
	b.check(err)
	b.check(sparse.Truncate(8 << 20))
	b.check(sparse.Close())
	b.check(os.WriteFile(b.path("all hole"), nil, 0o644))
	b.check(os.Truncate(b.path("all hole"), 1<<20))

	b.xattr("plain", "user.note", "a\x00b")
	b.xattr("plain", "user.empty", "")
	b.xattr("b", "user.dir", strings.Repeat("x", 1000))
	b.xattr("plain", "system.posix_acl_access", acl(4))
	b.xattr("b/c", "system.posix_acl_access", acl(6))
	b.xattr("b/c", "system.posix_acl_default", acl(5))

	b.mtime("plain", 1_234_567_890, 123_456_789)
	b.mtime("empty", -86_400*365*20, 1)
	b.mtime("symlink", 1, 999_999_999)
	b.mtime("fifo", 4_000_000_000, 5)
	b.mode("empty", 0o7777)
	b.mode("names", 0o1777)
	b.file("read only dir/file", "x")
	b.mode("read only dir", 0o555)
	b.mtime("read only dir", 946_684_800, 7)
	if testtree.Root() {
		b.tortureAsRoot()
	}
	b.deep("deep", 300)
	b.mode("", 0o751)
	b.mtime("", 1_000_000_000, 42)
}

func (b builder) tortureAsRoot() {
	b.t.Helper()
	b.check(unix.Mknod(b.path("char device"), unix.S_IFCHR|0o620, int(unix.Mkdev(1, 3))))
	b.check(unix.Mknod(b.path("block device"), unix.S_IFBLK|0o600, int(unix.Mkdev(259, 70_000))))
	b.file("program", "#!/bin/sh\n")
	b.owner("program", 1234, 5678)
	b.xattr("program", "security.capability", netBind)
	b.xattr("program", "trusted.secret", "s")
	b.file("set-id", "x")
	b.owner("set-id", 1234, 0)
	b.mode("set-id", 0o6755)
	b.owner("symlink", 77, 88)
	b.xattr("symlink", "trusted.on a link", "yes")
	b.xattr("fifo", "trusted.on a pipe", "yes")
	b.owner("socket", 4_294_967_294, 3)
	b.owner("b/c", 5, 6)
	b.mode("b/c", 0o2775)
	b.file("closed/inside/file", "y")
	b.link("a/group", "closed/group")
	b.mode("closed/inside/file", 0)
	b.mode("closed/inside", 0)
	b.mode("closed", 0)
}

// deep makes a chain of directories with a file in some, by handles because its path is too long for one call.
func (b builder) deep(name string, levels int) {
	b.t.Helper()
	b.dir(name)
	fd, err := fsat.OpenRoot(b.path(name))
	b.check(err)
	for i := range levels {
		level := fmt.Sprint(i % 10)
		b.check(fsat.Mkdir(fd, level, 0o755))
		next, err := fsat.OpenDir(fd, level)
		b.check(err)
		if i%50 == 49 {
			file, err := fsat.Create(next, "file", 0o644)
			b.check(err)
			b.check(fsat.Close(file))
		}
		b.check(fsat.SetMtimeAt(fd, level, fsat.Time{Sec: int64(i), Nsec: 1}))
		b.check(fsat.Close(fd))
		fd = next
	}
	b.check(fsat.Close(fd))
}
