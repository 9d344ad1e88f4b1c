package fsat

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// MountsBelow gives the paths of what is mounted below an open directory in this mount namespace, sorted: whoever renames
// the directory takes that along. Files that are mounted over count, too.
func MountsBelow(fd int) ([]string, error) {
	if !HasProc() {
		return mountsByWalk(fd, ".")
	}
	at, err := os.Readlink(handlePath(fd))
	if err != nil {
		return nil, fmt.Errorf("look for mounted file systems: %w", err)
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("look for mounted file systems: %w", err)
	}
	var list []string
	for line := range strings.Lines(string(text)) {
		const place = 4 // of the mount point: proc_pid_mountinfo(5)
		f := strings.Fields(line)
		if len(f) <= place {
			continue
		}
		path := unescapeMount(f[place])
		if strings.HasPrefix(path, strings.TrimSuffix(at, "/")+"/") && path != at {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
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

// unescapeMount undoes what the kernel does to space, tab, newline and backslash in a path: a backslash and three octal
// digits.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
