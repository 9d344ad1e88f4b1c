package fsat

import (
	"strconv"

	"golang.org/x/sys/unix"
)

type kind struct {
	name      string
	linkLimit uint32
	syncs     bool // syncfs(2) makes everything durable
}

// kinds are the file systems with known properties that no call reports. Link limits: ext4 inode(5) and EXT4_LINK_MAX,
// BTRFS_LINK_MAX, XFS_MAXLINK. The magic numbers are those of statfs(2).
var kinds = map[uint64]kind{
	0xef53:     {"ext4", 65000, true},
	0x58465342: {"xfs", 1<<31 - 1, true},
	0x9123683e: {"btrfs", 65535, true},
	0x01021994: {"tmpfs", 0, true},
	0x794c7630: {"overlay", 0, true},
	0xf2f52010: {"f2fs", 0, true},
	0xca451a4e: {"bcachefs", 0, true},
	0x2fc12fc1: {"zfs", 0, true},
	0x4d44:     {"vfat", 0, true},
	0x2011bab0: {"exfat", 0, true},
	0x7366746e: {"ntfs3", 1024, true},
	0x65735546: {"fuse", 0, false},
	0x6969:     {"nfs", 0, false},
	0xff534d42: {"cifs", 0, false},
	0xfe534d42: {"smb2", 0, false},
	0x00c36400: {"ceph", 0, false},
}

// kindOf returns the properties of a type of file system. An unknown one is named after its number.
func kindOf(magic uint64) kind {
	k, ok := kinds[magic]
	if !ok {
		k.name = "0x" + strconv.FormatUint(magic, 16)
	}
	return k
}

// FileSystem describes the file system of fd.
func FileSystem(fd int) (Space, error) {
	var s unix.Statfs_t
	for {
		err := unix.Fstatfs(fd, &s)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Space{}, err
		}
		break
	}
	k := kindOf(uint64(uint32(s.Type)))
	sp := Space{Kind: k.name, LinkLimit: k.linkLimit, NeedsFsync: !k.syncs}
	sp.ReadOnly = s.Flags&unix.ST_RDONLY != 0
	sp.Free, sp.Total = s.Bavail*uint64(s.Frsize), s.Blocks*uint64(s.Frsize)
	sp.Reserved = (s.Bfree - s.Bavail) * uint64(s.Frsize)
	sp.Block = uint64(s.Frsize)
	sp.Inodes, sp.FreeInodes = s.Files, s.Ffree
	return sp, nil
}
