package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/zeebo/blake3"
	"golang.org/x/sys/unix"
)

const (
	listingBuffer = 64 << 10
	contentBuffer = 256 << 10 // stays in a core's cache between reading, hashing and writing
	ownJob        = 1 << 20   // a file of this size or more is left to whichever worker is free next
	noDir         = -1
)

// link makes next a tree of hard links to prev for what src lists.
func link(src, prev, next string, workers int) error {
	fd, err := openRoot(prev)
	if err != nil {
		return err
	}
	return build(src, fd, next, workers)
}

// copyTree makes next a copy of src.
func copyTree(src, next string, workers int) error { return build(src, noDir, next, workers) }

func build(src string, prev int, next string, workers int) error {
	unix.Umask(0) // a mode is given once, when the name is made
	b := &builder{linking: prev != noDir, uid: uint32(unix.Geteuid()), gid: uint32(unix.Getegid())}
	if b.uid == 0 {
		b.quiet = unix.O_NOATIME // others may not ask for it on files they do not own
	}
	root := &dir{name: []byte(next), prev: prev}
	root.users.Store(1)
	var err error
	if root.src, err = openRoot(src); err != nil {
		return err
	}
	if err := unix.Fstat(root.src, &root.st); err != nil {
		return &os.PathError{Op: "stat", Path: src, Err: err}
	}
	if err := unix.Mkdir(next, root.made()); err != nil {
		return &os.PathError{Op: "mkdir", Path: next, Err: err}
	}
	if root.next, err = openRoot(next); err != nil {
		return err
	}
	if b.root, err = unix.Dup(root.next); err != nil {
		return &os.PathError{Op: "dup", Path: next, Err: err}
	}
	defer unix.Close(b.root)

	if err := b.jobs.run(root, workers, b.newWorker); err != nil {
		return err
	}
	if err := unix.Syncfs(b.root); err != nil {
		return &os.PathError{Op: "syncfs", Path: next, Err: err}
	}
	return nil
}

