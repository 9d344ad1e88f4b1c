package main

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testtree"
)

// here is the file system of the scratch folder, whose power cannot be cut.
const here = "here"

// systems are the file systems, with the sizes of their images.
var systems = []struct {
	name string
	size int64
}{{here, 0}, {"ext4", 96 << 20}, {"xfs", 320 << 20}, {"btrfs", 256 << 20}}

// place is where one worker's trials on one file system work: a plain folder, or the mount point of a disk of their own.
type place struct {
	path string
	disk *testtree.Disk // nil: a plain folder
}

// newPlace makes a place in the scratch folder. The error is a testtree.ImpossibleError if this machine cannot have it.
func newPlace(scratch, system string) (*place, error) {
	folder := filepath.Join(scratch, system)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	for _, s := range systems {
		if s.name == system && s.size > 0 {
			disk, err := testtree.MakeDisk(folder, system, s.size)
			if err != nil {
				return nil, err
			}
			return &place{path: disk.Path, disk: disk}, nil
		}
	}
	return &place{path: folder}, nil
}

// clear removes everything but what the file system needs itself.
func (p *place) clear() error {
	names, err := os.ReadDir(p.path)
	for _, e := range names {
		if e.Name() != "lost+found" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(p.path, e.Name())))
		}
	}
	return err
}

// sync makes everything there durable.
func (p *place) sync() error {
	fd, err := unix.Open(p.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(fd), unix.Close(fd))
}

func (p *place) close() error {
	if p.disk == nil {
		return nil
	}
	return p.disk.Unmount()
}
