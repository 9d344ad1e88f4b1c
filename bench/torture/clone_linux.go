package main

import (
	"errors"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testtree"
)

// cloned is the file system of a systematic sweep. There, a source and an archive are made once and cloned for each trial:
// the clone of a btrfs subvolume has the inode numbers and times that the archive's catalogs and journals know.
const cloned = "btrfs"

// newClonedPlace makes a place whose folder is a subvolume. The error is as that of newPlace.
func newClonedPlace(scratch string) (*place, error) {
	folder := filepath.Join(scratch, "cloned")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	disk, err := testtree.MakeDisk(folder, cloned, 1<<30, "-m", "single")
	if err != nil {
		return nil, err
	}
	p := &place{path: filepath.Join(disk.Path, "trial"), scratch: scratch, disk: disk, begun: make(map[string]*lab)}
	return p, subvolume(disk.Path, makeEmpty, "trial", "")
}

// keep clones the place's folder under another name.
func (p *place) keep(name string) error {
	return errors.Join(p.sync(), subvolume(p.disk.Path, makeClone, name, p.path))
}

// bring clones a folder that was kept in place of the place's folder.
func (p *place) bring(name string) error {
	if err := p.unmountTrees(); err != nil {
		return err
	}
	if err := subvolume(p.disk.Path, remove, filepath.Base(p.path), ""); err != nil {
		return err
	}
	return subvolume(p.disk.Path, makeClone, filepath.Base(p.path), filepath.Join(p.disk.Path, name))
}

// What subvolume does: numbers of linux/btrfs.h.
const (
	makeClone = 0x50009401 // BTRFS_IOC_SNAP_CREATE
	makeEmpty = 0x5000940e // BTRFS_IOC_SUBVOL_CREATE
	remove    = 0x5000940f // BTRFS_IOC_SNAP_DESTROY
)

// subvolume makes or removes a subvolume of a folder. The path of the subvolume that is cloned may be empty otherwise.
func subvolume(folder string, what uintptr, name, of string) (err error) {
	defer func() {
		if err != nil {
			err = &os.PathError{Op: "subvolume", Path: filepath.Join(folder, name), Err: err}
		}
	}()
	var args struct { // btrfs_ioctl_vol_args
		fd   int64
		name [4088]byte
	}
	copy(args.name[:], name)
	if of != "" {
		f, err := os.Open(of)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		args.fd = int64(f.Fd())
	}
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), what, uintptr(unsafe.Pointer(&args))); e != 0 {
		err = e
	}
	return errors.Join(err, dir.Close())
}
