package testtree

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Item is everything a snapshot promises to keep of one name.
type Item struct {
	Path    string // below the root; "." is the root itself
	Type    string // file, dir, symlink, fifo, socket, char, block
	Mode    uint32 // with set-ID and sticky bits
	Owner   string // UID:GID
	Mtime   string // seconds.nanoseconds
	Size    int64
	Content string // hash of a file's content; a symbolic link's target
	Device  string
	Holes   string // of a file: the 64 KiB pieces with data, if not all
	Xattrs  string // all of them, POSIX ACLs among them
	Group   string // the first path that shares the inode; empty: no other does

	// Not compared.
	Dev, Ino  uint64
	Allocated int64 // bytes of blocks, as the file system counts them
}

// Field is a set of parts of an item that a comparison leaves out.
type Field int

// Parts that some file systems cannot store.
const (
	Mode Field = 1 << iota
	Owner
	Mtime
	Holes
	Xattrs
	Group
	RootTime // modification time of the root alone
)

// Tree is a fingerprint: the items by path.
type Tree map[string]Item

// Take reads the tree at dir.
func Take(t testing.TB, dir string) Tree {
	t.Helper()
	tree, err := Read(dir)
	if err != nil {
		t.Fatalf("testtree: %v", err)
	}
	return tree
}

// Seen caches the items read, by inode, so that trees that share many inodes are compared quickly. It is valid as long
// as no inode changes.
type Seen map[[2]uint64]Item

// TakeAll is Take with a cache.
func TakeAll(t testing.TB, dir string, seen Seen) Tree {
	t.Helper()
	tree, err := ReadAll(dir, seen)
	if err != nil {
		t.Fatalf("testtree: %v", err)
	}
	return tree
}

// Read is Take for callers who handle errors themselves.
func Read(dir string) (Tree, error) { return ReadAll(dir, nil) }

// ReadAll is TakeAll for callers who handle errors themselves.
func ReadAll(dir string, seen Seen) (Tree, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	r := reader{fd: fd, tree: make(Tree), seen: seen, buf: make([]byte, 64<<10), value: make([]byte, 64<<10)}
	err = errors.Join(r.item(".", "."), r.below(""))
	if err = errors.Join(err, unix.Close(r.fd)); err != nil {
		return nil, err
	}
	r.tree.group()
	return r.tree, nil
}

// group sets the Group of each item.
func (tree Tree) group() {
	first := make(map[[2]uint64]string)
	count := make(map[[2]uint64]int)
	for path, it := range tree {
		key := [2]uint64{it.Dev, it.Ino}
		if f, ok := first[key]; !ok || path < f {
			first[key] = path
		}
		count[key]++
	}
	for path, it := range tree {
		it.Group = ""
		if key := [2]uint64{it.Dev, it.Ino}; count[key] > 1 && it.Type != "dir" {
			it.Group = first[key]
		}
		tree[path] = it
	}
}

// Remove removes the paths for which out is true from the tree, and from the groups of the others.
func (tree Tree) Remove(out func(path string) bool) {
	for path := range tree {
		if out(path) {
			delete(tree, path)
		}
	}
	tree.group()
}

// reader walks with one open directory at a time.
type reader struct {
	fd         int
	tree       Tree
	seen       Seen
	buf, value []byte
}

func (r *reader) below(path string) error {
	dup, err := unix.Openat(r.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(dup), path)
	names, err := f.Readdirnames(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		p := strings.TrimPrefix(path+"/"+name, "/")
		if err := r.item(name, p); err != nil {
			return err
		}
		if r.tree[p].Type != "dir" {
			continue
		}
		if err := r.descend(name, p); err != nil {
			return err
		}
	}
	return nil
}

// descend reads a directory below, with its parent closed meanwhile.
func (r *reader) descend(name, path string) error {
	child, err := unix.Openat(r.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	if err := unix.Close(r.fd); err != nil {
		return err
	}
	r.fd = child
	if err := r.below(path); err != nil {
		return err
	}
	up, err := unix.Openat(r.fd, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path + "/..", Err: err}
	}
	err = unix.Close(r.fd)
	r.fd = up
	return err
}

var kinds = map[uint32]string{
	unix.S_IFREG: "file", unix.S_IFDIR: "dir", unix.S_IFLNK: "symlink", unix.S_IFIFO: "fifo", unix.S_IFSOCK: "socket",
	unix.S_IFCHR: "char", unix.S_IFBLK: "block",
}

func (r *reader) item(name, path string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(r.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	key := [2]uint64{st.Dev, st.Ino}
	if it, known := r.seen[key]; known {
		it.Path = path
		r.tree[path] = it
		return nil
	}
	it := Item{
		Path: path, Type: kinds[st.Mode&unix.S_IFMT], Mode: st.Mode & 0o7777,
		Owner: fmt.Sprint(st.Uid, ":", st.Gid), Mtime: fmt.Sprintf("%d.%09d", st.Mtim.Sec, st.Mtim.Nsec),
		Dev: st.Dev, Ino: st.Ino,
		Allocated: st.Blocks * 512,
	}
	var err error
	switch it.Type {
	case "file":
		it.Size = st.Size
		it.Content, it.Holes, err = r.content(name, &st)
	case "symlink":
		buf := make([]byte, 4097)
		var n int
		n, err = unix.Readlinkat(r.fd, name, buf)
		it.Content = string(buf[:max(n, 0)])
	case "char", "block":
		it.Device = fmt.Sprint(unix.Major(st.Rdev), ":", unix.Minor(st.Rdev))
	}
	if err != nil {
		return &os.PathError{Op: "read", Path: path, Err: err}
	}
	if it.Xattrs, err = r.xattrs(fmt.Sprintf("/proc/self/fd/%d/%s", r.fd, name)); err != nil {
		return &os.PathError{Op: "xattrs", Path: path, Err: err}
	}
	r.tree[path] = it
	if r.seen != nil {
		r.seen[key] = it
	}
	return nil
}

const piece = 64 << 10

func (r *reader) content(name string, st *unix.Stat_t) (hash, holes string, err error) {
	fd, err := unix.Openat(r.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", "", err
	}
	f := os.NewFile(uintptr(fd), name)
	defer func() { err = errors.Join(err, f.Close()) }()
	if st.Size > 0 { // the number of blocks tells nothing: some file systems allocate more than they use
		if holes, err = dataMap(f, st.Size); err != nil {
			return "", "", err
		}
	}
	if st.Size > huge {
		hash, err = hashPieces(f, st.Size)
		return hash, holes, err
	}
	h := newHash()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", "", err
	}
	_, err = io.CopyBuffer(h, onlyReader{f}, r.buf)
	return fmt.Sprintf("%016x", h.Sum64()), holes, err
}