func openRoot(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return noDir, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// builder is what the workers share.
type builder struct {
	jobs     jobs
	linking  bool
	root     int    // the new tree
	uid, gid uint32 // what a new file belongs to
	quiet    int    // flags that leave access times alone

	mu    sync.Mutex
	first map[inode]string // of each hard-link group: the name made first, from root on
}

type inode struct{ dev, ino uint64 }

// dir is a directory and its twins. Its handles stay open until the last of its sub-directories and big files has
// been opened by them.
type dir struct {
	parent          *dir
	name            []byte // ends with NUL, except the root's
	st              unix.Stat_t
	src, prev, next int
	users           atomic.Int32
}

// made is the mode that the twin of d is made with: its maker can always work in it.
func (d *dir) made() uint32 { return d.st.Mode&0o777 | 0o700 }

// path is d as seen from the root of the new tree.
func (d *dir) path() string {
	if d.parent == nil {
		return ""
	}
	return filepath.Join(d.parent.path(), unix.ByteSliceToString(d.name))
}

func (d *dir) failed(op string, name *byte, err error) error {
	return &os.PathError{Op: op, Path: filepath.Join(d.path(), unix.BytePtrToString(name)), Err: err}
}

// worker does jobs one after the other, with its own buffers.
type worker struct {
	*builder
	st      unix.Statx_t
	listing []byte
	content []byte
	hash    *blake3.Hasher
	sum     []byte
}

func (b *builder) newWorker() func(job) error {
	w := &worker{builder: b, listing: make([]byte, listingBuffer)}
	if !b.linking {
		w.content, w.hash = make([]byte, contentBuffer), blake3.New()
	}
	return w.do
}

func (w *worker) do(j job) error {
	var err error
	if j.file != nil {
		err = w.file(j.dir, &j.file[0], true)
	} else {
		err = w.directory(j.dir)
	}
	if err != nil {
		return err
	}
	return w.release(j.dir)
}

// release counts one user of d less. After the last one no entry is made in d any more: its twin gets what d has, and
// the handles are closed.
func (w *worker) release(d *dir) error {
	if d.users.Add(-1) > 0 {
		return nil
	}
	if !w.linking { // afterwards, attributes come from a record of the previous run: no call for directories without
		if err := w.xattrs(d.src, d.next); err != nil {
			return d.failed("xattr", nil, err)
		}
	}
	if err := w.dress(d.next, &d.st, d.made()); err != nil {
		return d.failed("metadata", nil, err)
	}
	unix.Close(d.src)
	unix.Close(d.next)
	if d.prev != noDir {
		unix.Close(d.prev)
	}
	return nil
}

// directory makes everything in d except big files and what is in sub-directories: those become jobs.
func (w *worker) directory(d *dir) error {
	if err := w.open(d); err != nil {
		return err
	}
	for {
		n, err := unix.Getdents(d.src, w.listing)
		if err != nil {
			return d.failed("getdents", nil, err)
		}
		if n == 0 {
			return nil
		}
		// The records of getdents64(2): inode u64, offset u64, length u16, type u8, name, NUL.
		for rest := w.listing[:n]; len(rest) > 0; {
			length := binary.NativeEndian.Uint16(rest[16:])
			name, kind := rest[19:length], uint32(rest[18])<<12
			rest = rest[length:]
			if name[0] == '.' && (name[1] == 0 || name[1] == '.' && name[2] == 0) {
				continue
			}
			if err := w.entry(d, name, kind); err != nil {
				return err
			}
		}
	}
}

// open opens d and its twins by the handles of its parent.
func (w *worker) open(d *dir) error {
	if d.parent == nil {
		return nil
	}
	p, name := d.parent, &d.name[0]
	var err error
	if d.src, err = openat(p.src, name, unix.O_RDONLY|unix.O_DIRECTORY|w.quiet, 0); err != nil {
		return p.failed("open", name, err)
	}
	d.prev = noDir
	if w.linking {
		if d.prev, err = openat(p.prev, name, unix.O_PATH|unix.O_DIRECTORY, 0); err != nil {
			return p.failed("open", name, err)
		}
	}
	if d.next, err = openat(p.next, name, unix.O_RDONLY|unix.O_DIRECTORY, 0); err != nil {
		return p.failed("open", name, err)
	}
	return w.release(p)
}

func (w *worker) entry(d *dir, name []byte, kind uint32) error {
	if !w.linking && kind == unix.S_IFREG {
		return w.file(d, &name[0], false)
	}
	if err := statx(d.src, &name[0], &w.st); err != nil {
		return d.failed("statx", &name[0], err)
	}
	kind = uint32(w.st.Mode) & unix.S_IFMT
	switch {
	case kind == unix.S_IFDIR:
		return w.subdirectory(d, name)
	case w.linking:
		if err := linkat(d.prev, d.next, &name[0]); err != nil {
			return d.failed("link", &name[0], err)
		}
		return nil
	case kind == unix.S_IFREG: // a file system that does not tell the type in a listing
		return w.file(d, &name[0], false)
	default:
		return w.special(d, &name[0], kind)
	}
}

// subdirectory makes the twin of the directory that w.st describes, and a job of it.
func (w *worker) subdirectory(d *dir, name []byte) error {
	sub := &dir{parent: d, name: bytes.Clone(name)}
	sub.st.Mode, sub.st.Uid, sub.st.Gid = uint32(w.st.Mode), w.st.Uid, w.st.Gid
	sub.st.Mtim = unix.Timespec{Sec: w.st.Mtime.Sec, Nsec: int64(w.st.Mtime.Nsec)}
	if err := mkdirat(d.next, &name[0], sub.made()); err != nil {
		return d.failed("mkdir", &name[0], err)
	}
	sub.users.Store(1)
	d.users.Add(1)
	w.jobs.add(job{dir: sub})
	return nil
}

// file copies the regular file name of d; unless it is big and isJob is not set: then it makes a job of it.
func (w *worker) file(d *dir, name *byte, isJob bool) error {
	src, err := openat(d.src, name, unix.O_RDONLY|w.quiet, 0)
	if err != nil {
		return d.failed("open", name, err)
	}
	defer unix.Close(src)
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return d.failed("stat", name, err)
	}
	if st.Size >= ownJob && !isJob {
		d.users.Add(1)
		w.jobs.add(job{dir: d, file: append([]byte(unix.BytePtrToString(name)), 0)})
		return nil
	}
	dst, err := w.create(d, name, &st)
	if err != nil {
		return d.failed("create", name, err)
	}
	if dst == linked {
		return nil
	}
	err = w.copyContent(src, dst, st.Size)
	if err == nil {
		err = w.xattrs(src, dst)
	}
	if err == nil {
		err = w.dress(dst, &st, st.Mode&0o1777)
	}
	if err2 := unix.Close(dst); err == nil {
		err = err2
	}
	if err != nil {
		return d.failed("copy", name, err)
	}
	return nil
}

