// Package inside recognises paths in the part of an archive that only snapcopy may write to: a snapshot, or .snapcopy.
// Anything else in an archive's folder is not part of the archive.
//
// It looks only at the folders above a path, and depends only on the layout in docs/format.md.
package inside

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"snapcopy/internal/fsat"
)

// Archive returns the archive that contains path; ok is false if none does. path need not exist; symbolic links in it
// are followed. A snapshot mounted at another place is recognised if the archive can be seen, too.
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
			return path, nil // a caller that uses the path meets the error
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
}

// isOurs reports whether only an archive has such a name.
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
