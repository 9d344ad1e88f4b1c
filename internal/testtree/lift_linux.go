package testtree

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/testtools"
)

// tool runs a program that not every machine has.
func tool(program string, args ...string) error {
	if tool, ok := testtools.Find(program); ok {
		if _, err := exec.LookPath(program); err != nil {
			return &ImpossibleError{tool.Needed()}
		}
	}
	err := run(program, args...)
	if err != nil && program == "chattr" && testtools.NotRoot() != "" {
		return &ImpossibleError{testtools.NotRoot()}
	}
	return err
}

// needsRoot turns a refusal into the reason to skip the test, if the tests are not run by root.
func needsRoot(err error) error {
	if why := testtools.NotRoot(); errors.Is(err, unix.EPERM) && why != "" {
		return &ImpossibleError{why}
	}
	return err
}

// lifted is a file or directory whose owner has been given all permissions for a while. The open file follows it when
// it is moved.
type lifted struct {
	file  *os.File
	mode  uint32 // of the owner, before
	inode uint64
}

const owners = 0o700 // the permissions of the owner

// line carries out one line. For an ordinary user, it lifts the permissions on the way of the line before, and puts
// them back afterwards.
func (b *builder) line(words []string) (err error) {
	if !testtools.MayDoAll() && len(words) > 1 {
		defer func() { err = errors.Join(err, b.putBack()) }()
		paths := words[1:2]
		switch words[0] {
		case "link", "mv", "swap", "cp":
			paths = words[1:min(3, len(words))]
		}
		for _, path := range paths {
			if err := b.lift(path); err != nil {
				return err
			}
		}
	}
	return b.do(words)
}

// lift gives the owner all permissions of each folder on the way to path, and of path itself.
func (b *builder) lift(path string) error {
	at := b.root
	for _, name := range append([]string{"."}, strings.Split(path, "/")...) {
		at = filepath.Join(at, name)
		var st unix.Stat_t
		err := unix.Lstat(at, &st)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENAMETOOLONG) {
			return nil // the line is about to make it, or fails by itself
		}
		if err != nil {
			return &os.PathError{Op: "lstat", Path: at, Err: err}
		}
		needed, known := map[uint32]uint32{unix.S_IFDIR: 0o700, unix.S_IFREG: 0o600}[st.Mode&unix.S_IFMT]
		if !known || st.Mode&needed == needed || int(st.Uid) != os.Geteuid() {
			continue
		}
		if err := unix.Chmod(at, st.Mode&0o7777|needed); err != nil {
			return &os.PathError{Op: "chmod", Path: at, Err: err}
		}
		f, err := os.Open(at)
		if err != nil {
			return err
		}
		b.lifted = append(b.lifted, lifted{f, st.Mode & owners, st.Ino})
	}
	return nil
}

// putBack removes the permissions that lift gave.
func (b *builder) putBack() (err error) {
	for _, l := range slices.Backward(b.lifted) {
		var st unix.Stat_t
		one := unix.Fstat(int(l.file.Fd()), &st)
		if one == nil {
			one = unix.Fchmod(int(l.file.Fd()), st.Mode&0o7777&^owners|l.mode)
		}
		err = errors.Join(err, one, l.file.Close())
	}
	b.lifted = nil
	return err
}

// keepMode records the present mode of a path as the one to stay.
func (b *builder) keepMode(path string, mode uint32) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil { // then the change of the mode has failed, too
		return
	}
	for i := range b.lifted {
		if b.lifted[i].inode == st.Ino {
			b.lifted[i].mode = mode & owners
		}
	}
}

// setTimes sets the modification times of directories.
func (b *builder) setTimes() (err error) {
	for path, mtime := range b.times {
		var one error
		if !testtools.MayDoAll() {
			one = b.lift(strings.TrimPrefix(filepath.Dir(path), b.root))
		}
		if one == nil {
			one = setMtime(path, mtime)
		}
		if errors.Is(one, unix.ENOENT) {
			one = nil
		}
		err = errors.Join(err, one, b.putBack())
	}
	return err
}

// TempDir is t.TempDir for a test that makes directories without all permissions for their owner: an ordinary user
// could not remove them at the end. A test that calls Build needs nothing else than t.TempDir.
func TempDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	removable(t)
	return dir
}

// prepared are the tests whose temporary folders can be removed at the end.
var prepared sync.Map

// removable makes sure that the temporary folders of a test can be removed at the end of it.
func removable(t testing.TB) {
	t.Helper()
	if _, done := prepared.LoadOrStore(t, true); done || testtools.MayDoAll() {
		return
	}
	above := filepath.Dir(t.TempDir()) // of all temporary folders of the test
	t.Cleanup(func() {
		prepared.Delete(t)
		if err := MakeWritable(above); err != nil {
			t.Errorf("testtree: %v", err)
		}
	})
}

// MakeWritable gives the owner all permissions of the directories in a tree, so that it can be removed. The tree may be
// missing.
func MakeWritable(path string) error {
	return filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil && e.IsDir() {
			err = unix.Lstat(path, &st)
		}
		switch {
		case errors.Is(err, unix.ENOENT):
			return nil
		case errors.Is(err, unix.ENAMETOOLONG): // no test takes away permissions at that depth
			return fs.SkipDir
		case err != nil || !e.IsDir() || st.Mode&owners == owners:
			return err
		}
		return os.Chmod(path, 0o700)
	})
}
