package overlay

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"snapcopy/internal/fsat"
)

// Place describes the mount at a name.
type Place struct {
	Mounted bool   // something is mounted there
	Name    string // of the mount, as its Layers gave it
	id      uint64
}

// Look describes the mount at name in dir.
func Look(dir int, name string) (p Place, err error) {
	var x unix.Statx_t
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if err := unix.Statx(dir, name, flags, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &x); err != nil {
		return p, err
	}
	if x.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 || x.Mask&unix.STATX_MNT_ID == 0 {
		return p, errors.New("this kernel does not tell which file systems are mounted where; Linux 5.8 is needed")
	}
	if x.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return p, nil
	}
	p = Place{Mounted: true, id: x.Mnt_id}
	list, err := fsat.Mounts(nil)
	if err != nil {
		return p, fmt.Errorf("look for mounted file systems: %w", err)
	}
	for _, m := range list {
		if uint64(m.ID) == p.id {
			p.Name = m.Source
		}
	}
	return p, nil
}

// maxUsers is how many users of a mount are named.
const maxUsers = 8

// Users lists the users that keep a mount busy, as far as this process may see them: processes with a file or their
// working folder in the mount, and mounts below it.
func Users(p Place) []string {
	var list []string
	if mounts, err := fsat.Mounts(nil); err == nil {
		for _, m := range mounts {
			if uint64(m.Parent) == p.id {
				list = append(list, "a mount at "+m.Mountpoint)
			}
		}
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return list
	}
	for _, proc := range processes {
		if len(list) >= maxUsers {
			break
		}
		if what := uses(proc, p.id); what != "" {
			comm, _ := os.ReadFile(proc + "/comm") // a process without a name is listed too
			who := strings.TrimSpace(string(comm))
			list = append(list, fmt.Sprintf("process %s (%s, %s)", filepath.Base(proc), who, what))
		}
	}
	return list
}

// uses returns how a process uses a mount, or "".
func uses(proc string, id uint64) string {
	for _, l := range []struct{ name, what string }{
		{"cwd", "working folder"}, {"root", "root folder"}, {"exe", "program"},
	} {
		if onMount(proc+"/"+l.name, id) {
			return l.what
		}
	}
	for _, folder := range []struct{ name, what string }{{"fd", "open file"}, {"map_files", "mapped file"}} {
		list, err := os.ReadDir(proc + "/" + folder.name)
		if err != nil {
			continue // it has ended, or is not ours to look at
		}
		if slices.ContainsFunc(list, func(e fs.DirEntry) bool {
			return onMount(proc+"/"+folder.name+"/"+e.Name(), id)
		}) {
			return folder.what
		}
	}
	return ""
}

func onMount(link string, id uint64) bool {
	var x unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, link, unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_MNT_ID, &x)
	return err == nil && x.Mask&unix.STATX_MNT_ID != 0 && x.Mnt_id == id
}

// IsWhiteout reports whether an entry of an upper folder stands for a removed name.
func IsWhiteout(st *fsat.Stat) bool {
	return st.Type == fsat.CharDevice && st.Major == 0 && st.Minor == 0
}
