package tarball

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

// tool is a program that extracts archives, and what it cannot do.
type tool struct {
	name string
	args []string
	// loses says, by path, in what an extracted entry differs from the source, and why.
	loses map[string]loss
}

type loss struct {
	field testtree.Field
	why   string
}

var tools = []tool{
	{name: "tar", args: []string{"-xp", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner"}},
	{name: "bsdtar", args: []string{"-xp", "--xattrs", "--acls", "--numeric-owner"}, loses: map[string]loss{
		"empty":              {testtree.Mtime, negativeTime},
		"tar/time -0.5":      {testtree.Mtime, negativeTime},
		"tar/time -86400":    {testtree.Mtime, negativeTime},
		"tar/acl large id":   {testtree.Xattrs, "libarchive holds the ids of an ACL in an int"},
		"tar/xattr user.50%": {testtree.Xattrs, escapedName},
		"tar/xattr user.a=b": {testtree.Xattrs, escapedName},
	}},
}

const (
	negativeTime = "libarchive adds the fraction of a negative time instead of subtracting it"
	escapedName  = "libarchive does not know how GNU tar escapes = and % in the names of attributes"
)

// extract runs the program on an archive.
func (tool *tool) extract(t *testing.T, archive []byte, to string, more ...string) (stderr string, err error) {
	t.Helper()
	path := testtree.Need(t, tool.name)
	args := append(slices.Clone(tool.args), more...)
	cmd := exec.Command(path, append(args, "-f", "-", "-C", to)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = bytes.NewReader(archive)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// sameButFor compares an extracted tree with the source. What the program loses must differ: the list stays true.
func sameButFor(t *testing.T, want, got testtree.Tree, loses map[string]loss) {
	t.Helper()
	want = maps.Clone(want)
	delete(want, "socket") // tar has none
	for path, l := range loses {
		one := func(tree testtree.Tree) testtree.Tree {
			item := tree[path]
			item.Group = ""
			return testtree.Tree{path: item}
		}
		if testtree.Diff(one(want), one(got), 0) == nil {
			t.Errorf("%s is right, though: %s", path, l.why)
		}
		for _, line := range testtree.Diff(one(want), one(got), l.field) {
			t.Error(line)
		}
		delete(want, path)
		delete(got, path)
	}
	testtree.Equal(t, "extracted tree", want, got, 0)
}

// tarTorture adds to the tree of makeTorture what is hard for tar.
func tarTorture(t *testing.T, root string) {
	t.Helper()
	testarchive.MakeTorture(t, root)
	b := testarchive.Builder{T: t, Root: root}
	long := strings.Repeat("long/", 30) + strings.Repeat("n", 200)
	for _, name := range []string{
		"tar/" + long, "tar/" + long + "\xff", "tar/\u00fc", "tar/" + long[50:] + "\u00fc",
		"tar/" + strings.Repeat("p", 99) + "/" + strings.Repeat("q", 90), "tar/-C", "tar/@file", "tar/back\\slash", "tar/*?[",
		"tar/ends in a blank ", "tar/PaxHeaders/x", "tar/" + strings.Repeat("\u00fc", 127),
	} {
		b.File(name, name)
	}
	b.Link("tar/"+long, "tar/link to long")
	b.Link("tar/"+long+"\xff", "tar/link to long\xff")
	b.Check(os.Symlink(strings.Repeat("t", 101), b.Path("tar/symlink 101")))
	b.Check(os.Symlink(strings.Repeat("t", 100), b.Path("tar/symlink 100")))
	b.Check(os.Symlink(strings.Repeat("\xff/", 2000), b.Path("tar/symlink long")))
	b.Check(os.Symlink("../../../etc/passwd", b.Path("tar/symlink out")))
	b.Link("tar/symlink out", "tar/symlink out again")

	for i, at := range []int64{-1, -86400, -1 << 31, 1<<31 - 1, 1 << 31, 1<<33 - 1, 1 << 33} {
		name := fmt.Sprintf("tar/time %d", at)
		b.File(name, "")
		b.Mtime(name, at, int64(i%2)*5)
	}
	b.File("tar/time -0.5", "")
	b.Mtime("tar/time -0.5", -1, 500_000_000)
	for _, id := range []int{2097151, 2097152, 65534, 4294967294} {
		name := fmt.Sprintf("tar/id %d", id)
		b.File(name, "")
		b.Owner(name, id, id-1)
	}
	b.File("tar/acl ids", "")
	b.Xattr("tar/acl ids", "system.posix_acl_access", aclFor(0, 2147483647))
	b.File("tar/acl large id", "")
	b.Xattr("tar/acl large id", "system.posix_acl_access", aclFor(2147483648, 4294967294))

	for _, name := range []string{"user.a=b", "user.50%", "user.line\nline", "user.\u00fc", "user.\xff"} {
		file := "tar/xattr " + strings.ReplaceAll(name, "\n", "")
		b.File(file, "")
		b.Xattr(file, name, "v")
	}
	b.File("tar/xattr binary", "")
	b.Xattr("tar/xattr binary", "user.binary", "\n12 a=b\n\x00\xff=")
	b.Xattr("tar/xattr binary", "user.large", strings.Repeat("v", 3000))
	b.Dir("tar/inherits")
	b.Xattr("tar/inherits", "system.posix_acl_default", testarchive.ACL(5))
	b.File("tar/inherits/nothing/file", "x")
	b.Check(unix.Removexattr(b.Path("tar/inherits/nothing"), "system.posix_acl_default"))
	b.Check(unix.Removexattr(b.Path("tar/inherits/nothing/file"), "system.posix_acl_access"))
	b.Check(unix.Removexattr(b.Path("tar/inherits/nothing"), "system.posix_acl_access"))

	for _, f := range []struct {
		name   string
		size   int64
		pieces []int64
	}{
		{"begins with data", 1 << 20, []int64{0}},
		{"ends with data", 1<<20 + 5, []int64{1 << 20}},
		{"sparse\xff", 1 << 20, []int64{1 << 19}},
		{strings.Repeat("sparse", 30), 1 << 20, []int64{1 << 19}},
	} {
		pieces(b, "tar/"+f.name, f.size, f.pieces)
	}
	var many []int64
	for i := range int64(300) {
		many = append(many, i<<17)
	}
	pieces(b, "tar/many pieces", 300<<17, many)
	b.Check(os.WriteFile(b.Path("tar/large and sparse"), testtree.Random(3<<20, 1), 0o644))
	b.Check(os.Truncate(b.Path("tar/large and sparse"), 64<<20))
	b.Mode("", 0o751)
	b.Mtime("", 1_000_000_000, 42)
}

// pieces makes a file that is a hole but for some bytes at the given places.
func pieces(b testarchive.Builder, name string, size int64, at []int64) {
	b.T.Helper()
	f, err := os.Create(b.Path(name))
	b.Check(err)
	for i, off := range at {
		_, err := f.WriteAt([]byte(fmt.Sprint("piece", i)), off)
		b.Check(err)
	}
	b.Check(f.Truncate(size))
	b.Check(f.Close())
}

// aclFor encodes an ACL with an entry for a user and one for a group.
func aclFor(user, group uint32) string {
	le := binary.LittleEndian
	b := []byte("\x02\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff\x02\x00\x07\x00")
	b = append(le.AppendUint32(b, user), "\x04\x00\x04\x00\xff\xff\xff\xff\x08\x00\x01\x00"...)
	b = le.AppendUint32(b, group)
	return string(b) + "\x10\x00\x07\x00\xff\xff\xff\xff\x20\x00\x04\x00\xff\xff\xff\xff"
}
