package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testtools"
	"snapcopy/internal/testtree"
)

// here is the file system of the scratch folder, whose power cannot be cut.
const here = "here"

// systems are the file systems, with the sizes of their images.
var systems = []struct {
	name string
	size int64
}{{here, 0}, {"ext4", 96 << 20}, {"xfs", 320 << 20}, {"btrfs", 256 << 20}}

// place is the folder in which one worker does its trials on one file system: a plain one, or the mount point of a disk.
type place struct {
	path    string
	scratch string         // outside of the disk
	disk    *testtree.Disk // nil: a plain folder

	begun map[string]*lab // of a systematic sweep: what the subvolumes beside path contain, by their names; nil: path is none
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
			return &place{path: disk.Path, scratch: scratch, disk: disk}, nil
		}
	}
	return &place{path: folder, scratch: scratch}, nil
}

// clear unmounts what trials have mounted, and removes everything but the file system's own folder.
func (p *place) clear() error {
	if err := p.unmountTrees(); err != nil {
		return err
	}
	names, err := os.ReadDir(p.path)
	for _, e := range names {
		if e.Name() != "lost+found" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(p.path, e.Name())))
		}
	}
	return err
}

// sync makes everything in the place durable.
func (p *place) sync() error {
	fd, err := unix.Open(p.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(fd), unix.Close(fd))
}

// unmountTrees unmounts everything that is mounted below the place, the newest first.
func (p *place) unmountTrees() error {
	list, err := p.mounts()
	for _, path := range slices.Backward(list) {
		err = errors.Join(err, unix.Unmount(path, unix.UMOUNT_NOFOLLOW))
	}
	return err
}

// mounts returns the mountpoints below the place, the oldest mount first.
func (p *place) mounts() (list []string, err error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], p.path+"/") {
			list = append(list, fields[4])
		}
	}
	return list, err
}

// cutPower cuts the power of the disk and mounts it again. Without power, nothing else stays mounted.
func (p *place) cutPower(flags uint32) error {
	if err := p.disk.CutPower(flags); err != nil {
		return err
	}
	return errors.Join(p.unmountTrees(), p.disk.MountAgain())
}

func (p *place) close() error {
	err := p.unmountTrees()
	if p.disk != nil {
		err = errors.Join(err, p.disk.Unmount())
	}
	return err
}

// cannotOverlay returns why overlays cannot be mounted in a folder, or "".
func cannotOverlay(folder string) string {
	if why := testtools.NotRoot(); why != "" {
		return why
	}
	at := filepath.Join(folder, "overlay")
	var errs []error
	for _, name := range []string{"", "lower", "upper", "work", "merged"} {
		errs = append(errs, os.Mkdir(filepath.Join(at, name), 0o700))
	}
	options := "lowerdir=" + at + "/lower,upperdir=" + at + "/upper,workdir=" + at + "/work"
	errs = append(errs, unix.Mount("overlay", at+"/merged", "overlay", 0, options))
	if errors.Join(errs...) == nil {
		errs = append(errs, unix.Unmount(at+"/merged", unix.UMOUNT_NOFOLLOW))
	}
	errs = append(errs, os.RemoveAll(at))
	if err := errors.Join(errs...); err != nil {
		return fmt.Sprintf("overlays cannot be mounted here: %v", err)
	}
	return ""
}
