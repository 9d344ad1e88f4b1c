package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// look reads the tree at root, by directory handles and with plain system calls, without changing an access time.
func look(root string) (tree, error) {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOATIME|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: root, Err: err}
	}
	l := looker{tree: make(tree), names: make(map[[2]uint64][]string)}
	// What is allocated is known only of what has been written out.
	err = errors.Join(unix.Syncfs(fd), l.item(fd, ".", "."))
	if err = errors.Join(err, l.below(fd, "")); err != nil {
		return nil, err
	}
	for _, paths := range l.names {
		slices.Sort(paths)
		for _, p := range paths {
			l.tree[p][links] = strings.Join(paths, "\x00")
		}
	}
	return l.tree, nil
}

type looker struct {
	tree  tree
	names map[[2]uint64][]string // of each inode that is no directory
}

// below reads the names in an open directory, and closes it.
func (l *looker) below(fd int, path string) (err error) {
	f := os.NewFile(uintptr(fd), path)
	defer func() { err = errors.Join(err, f.Close()) }()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		p := strings.TrimPrefix(path+"/"+name, "/")
		if err := l.item(fd, name, p); err != nil {
			return err
		}
		if l.tree[p][kind] != "folder" {
			continue
		}
		child, err := openQuiet(fd, name, unix.O_DIRECTORY)
		if err != nil {
			return &os.PathError{Op: "open", Path: p, Err: err}
		}
		if err := l.below(child, p); err != nil {
			return err
		}
	}
	return nil
}

func openQuiet(dir int, name string, how int) (int, error) {
	return unix.Openat(dir, name, how|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NOATIME|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

var kinds = map[uint32]string{
	unix.S_IFREG: "file", unix.S_IFDIR: "folder", unix.S_IFLNK: "symlink", unix.S_IFIFO: "FIFO", unix.S_IFSOCK: "socket",
	unix.S_IFCHR: "character device", unix.S_IFBLK: "block device",
}

func (l *looker) item(dir int, name, path string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	it := item{
		kind:  kinds[st.Mode&unix.S_IFMT],
		mode:  fmt.Sprintf("%04o", st.Mode&0o7777),
		owner: fmt.Sprint(st.Uid, ":", st.Gid),
		mtime: fmt.Sprintf("%d.%09d", st.Mtim.Sec, st.Mtim.Nsec),
		atime: fmt.Sprintf("%d.%09d", st.Atim.Sec, st.Atim.Nsec),
	}
	var err error
	switch it[kind] {
	case "file", "folder":
		err = l.opened(dir, name, it, &st)
	case "symlink":
		buf := make([]byte, 4097)
		var n int
		n, err = unix.Readlinkat(dir, name, buf)
		it[content] = string(buf[:max(n, 0)])
	case "character device", "block device":
		it[device] = fmt.Sprint(unix.Major(st.Rdev), ":", unix.Minor(st.Rdev))
	}
	if err == nil {
		it[xattrs], err = readXattrs(fmt.Sprintf("/proc/self/fd/%d/%s", dir, name))
	}
	if err != nil {
		return &os.PathError{Op: "look at", Path: path, Err: err}
	}
	if it[kind] != "folder" {
		inode := [2]uint64{st.Dev, st.Ino}
		l.names[inode] = append(l.names[inode], path)
	}
	l.tree[path] = it
	return nil
}

// kernelFlags are those that say how the file system stores a file; nobody sets them with chattr: extents, index, huge,
// ea_inode, inline.
const kernelFlags = 0x00080000 | 0x00001000 | 0x00040000 | 0x00200000 | 0x10000000

// opened reads what takes a handle.
func (l *looker) opened(dir int, name string, it item, st *unix.Stat_t) (err error) {
	fd, err := openQuiet(dir, name, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer func() { err = errors.Join(err, f.Close()) }()
	if bits, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS); err == nil {
		it[flags] = fmt.Sprintf("%#x", bits&^kernelFlags)
	} else if !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	if it[kind] == "folder" {
		return nil
	}
	it[space] = fmt.Sprint(st.Blocks * 512)
	it[content], it[size], it[holes], err = readContent(f, st)
	return err
}

// readContent digests what is not zero, with its place, so that zeros count the same in a hole and outside, and a file
// of many terabytes takes no longer than its data. The size is that of what can be read: /proc reports none.
func readContent(f *os.File, st *unix.Stat_t) (digest, size, holes string, err error) {
	if st.Blocks*512 >= st.Size {
		h := sha256.New()
		end, err := digestRange(f, h, 0, 1<<62)
		return hex.EncodeToString(h.Sum(nil)), fmt.Sprint(end), "none", err
	}
	const piece = 64 << 10 // a hole smaller than this is no loss
	h := sha256.New()
	var data [][2]int64 // pieces
	for at := int64(0); at < st.Size; {
		start, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return "", "", "", err
		}
		if at, err = f.Seek(start, unix.SEEK_HOLE); err != nil {
			return "", "", "", err
		}
		if _, err := digestRange(f, h, start/block*block, at); err != nil {
			return "", "", "", err
		}
		first, last := start/piece, (at-1)/piece
		if n := len(data); n > 0 && data[n-1][1] >= first-1 {
			data[n-1][1] = last
		} else {
			data = append(data, [2]int64{first, last})
		}
	}
	return hex.EncodeToString(h.Sum(nil)), fmt.Sprint(st.Size), fmt.Sprint("data in ", data), nil
}

const block = 4096

// digestRange adds the blocks from start up to end, or the end of the file, and tells where it stopped.
func digestRange(f *os.File, h hash.Hash, start, end int64) (int64, error) {
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		return 0, err
	}
	r := bufio.NewReaderSize(io.LimitReader(f, end-start), 1<<20)
	buf, zero := make([]byte, block), make([]byte, block)
	for at := start; ; {
		n, err := io.ReadFull(r, buf)
		if n > 0 && !slices.Equal(buf[:n], zero[:n]) {
			var place [8]byte
			binary.BigEndian.PutUint64(place[:], uint64(at))
			h.Write(append(place[:], buf[:n]...))
		}
		at += int64(n)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return at, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// readXattrs gives all extended attributes of a name as one text.
func readXattrs(path string) (string, error) {
	list := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, list)
	if err != nil || n == 0 {
		if errors.Is(err, unix.ENOTSUP) {
			err = nil
		}
		return "", err
	}
	value := make([]byte, 64<<10)
	var lines []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		lines = append(lines, fmt.Sprintf("%s=%x", name, value[:n]))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}
