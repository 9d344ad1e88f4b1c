package atomicfile

import (
	"os"
	"path/filepath"
	"syscall"
)

// Inherit gives a new file the owner of its folder, if the process may do that: a run by root then leaves no file
// behind that the owner of the folder cannot use.
func Inherit(f *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	dir, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	owner, ok := dir.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if own, ok := info.Sys().(*syscall.Stat_t); ok && own.Uid == owner.Uid && own.Gid == owner.Gid {
		return nil // a full file system may refuse even a call that changes nothing
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}
