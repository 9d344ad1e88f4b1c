package main

import (
	"io/fs"
	"path/filepath"
	"syscall"
)

// newBytes adds up the sizes of the regular files below root whose inodes are not in known, and adds these to known.
// The records of an archive do not count.
func newBytes(root string, known map[uint64]bool) (int64, error) {
	var total int64
	err := filepath.WalkDir(root, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == ".snapcopy" {
			return filepath.SkipDir
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if !known[st.Ino] {
			known[st.Ino] = true
			total += st.Size
		}
		return nil
	})
	return total, err
}
