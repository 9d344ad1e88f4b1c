package fsat

// Place is the file system that a folder is on, and the folder's role there, in terms that survive a reboot: no device
// number is among them.
type Place struct {
	Kind string // as in Space
	Type uint64 // of file system: f_type of statfs(2)
	// ID identifies the file system: its UUID on ext4, xfs and btrfs, which is the same in an LVM snapshot, in each
	// subvolume and under each bind mount; what is mounted, as in "server:/path", on NFS, SMB and Ceph. "": this type of
	// file system has none that lasts, or the system does not tell it.
	ID         string
	Inode      uint64 // of the folder
	MountPoint bool   // something is mounted at the folder, if only a folder of the same file system (mount --bind)
}