const linked = -2 // what create returns when there is nothing to fill

// create makes the twin of a regular file: a new file, or a link to another one of its group made earlier.
func (w *worker) create(d *dir, name *byte, st *unix.Stat_t) (int, error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL
	if st.Nlink == 1 {
		return openat(d.next, name, flags, st.Mode&0o1777)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	group, leaf := inode{st.Dev, st.Ino}, unix.BytePtrToString(name)
	if first, ok := w.first[group]; ok {
		return linked, unix.Linkat(w.root, first, d.next, leaf, 0)
	}
	if w.first == nil {
		w.first = map[inode]string{}
	}
	w.first[group] = filepath.Join(d.path(), leaf)
	return openat(d.next, name, flags, st.Mode&0o1777)
}

// copyContent reads, hashes and writes size bytes, or fewer if the file has become shorter.
func (w *worker) copyContent(src, dst int, size int64) error {
	w.hash.Reset()
	for size > 0 {
		n, err := unix.Read(src, w.content[:min(size, contentBuffer)])
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		w.hash.Write(w.content[:n]) // documented never to fail
		for out := w.content[:n]; len(out) > 0; {
			m, err := unix.Write(dst, out)
			if err != nil {
				return err
			}
			out = out[m:]
		}
		size -= int64(n)
	}
	w.sum = w.hash.Sum(w.sum[:0])
	return nil
}

// xattrs copies the extended attributes that the file systems and the privileges allow.
func (w *worker) xattrs(src, dst int) error {
	var names [1024]byte
	n, err := unix.Flistxattr(src, names[:])
	if err == unix.ENOTSUP {
		return nil
	}
	if err != nil {
		return err
	}
	for list := names[:n]; len(list) > 0; {
		name, rest, _ := bytes.Cut(list, []byte{0})
		list = rest
		value := make([]byte, 64<<10) // the most the kernel hands out
		n, err := unix.Fgetxattr(src, string(name), value)
		if err != nil {
			return err
		}
		err = unix.Fsetxattr(dst, string(name), value[:n], 0)
		if err != nil && err != unix.EPERM && err != unix.ENOTSUP {
			return err
		}
	}
	return nil
}

// dress gives an open twin, made with the mode made, the owner, mode and time of st where they differ. Who may not give
// files away keeps them, as with cp.
func (w *worker) dress(twin int, st *unix.Stat_t, made uint32) error {
	if st.Uid != w.uid || st.Gid != w.gid {
		if err := unix.Fchown(twin, int(st.Uid), int(st.Gid)); err != nil && err != unix.EPERM {
			return err
		}
	}
	if st.Mode&0o7777 != made {
		if err := unix.Fchmod(twin, st.Mode&0o7777); err != nil {
			return err
		}
	}
	return setMtime(twin, nil, st.Mtim)
}

// special makes the twin of the entry that w.st describes: a symbolic link, FIFO, socket or device.
func (w *worker) special(d *dir, name *byte, kind uint32) error {
	leaf := unix.BytePtrToString(name)
	var err error
	if kind == unix.S_IFLNK {
		var target [unix.PathMax]byte
		var n int
		if n, err = unix.Readlinkat(d.src, leaf, target[:]); err == nil {
			err = unix.Symlinkat(string(target[:n]), d.next, leaf)
		}
	} else {
		err = unix.Mknodat(d.next, leaf, uint32(w.st.Mode), int(unix.Mkdev(w.st.Rdev_major, w.st.Rdev_minor)))
	}
	if err == nil && (w.st.Uid != w.uid || w.st.Gid != w.gid) {
		err = unix.Fchownat(d.next, leaf, int(w.st.Uid), int(w.st.Gid), unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.EPERM {
			err = nil
		}
	}
	if err == nil {
		err = setMtime(d.next, name, unix.Timespec{Sec: w.st.Mtime.Sec, Nsec: int64(w.st.Mtime.Nsec)})
	}
	if err != nil {
		return d.failed("make", name, err)
	}
	return nil
}
