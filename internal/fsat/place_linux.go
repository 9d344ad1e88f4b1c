package fsat

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"unsafe"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Types of file systems, as in statfs(2), of which an identity is known.
const (
	typeExt4  = 0xef53
	typeXFS   = 0x58465342
	typeBtrfs = 0x9123683e
	typeNFS   = 0x6969
	typeCeph  = 0x00c36400
	typeCIFS  = 0xff534d42
	typeSMB2  = 0xfe534d42 // newer kernels give it to what older ones call CIFS
)

// PlaceOf describes the place of an open directory.
func PlaceOf(dir int) (p Place, err error) {
	var s unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(dir, &s) }); err != nil {
		return p, err
	}
	p.Type = uint64(uint32(s.Type))
	if p.Type == typeSMB2 {
		p.Type = typeCIFS
	}
	p.Kind = kindOf(p.Type).name
	var st Stat
	if err := StatHandle(dir, &st); err != nil {
		return p, err
	}
	p.Inode = st.Ino
	if p.MountPoint, err = isMountPoint(dir); err != nil {
		return p, err
	}
	p.ID, err = fileSystemID(dir, &st, &s, p.Type)
	return p, err
}

// fileSystemID returns the part of a Place of that name. A refusal of the file system or the system to tell it is no
// error. On each type of file system there is one way to tell it, so that a new kernel gives no other answer.
func fileSystemID(dir int, st *Stat, s *unix.Statfs_t, typ uint64) (string, error) {
	switch typ {
	case typeExt4: // the kernel derives this number from the UUID
		return uuidOf(binary.BigEndian.AppendUint64(nil, uint64(uint32(s.Fsid.Val[0]))<<32|uint64(uint32(s.Fsid.Val[1])))), nil
	case typeXFS: // struct xfs_fsop_geom_v1
		var geometry [112]byte
		return uuidBy(dir, 0x80705864, geometry[:], 64), nil
	case typeBtrfs: // struct btrfs_ioctl_fs_info_args
		var info [1024]byte
		return uuidBy(dir, 0x8400941f, info[:], 16), nil
	case typeNFS, typeCIFS, typeCeph:
		return mountedFrom(st.Mount)
	}
	return "", nil
}

// uuidBy asks a file system to fill buf, which has its UUID at offset at; "" if it refuses.
func uuidBy(dir int, request uintptr, buf []byte, at int) string {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(dir), request, uintptr(unsafe.Pointer(unsafe.SliceData(buf))))
		switch errno {
		case 0:
			return uuidOf(buf[at : at+16])
		case unix.EINTR:
			continue
		}
		return ""
	}
}

// uuidOf writes an identity as text; "" for one of zeros, which is none.
func uuidOf(id []byte) string {
	for _, b := range id {
		if b != 0 {
			return hex.EncodeToString(id)
		}
	}
	return ""
}

// mountedFrom returns what is mounted, by the number of the mount; "" if the system does not tell.
func mountedFrom(mount uint64) (string, error) {
	if mount == 0 || !HasProc() {
		return "", nil
	}
	found, err := Mounts(func(m *mountinfo.Info) (skip, stop bool) {
		is := uint64(m.ID) == mount
		return !is, is
	})
	if err != nil {
		return "", fmt.Errorf("look for mounted file systems: %w", err)
	}
	if len(found) == 0 {
		return "", nil
	}
	return found[0].Source, nil
}

// isMountPoint reports whether something is mounted at an open directory. Kernels before 5.8 do not tell that with the
// directory's other data.
func isMountPoint(dir int) (bool, error) {
	var x unix.Statx_t
	err := retry(func() error { return unix.Statx(dir, "", unix.AT_EMPTY_PATH, 0, &x) })
	if err == nil && x.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
	}
	if err != nil && err != unix.ENOSYS && err != unix.EPERM {
		return false, err
	}
	return isListedMount(dir)
}

// isListedMount is isMountPoint by the system's list of mounts, or, without /proc, by the device number of the folder
// above, which shows mounts of another file system only.
func isListedMount(dir int) (bool, error) {
	if HasProc() {
		path, err := os.Readlink(handlePath(dir))
		if err != nil {
			return false, fmt.Errorf("look for mounted file systems: %w", err)
		}
		return mountinfo.Mounted(path)
	}
	above, err := OpenParent(dir)
	if err != nil {
		return false, err
	}
	var here, there Stat
	err = StatHandle(dir, &here)
	if err == nil {
		err = StatHandle(above, &there)
	}
	if closeErr := Close(above); err == nil {
		err = closeErr
	}
	return here.Dev != there.Dev || here.SameFile(&there), err
}
