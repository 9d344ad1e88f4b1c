package fsat

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// Mounts lists the mounts of this process, those that the filter keeps if there is one. It reads the list below /proc/self,
// which is that of all threads: after one look below /proc/thread-self, as by mountinfo.GetMounts, Linux 6.18 takes
// milliseconds to dispose of the process.
func Mounts(keep mountinfo.FilterFunc) (list []*mountinfo.Info, err error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return mountinfo.GetMountsFromReader(f, keep)
}

// MountsBelow returns the mountpoints below an open directory in this mount namespace, sorted; a rename of the
// directory moves these mounts along. Files that are mounted over count, too.
func MountsBelow(fd int) ([]string, error) {
	if !HasProc() {
		return mountsByWalk(fd, ".")
	}
	at, err := os.Readlink(handlePath(fd))
	if err != nil {
		return nil, fmt.Errorf("look for mounted file systems: %w", err)
	}
	all, err := Mounts(nil)
	if err != nil {
		return nil, fmt.Errorf("look for mounted file systems: %w", err)
	}
	var list []string
	for _, m := range all {
		if _, below := cutFolder(m.Mountpoint, at); below && m.Mountpoint != at {
			list = append(list, m.Mountpoint)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// OtherPaths returns further paths of a folder, if path lies in a folder that is also mounted elsewhere (mount --bind)
// and that other place is visible here. path must contain no symbolic link. Without /proc, OtherPaths finds none.
func OtherPaths(path string) (list []string, err error) {
	if !HasProc() {
		return nil, nil
	}
	all, err := Mounts(nil)
	if err != nil {
		return nil, fmt.Errorf("look for mounted file systems: %w", err)
	}
	own := new(mountinfo.Info)
	var rest string
	for _, m := range all {
		below, ok := cutFolder(path, m.Mountpoint)
		if ok && len(m.Mountpoint) >= len(own.Mountpoint) { // a later one covers an earlier one
			own, rest = m, below
		}
	}
	for _, m := range all {
		below, ok := cutFolder(own.Root, m.Root)
		if !ok || m.Major != own.Major || m.Minor != own.Minor || m.Root == own.Root {
			continue
		}
		other := strings.TrimSuffix(m.Mountpoint, "/") + below
		here, hereErr := os.Stat(own.Mountpoint)
		there, thereErr := os.Stat(other) // something else may be mounted over it
		if hereErr == nil && thereErr == nil && os.SameFile(here, there) {
			list = append(list, other+rest)
		}
	}
	return list, nil
}

// cutFolder returns the rest of a path below folder, with a leading slash, or "" for the folder itself; ok is false if
// path does not lie in folder.
func cutFolder(path, folder string) (rest string, ok bool) {
	if path == folder {
		return "", true
	}
	folder = strings.TrimSuffix(folder, "/")
	rest, ok = strings.CutPrefix(path, folder)
	return rest, ok && strings.HasPrefix(rest, "/")
}

// mountsByWalk looks at each name below a directory, which takes long; path is the directory's. It does not see a folder of
// the same file system that is mounted (mount --bind) where the kernel is older than 5.8.
func mountsByWalk(fd int, path string) (list []string, err error) {
	var dir Stat
	if err := StatHandle(fd, &dir); err != nil {
		return nil, err
	}
	own, err := OpenDir(fd, ".") // a listing moves its handle
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, Close(own)) }()
	names, err := ReadDir(own, make([]byte, 64<<10))
	if err != nil {
		return nil, err
	}
	for _, e := range names {
		var st Stat
		if err := StatAt(own, e.Name, &st); IsGone(err) {
			continue
		} else if err != nil {
			return nil, err
		}
		at := path + "/" + e.Name
		if st.Mounted || st.Dev != dir.Dev {
			list = append(list, at)
			continue
		}
		if st.Type != Directory {
			continue
		}
		child, err := OpenDir(own, e.Name)
		if err != nil {
			return nil, err
		}
		below, err := mountsByWalk(child, at)
		if err = errors.Join(err, Close(child)); err != nil {
			return nil, err
		}
		list = append(list, below...)
	}
	return list, nil
}
