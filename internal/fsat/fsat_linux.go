package fsat

import (
	"bytes"
	"encoding/binary"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OpenRoot opens the directory at path, following symbolic links. It is meant for a path that a person typed.
func OpenRoot(path string) (int, error) {
	return open(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY)
}

// OpenDir opens the directory name in dir, without changing its access time if that is permitted.
func OpenDir(dir int, name string) (int, error) {
	return openQuiet(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
}

// OpenParent opens the directory above dir.
func OpenParent(dir int) (int, error) { return OpenDir(dir, "..") }

// leaseTime is a little more than the time the kernel gives the owner of a lease to end it (fs.lease-break-time, 45 s
// by default).
const leaseTime = 50 * time.Second

// OpenFile opens a file for reading, without changing its access time if that is permitted. It never waits for the
// other end of a pipe. It waits for a program with a lease on the file, as file servers have: the first attempt to
// open asks that program to end the lease.
func OpenFile(dir int, name string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY
	fd, err := openQuiet(dir, name, flags)
	if err != unix.EAGAIN { // nearly always
		return fd, err
	}
	for wait, end := time.Millisecond, time.Now().Add(leaseTime); err == unix.EAGAIN && time.Now().Before(end); {
		time.Sleep(wait)
		wait = min(2*wait, time.Second)
		fd, err = openQuiet(dir, name, flags)
	}
	return fd, err
}

// Create makes a new regular file, open for reading and writing. It fails if the name exists.
func Create(dir int, name string, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// CreateUnnamed makes a regular file in dir that has no name yet, open for reading and writing; without a name it
// vanishes with its handle. If the file system cannot make such a file, or the file could not get a name later,
// IsUnnamedRefused reports the error.
func CreateUnnamed(dir int, mode uint32) (int, error) {
	if !HasProc() { // older kernels link such a file by its path in /proc, unless privileged
		return NoDir, unix.ENOTSUP
	}
	for {
		fd, err := unix.Openat(dir, ".", unix.O_RDWR|unix.O_TMPFILE|unix.O_CLOEXEC, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// IsUnnamedRefused reports a file system without unnamed files.
func IsUnnamedRefused(err error) bool {
	return IsRefused(err) || is(err, unix.EISDIR, unix.ENOENT)
}

// LinkUnnamed gives a file made by CreateUnnamed its name.
func LinkUnnamed(fd int, dir int, name string) error {
	err := retry(func() error { return unix.Linkat(fd, "", dir, name, unix.AT_EMPTY_PATH) })
	if (err == unix.ENOENT || err == unix.EPERM || err == unix.ENOSYS) && HasProc() { // without the privilege for that
		path := handlePath(fd)
		err = retry(func() error { return unix.Linkat(unix.AT_FDCWD, path, dir, name, unix.AT_SYMLINK_FOLLOW) })
	}
	return err
}

// Exchange swaps two names in one step.
func Exchange(oldDir int, oldName string, newDir int, newName string) error {
	return retry(func() error { return unix.Renameat2(oldDir, oldName, newDir, newName, unix.RENAME_EXCHANGE) })
}

// openQuiet opens with O_NOATIME, which only root and the owner of a file may use, or without it after a refusal.
func openQuiet(dir int, name string, flags int) (int, error) {
	fd, err := open(dir, name, flags|unix.O_NOATIME)
	if err == unix.EPERM {
		return open(dir, name, flags)
	}
	return fd, err
}

// retry repeats a call that a signal interrupted before it did anything.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func open(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// Close closes a handle; NoDir is ignored.
func Close(fd int) error {
	if fd < 0 {
		return nil
	}
	err := unix.Close(fd)
	if err == unix.EINTR { // Linux has closed it all the same
		return nil
	}
	return err
}

const statMask = unix.STATX_BASIC_STATS | unix.STATX_BTIME | unix.STATX_MNT_ID

// StatAt fills st for name in dir. A symbolic link is described, not followed.
func StatAt(dir int, name string, st *Stat) error {
	return statx(dir, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, st)
}

// DeviceAt returns the device number of the file system of name in dir. It works even where StatAt fails: a FUSE mount
// of another user, or a file system whose server is away, still reports this number. ok is false if it does not.
func DeviceAt(dir int, name string) (dev uint64, ok bool) {
	var x unix.Statx_t
	for {
		err := unix.Statx(dir, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &x)
		if err != unix.EINTR {
			return unix.Mkdev(x.Dev_major, x.Dev_minor), err == nil
		}
	}
}

// StatHandle fills st for an open file or directory.
func StatHandle(fd int, st *Stat) error {
	return statx(fd, "", unix.AT_EMPTY_PATH, st)
}

// CanSearch returns the error of looking up names in an open folder; nil: they can be looked up. It asks the system only if
// the mode in st leaves that open, so that most folders cost no call.
func CanSearch(dir int, st *Stat) error {
	const user, all = 0o100, 0o111
	switch me := effectiveUser(); {
	case st.Mode&all == all, st.Mode&user != 0 && st.UID == me, st.Mode&all != 0 && me == 0:
		return nil
	}
	var again Stat
	return StatAt(dir, ".", &again) // "." is a name that is looked up as any other
}

var effectiveUser = sync.OnceValue(func() uint32 { return uint32(os.Geteuid()) })

func statx(dir int, name string, flags int, st *Stat) error {
	var x unix.Statx_t
	for {
		err := unix.Statx(dir, name, flags, statMask, &x)
		if err == unix.EINTR {
			continue
		}
		if err == unix.ENOSYS || err == unix.EPERM { // an old kernel, or a sandbox that does not know the call
			return fstatat(dir, name, flags, st)
		}
		if err != nil {
			return err
		}
		break
	}
	*st = Stat{
		Type:  uint32(x.Mode) & TypeMask,
		Mode:  uint32(x.Mode) & 0o7777,
		UID:   x.Uid,
		GID:   x.Gid,
		Nlink: x.Nlink,
		Dev:   unix.Mkdev(x.Dev_major, x.Dev_minor),
		Ino:   x.Ino,
		Mount: x.Mnt_id,
		Size:  int64(x.Size), Blocks: int64(x.Blocks), BlockLen: int64(max(x.Blksize, 512)),
		Major: x.Rdev_major, Minor: x.Rdev_minor,
		Mtime: Time{x.Mtime.Sec, x.Mtime.Nsec},
		Ctime: Time{x.Ctime.Sec, x.Ctime.Nsec},
		Btime: Time{x.Btime.Sec, x.Btime.Nsec},
		// statx(2) and ioctl_iflags(2) use the same numbers.
		Attrs: uint32(x.Attributes&x.Attributes_mask) & sharedAttrs, AttrsTold: uint32(x.Attributes_mask) & sharedAttrs,
		Mounted: x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0,
	}
	return nil
}

// ReadDir lists an open directory, sorted by name, each name once, without "." and "..". buf is working space (64 KiB is
// plenty). If an error ends the listing early, ReadDir returns the names read so far with the error.
func ReadDir(dir int, buf []byte) ([]DirEntry, error) {
	var list []DirEntry
	for {
		n, err := unix.Getdents(dir, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return sorted(list), err
		}
		if n == 0 {
			return sorted(list), nil
		}
		list = parseDirents(list, buf[:n])
	}
}

// parseDirents reads the records of getdents64(2): inode u64, offset u64, length u16, type u8, name, NUL.
func parseDirents(list []DirEntry, b []byte) []DirEntry {
	const nameAt = 19
	text := string(b) // one allocation; the names are parts of it
	list = slices.Grow(list, len(b)/40)
	for off := 0; off+nameAt <= len(b); {
		length := int(binary.NativeEndian.Uint16(b[off+16:]))
		end := bytes.IndexByte(b[off+nameAt:off+length], 0)
		name := text[off+nameAt : off+nameAt+end]
		if name != "." && name != ".." {
			list = append(list, DirEntry{Name: name, Type: uint32(b[off+18]) << 12})
		}
		off += length
	}
	return list
}

// sorted sorts names and drops those that were listed twice: some file systems do that with a name that is removed and
// made again meanwhile.
func sorted(list []DirEntry) []DirEntry {
	slices.SortFunc(list, func(a, b DirEntry) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(list, func(a, b DirEntry) bool { return a.Name == b.Name })
}

// Link makes newName in newDir another name of oldName in oldDir. It links a symbolic link itself.
func Link(oldDir int, oldName string, newDir int, newName string) error {
	for {
		if err := unix.Linkat(oldDir, oldName, newDir, newName, 0); err != unix.EINTR {
			return err
		}
	}
}

// Mkdir makes a directory.
func Mkdir(dir int, name string, mode uint32) error {
	return retry(func() error { return unix.Mkdirat(dir, name, mode) })
}

// MakeSymlink makes name in dir a symbolic link to target.
func MakeSymlink(target string, dir int, name string) error {
	return retry(func() error { return unix.Symlinkat(target, dir, name) })
}

// MakeNode makes a FIFO, a socket or a device. typ is one of the types of this package.
func MakeNode(dir int, name string, typ, mode, major, minor uint32) error {
	return retry(func() error { return unix.Mknodat(dir, name, typ|mode&0o777, int(unix.Mkdev(major, minor))) })
}

// Readlink returns the target of a symbolic link; size is a hint for its length.
func Readlink(dir int, name string, size int64) (string, error) {
	buf := make([]byte, max(size, 63)+1)
	for {
		n, err := unix.Readlinkat(dir, name, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		if n < len(buf) {
			return string(buf[:n]), nil
		}
		buf = make([]byte, 2*len(buf))
	}
}

// Rename moves a name and replaces newName if it exists.
func Rename(oldDir int, oldName string, newDir int, newName string) error {
	return retry(func() error { return unix.Renameat(oldDir, oldName, newDir, newName) })
}

// RenameNew moves a name and fails with EEXIST if newName exists. If the file system or a sandbox does not permit that
// in one step, RenameNew looks first and then renames: no other process may make names there.
func RenameNew(oldDir int, oldName string, newDir int, newName string) error {
	err := retry(func() error { return unix.Renameat2(oldDir, oldName, newDir, newName, unix.RENAME_NOREPLACE) })
	if err != unix.EINVAL && err != unix.ENOSYS && err != unix.ENOTSUP && err != unix.EPERM {
		return err
	}
	var st Stat
	switch err := StatAt(newDir, newName, &st); err {
	case nil:
		return unix.EEXIST
	case unix.ENOENT:
		return Rename(oldDir, oldName, newDir, newName)
	default:
		return err
	}
}

// Unlink removes a name that is not a directory.
func Unlink(dir int, name string) error { return unlinkat(dir, name, 0) }

// Rmdir removes an empty directory.
func Rmdir(dir int, name string) error { return unlinkat(dir, name, unix.AT_REMOVEDIR) }

func unlinkat(dir int, name string, flags int) error {
	return retry(func() error { return unix.Unlinkat(dir, name, flags) })
}

// Read fills buf from offset off and returns the number of bytes read: less than len(buf) only at the end of the file.
func Read(fd int, buf []byte, off int64) (int, error) {
	n := 0
	for n < len(buf) {
		m, err := unix.Pread(fd, buf[n:], off+int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return n, err
		}
		if m == 0 {
			break
		}
		n += m
	}
	return n, nil
}

// ReadSome is a single read; 0 bytes mean the end of the file.
func ReadSome(fd int, buf []byte, off int64) (int, error) {
	for {
		n, err := unix.Pread(fd, buf, off)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// Write writes all of buf at offset off.
func Write(fd int, buf []byte, off int64) error {
	for len(buf) > 0 {
		n, err := unix.Pwrite(fd, buf, off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		buf, off = buf[n:], off+int64(n)
	}
	return nil
}

// Truncate sets the size of an open file.
func Truncate(fd int, size int64) error {
	for {
		if err := unix.Ftruncate(fd, size); err != unix.EINTR {
			return err
		}
	}
}

// NextData returns the next range [start, end) of data at or after off, for a file of the given size. ok is false if
// only a hole follows. A file system without holes reports everything as data.
func NextData(fd int, off, size int64) (start, end int64, ok bool, err error) {
	start, err = seek(fd, off, unix.SEEK_DATA)
	switch err {
	case nil:
	case unix.ENXIO:
		return 0, 0, false, nil
	case unix.EINVAL, unix.ENOTSUP:
		return off, size, off < size, nil
	default:
		return 0, 0, false, err
	}
	if start >= size {
		return 0, 0, false, nil
	}
	end, err = seek(fd, start, unix.SEEK_HOLE)
	if err == unix.ENXIO { // cut short meanwhile
		return 0, 0, false, nil
	}
	return start, min(end, size), err == nil, err
}

// HasHoles reports whether a file of the given size may have holes: its file system says so, or cannot answer now. A
// file system that does not know holes, and says that, has none.
func HasHoles(fd int, size int64) bool {
	if size == 0 {
		return false
	}
	switch hole, err := seek(fd, 0, unix.SEEK_HOLE); err {
	case nil:
		return hole < size
	case unix.ENXIO, unix.EINVAL, unix.ENOTSUP:
		return false
	}
	return true // NextData meets the error, too, or finds the holes
}

func seek(fd int, off int64, whence int) (int64, error) {
	for {
		at, err := unix.Seek(fd, off, whence)
		if err != unix.EINTR {
			return at, err
		}
	}
}

// Clone makes dst share the content of src (a reflink). Both must be on one file system that supports it.
func Clone(dst, src int) error { return retry(func() error { return unix.IoctlFileClone(dst, src) }) }

// Dedupe makes the first size bytes of dst share the blocks of src; the system compares them first. It reports false
// if they differ or the file system cannot share blocks; some blocks may then be shared already.
func Dedupe(dst, src int, size int64) (bool, error) {
	const most = 16 << 20 // the most that all file systems take at a time
	for at := int64(0); at < size; {
		r := unix.FileDedupeRange{
			Src_offset: uint64(at), Src_length: uint64(min(size-at, most)),
			Info: []unix.FileDedupeRangeInfo{{Dest_fd: int64(dst), Dest_offset: uint64(at)}},
		}
		err := unix.IoctlFileDedupeRange(src, &r)
		if err == unix.EINTR {
			continue
		}
		if err != nil || r.Info[0].Status != unix.FILE_DEDUPE_RANGE_SAME || r.Info[0].Bytes_deduped == 0 {
			return false, err
		}
		at += int64(r.Info[0].Bytes_deduped)
	}
	return true, nil
}

// Chown sets the owner of an open file or directory.
func Chown(fd int, uid, gid uint32) error {
	return retry(func() error { return unix.Fchown(fd, int(uid), int(gid)) })
}

// ChownAt sets the owner of name in dir, of a symbolic link itself.
func ChownAt(dir int, name string, uid, gid uint32) error {
	return retry(func() error { return unix.Fchownat(dir, name, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW) })
}

// Chmod sets the mode of an open file or directory.
func Chmod(fd int, mode uint32) error { return retry(func() error { return unix.Fchmod(fd, mode) }) }

// ChmodAt sets the mode of name in dir, which must be new, made by the caller, and not a symbolic link.
func ChmodAt(dir int, name string, mode uint32) error {
	return retry(func() error { return unix.Fchmodat(dir, name, mode, 0) })
}

const utimeOmit = 0x3ffffffe

// SetMtime sets the modification time of an open file or directory and leaves the access time.
func SetMtime(fd int, t Time) error {
	return setMtime(t, func(ts *[2]unix.Timespec) error {
		_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(ts)), 0, 0, 0)
		if e != 0 {
			return e
		}
		return nil
	}, func(st *unix.Stat_t) error { return unix.Fstat(fd, st) })
}

// SetMtimeAt sets the modification time of name in dir, of a symbolic link itself.
func SetMtimeAt(dir int, name string, t Time) error {
	return setMtime(t, func(ts *[2]unix.Timespec) error {
		return unix.UtimesNanoAt(dir, name, ts[:], unix.AT_SYMLINK_NOFOLLOW)
	}, func(st *unix.Stat_t) error { return unix.Fstatat(dir, name, st, unix.AT_SYMLINK_NOFOLLOW) })
}

// setMtime sets a modification time. Many file systems in user space (with libfuse 2) ignore a call that leaves the
// access time alone, and still report success: if the time is still another one, setMtime repeats the call with
// the present access time. The first call never has it, because exfat-fuse would then set the times of folders late.
func setMtime(t Time, set func(*[2]unix.Timespec) error, look func(*unix.Stat_t) error) error {
	ts := [2]unix.Timespec{{Nsec: utimeOmit}, {Sec: t.Sec, Nsec: int64(t.Nsec)}}
	if err := retry(func() error { return set(&ts) }); err != nil {
		return err
	}
	const coarsest = 2 // seconds; the coarsest unit in which file systems keep times
	var st unix.Stat_t
	if err := retry(func() error { return look(&st) }); err != nil {
		return err
	}
	if off := st.Mtim.Sec - t.Sec; off > -coarsest && off < coarsest {
		return nil
	}
	ts[0] = unix.NsecToTimespec(time.Now().UnixNano())
	return retry(func() error { return set(&ts) })
}

// DropCache makes the system drop its cached pages of an open file, so that the next read asks the disk.
func DropCache(fd int) error { return unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) }

// Sync makes an open file or directory durable.
func Sync(fd int) error {
	for {
		err := unix.Fsync(fd)
		if err == unix.EINVAL { // this kind of file has nothing to sync on this file system
			return nil
		}
		if err != unix.EINTR {
			return err
		}
	}
}

// SyncFS makes everything on the file system of fd durable, unless Space.NeedsFsync. In a sandbox that refuses the
// call, it syncs all file systems, which takes longer and reports no error.
func SyncFS(fd int) error {
	err := retry(func() error { return unix.Syncfs(fd) })
	if err == unix.ENOSYS || err == unix.EPERM {
		unix.Sync()
		return nil
	}
	return err
}

// Umask returns the bits that the system removes from the mode of every file this process makes; all bits if unknown.
func Umask() uint32 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0o777
	}
	_, rest, ok := strings.Cut(string(status), "\nUmask:")
	if !ok {
		return 0o777
	}
	line, _, _ := strings.Cut(rest, "\n")
	mask, err := strconv.ParseUint(strings.TrimSpace(line), 8, 32)
	if err != nil {
		return 0o777
	}
	return uint32(mask)
}

// LockExclusive takes the lock on an open file, and reports false if another process has it. The system releases the
// lock when the process ends in any way.
func LockExclusive(fd int) (bool, error) { return lock(fd, unix.LOCK_EX) }

// LockShared is LockExclusive for a lock that several processes can have at a time, while none has the exclusive one.
// It replaces a lock that fd already has.
func LockShared(fd int) (bool, error) { return lock(fd, unix.LOCK_SH) }

func lock(fd, how int) (bool, error) {
	for {
		err := unix.Flock(fd, how|unix.LOCK_NB)
		if err == unix.EWOULDBLOCK {
			return false, nil
		}
		if err != unix.EINTR {
			return err == nil, err
		}
	}
}

// Unlock releases the lock at once, even if a copy of the handle still exists in a process just being started.
func Unlock(fd int) error { return unix.Flock(fd, unix.LOCK_UN) }
