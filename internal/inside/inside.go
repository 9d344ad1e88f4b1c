// Package inside tells what lies in the part of an archive that nobody but the archive itself may write to: in one of its
// snapshots, or in .snapcopy. What else is in an archive's folder is not of the archive.
//
// It looks at folders above, and knows no more of an archive than docs/format.md says of its layout.
package inside

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"snapcopy/internal/fsat"
)

// Archive gives the archive in which path lies, and ok false if it lies in none. Path need not exist; symbolic links on the
// way to it are followed. A mount of a snapshot at another place is seen through where the archive can be seen, too.
func Archive(path string) (archive string, ok bool, err error) {
	path, err = resolve(path)
	if err != nil {
		return "", false, err
	}
	paths, err := fsat.OtherPaths(path)
	if err != nil {
		return "", false, err
	}
	for _, path := range append(paths, path) {
		for at := path; at != filepath.Dir(at); at = filepath.Dir(at) {
			if above := filepath.Dir(at); isOurs(filepath.Base(at)) && isArchive(above) {
				return above, true, nil
			}
		}
	}
	return "", false, nil
}

// resolve follows the symbolic links in the part of a path that exists.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	rest := ""
	for at := path; ; at = filepath.Dir(at) {
		real, err := filepath.EvalSymlinks(at)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if at == filepath.Dir(at) || !errors.Is(err, fs.ErrNotExist) {
			return path, nil // whoever goes there will see what is wrong
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
}

// isOurs reports a name that only the archive gives.
func isOurs(name string) bool {
	const layout = "2006-01-02T150405Z"
	t, err := time.Parse(layout, name)
	return name == ".snapcopy" || err == nil && t.Format(layout) == name
}

func isArchive(dir string) bool {
	for _, name := range []string{"archive.json", "catalogs"} {
		if _, err := os.Lstat(filepath.Join(dir, ".snapcopy", name)); err == nil {
			return true
		}
	}
	return false
}