// seed makes hashes differ from process to process: they are for comparing within one, and quick.
var seed = maphash.MakeSeed()

func newHash() *maphash.Hash {
	h := new(maphash.Hash)
	h.SetSeed(seed)
	return h
}

// onlyReader hides that a file would choose a buffer of its own.
type onlyReader struct{ io.Reader }

// huge is the size from which the zeros of a file are not hashed.
const huge = 256 << 10

// hashPieces hashes the number and the content of each piece that is not all zeros, so that it does not matter whether
// those are data or holes.
func hashPieces(f *os.File, size int64) (string, error) {
	h := newHash()
	buf, zeros := make([]byte, piece), make([]byte, piece)
	for at := int64(0); at < size; {
		start, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return "", err
		}
		at = start / piece * piece
		n, err := f.ReadAt(buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		if !bytes.Equal(buf[:n], zeros[:n]) {
			fmt.Fprintf(h, "%d:%d:%s", at/piece, n, buf[:n])
		}
		at += piece
	}
	return fmt.Sprintf("pieces %016x", h.Sum64()), nil
}

// dataMap lists the runs of pieces that have data.
func dataMap(f *os.File, size int64) (string, error) {
	var runs []string
	for at := int64(0); at < size; {
		start, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return "", err
		}
		end, err := f.Seek(start, unix.SEEK_HOLE)
		if err != nil {
			return "", err
		}
		runs = append(runs, fmt.Sprint(start/piece, "-", (end-1)/piece))
		at = end
	}
	if len(runs) == 1 && runs[0] == fmt.Sprint("0-", (size-1)/piece) {
		return "", nil
	}
	return "data in " + strings.Join(runs, ","), nil
}

func (r *reader) xattrs(path string) (string, error) {
	n, err := unix.Llistxattr(path, r.buf)
	if errors.Is(err, unix.ENOTSUP) || n == 0 && err == nil {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var list []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(r.buf[:n]), "\x00"), "\x00") {
		if strings.HasPrefix(name, "trusted.SGI_ACL_") { // how XFS shows the ACLs once more
			continue
		}
		m, err := unix.Lgetxattr(path, name, r.value)
		if err != nil {
			return "", err
		}
		list = append(list, fmt.Sprintf("%s=%q", name, r.value[:m]))
	}
	slices.Sort(list)
	return strings.Join(list, " "), nil
}

// Diff lists how got differs from want, at most 20 lines.
func Diff(want, got Tree, without Field) []string {
	var lines []string
	for path := range want {
		w, inWant := want[path], true
		g, inGot := got[path]
		if line := differ(w, inWant, g, inGot, without); line != "" {
			lines = append(lines, line)
		}
	}
	for path, g := range got {
		if _, ok := want[path]; !ok {
			lines = append(lines, fmt.Sprintf("%q: %s that should not be there", path, g.Type))
		}
	}
	slices.Sort(lines)
	if n := len(lines); n > 20 {
		lines = append(lines[:20], fmt.Sprintf("and %d more", n-20))
	}
	return lines
}

func differ(w Item, _ bool, g Item, inGot bool, without Field) string {
	if !inGot {
		return fmt.Sprintf("%q: %s is missing", w.Path, w.Type)
	}
	var list []string
	add := func(field string, want, got any) {
		if want != got {
			list = append(list, fmt.Sprintf("%s is %v, want %v", field, got, want))
		}
	}
	add("type", w.Type, g.Type)
	if without&Mode == 0 && w.Type != "symlink" {
		add("mode", fmt.Sprintf("%04o", w.Mode), fmt.Sprintf("%04o", g.Mode))
	}
	if without&Owner == 0 {
		add("owner", w.Owner, g.Owner)
	}
	if without&Mtime == 0 && (w.Path != "." || without&RootTime == 0) {
		add("mtime", w.Mtime, g.Mtime)
	}
	add("size", w.Size, g.Size)
	add("content", w.Content, g.Content)
	add("device", w.Device, g.Device)
	if without&Holes == 0 {
		add("holes", w.Holes, g.Holes)
	}
	if without&Xattrs == 0 {
		add("extended attributes", w.Xattrs, g.Xattrs)
	}
	if without&Group == 0 {
		add("link group", w.Group, g.Group)
	}
	if list == nil {
		return ""
	}
	return fmt.Sprintf("%q: %s", w.Path, strings.Join(list, "; "))
}

// Equal fails the test if got differs from want, except in the fields left out.
func Equal(t testing.TB, what string, want, got Tree, without Field) {
	t.Helper()
	if lines := Diff(want, got, without); len(lines) > 0 {
		t.Errorf("%s:\n  %s", what, strings.Join(lines, "\n  "))
	}
}
