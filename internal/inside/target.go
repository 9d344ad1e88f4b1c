package inside

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrTarget is wrapped by the error for a target in an archive, which is only ever read.
var ErrTarget = errors.New("target is inside an archive")

// CheckTarget makes sure that a folder to write to, which need not exist, is neither in the archive that is read nor in the
// snapshots of any other one. It compares folders and not their names, so that links do not deceive it. The error is a
// *[fs.PathError]; if target is refused it wraps ErrTarget.
func CheckTarget(target, archive string) error {
	if _, is, err := Archive(target); err != nil || is { // of any archive
		return &fs.PathError{Op: "restore to", Path: target, Err: cmp.Or(err, ErrTarget)}
	}
	ours, err := os.Stat(archive)
	if err != nil {
		return err
	}
	at := target
	for {
		real, err := filepath.EvalSymlinks(at)
		if err == nil {
			at = real
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return err
		}
		at = filepath.Dir(at)
	}
	for {
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		if os.SameFile(info, ours) {
			return &fs.PathError{Op: "restore to", Path: target, Err: ErrTarget}
		}
		if at == filepath.Dir(at) {
			return nil
		}
		at = filepath.Dir(at)
	}
}
