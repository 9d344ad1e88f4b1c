package fsat

import (
	"errors"
	"strings"
)

// OpenPath opens the directory at path below root, element by element. It follows no symbolic link on the way, and the
// path may have any length. "" is root itself.
func OpenPath(root int, path string) (int, error) {
	fd, err := OpenDir(root, ".")
	if err != nil || path == "" {
		return fd, err
	}
	for name := range strings.SplitSeq(path, "/") {
		next, err := OpenDir(fd, name)
		if err = errors.Join(err, Close(fd)); err != nil {
			return NoDir, errors.Join(err, Close(next))
		}
		fd = next
	}
	return fd, nil
}
