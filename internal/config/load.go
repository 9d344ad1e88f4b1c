package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"snapcopy/internal/fsat"
	"snapcopy/internal/plainfile"
)

// ErrNone is wrapped by the error of Find if there is no job file.
var ErrNone = errors.New("there is no job file")

// systemFile is the job file of a machine.
var systemFile = "/etc/snapcopy.toml"

// maxSize is more than a person writes.
const maxSize = 1 << 20

// Usual returns the places of the job file, in the order in which Find looks: that of the user, and that of the machine.
func Usual() (paths []string) {
	if dir, err := os.UserConfigDir(); err == nil { // $XDG_CONFIG_HOME or ~/.config
		paths = append(paths, filepath.Join(dir, "snapcopy", "config.toml"))
	}
	return append(paths, systemFile)
}

// Find returns the first usual place that has a file, and the other places that have one, too.
func Find() (path string, passed []string, err error) {
	usual := Usual()
	var found []string
	for _, path := range usual {
		if _, err := os.Lstat(path); err == nil {
			found = append(found, path)
		}
	}
	switch {
	case len(found) > 0:
		return found[0], found[1:], nil
	case len(usual) == 1 && os.Getenv("HOME") != "":
		_, err := os.UserConfigDir()
		return "", nil, fmt.Errorf("%w: %w, and %s does not exist", ErrNone, err, systemFile)
	case len(usual) == 1:
		return "", nil, fmt.Errorf("%w: %s, and %s does not exist", ErrNone, noHome, systemFile)
	}
	return "", nil, fmt.Errorf("%w: neither %s nor %s exists", ErrNone, usual[0], systemFile)
}

// noHome is why a place in the home folder is unknown.
const noHome = "the variable HOME is not set, so the home folder is unknown"

// Load reads a job file. It refuses a file that others could change, with Problems, as it does for faults of its content:
// whoever changes the file decides what is removed from archives.
func Load(path string, schema Schema) (*File, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	content, err := read(path, real)
	if err != nil {
		return nil, err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // ~/ is a fault then
	}
	return Parse(path, home, content, schema)
}

// read returns the content of the file real, which messages call path.
func read(path, real string) (content []byte, err error) {
	if err := safeFolder(path, filepath.Dir(real)); err != nil {
		return nil, err
	}
	f, err := plainfile.Open(real)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var st fsat.Stat
	if err := fsat.StatHandle(int(f.Fd()), &st); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case st.Mode&0o022 != 0:
		return nil, unsafe(path, "others may write to it (mode %04o); `chmod go-w %s` takes that from them", st.Mode, path)
	case !trusted(st.UID):
		return nil, unsafe(path, "it belongs to another user (number %d), who could change it; `chown %d %s` makes it yours", st.UID, os.Geteuid(), path)
	}
	content, err = io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(content) > maxSize {
		return nil, unsafe(path, "it is larger than %d bytes, and no job file", maxSize)
	}
	return content, err
}

// safeFolder refuses a folder in which others could put another file into the place of the job file.
func safeFolder(path, dir string) error {
	f, err := os.Open(dir)
	if errors.Is(err, os.ErrPermission) { // it can be entered and not listed: others cannot write to it either
		return nil
	}
	if err != nil {
		return err
	}
	var st fsat.Stat
	err = fsat.StatHandle(int(f.Fd()), &st)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	const sticky = 0o1000 // only the owner of a file removes or renames it
	switch {
	case st.Mode&0o002 != 0 && st.Mode&sticky == 0:
		return unsafe(path, "others may write to its folder (mode %04o); `chmod o-w %s` takes that from them", st.Mode, dir)
	case !trusted(st.UID):
		return unsafe(path, "its folder belongs to another user (number %d), who could exchange it", st.UID)
	}
	return nil
}

// trusted reports whether a user may decide what this process does.
func trusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

func unsafe(path, format string, args ...any) error {
	return Problems{newProblem(path, nil, place{}, fmt.Sprintf(format, args...))}
}
