// Package rmtree removes directory trees by handles and leaf names: of any depth with two open directories at a time,
// and never anything outside the tree, whoever else may write to it meanwhile.
//
// Symbolic links are removed, not followed. Other file systems mounted in the tree are not entered; they keep what is
// above them from being removed. Contents are not touched, only names. Memory grows with the listings of the directories
// on the way to the one being emptied.
package rmtree

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"snapcopy/internal/fsat"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrMounted says that another file system is mounted in the tree.
	ErrMounted = errors.New("another file system is mounted there")
	errMoved   = errors.New("folder was moved while it was removed")
)

// Remove removes name in the directory with handle dir, and everything below it; nothing there is no error. Directories
// without permissions are opened up first. After an error some of the tree may be left.
func Remove(dir int, name string) error {
	if done, err := unlink(dir, name); done || err != nil {
		return err
	}
	rm := remover{buf: make([]byte, 64<<10)}
	if err := rm.enter(dir, name); err != nil {
		return errors.Join(err, rm.close())
	}
	for len(rm.levels) > 0 {
		if err := rm.step(dir); err != nil {
			return errors.Join(err, rm.close())
		}
	}
	return nil
}

// remover is on its way through a tree. Only the directory being emptied, the last level, is open.
type remover struct {
	buf    []byte
	levels []level
	fd     int
	dev    uint64 // of the file system that holds the tree
}

type level struct {
	name string
	at   fsat.Stat
	left []fsat.DirEntry
}

func (rm *remover) close() error {
	if len(rm.levels) == 0 {
		return nil
	}
	return fsat.Close(rm.fd)
}

// path is where the remover is, for people.
func (rm *remover) path(name string) string {
	var b strings.Builder
	for i := range rm.levels {
		b.WriteString(rm.levels[i].name + "/")
	}
	return b.String() + name
}

func (rm *remover) failed(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: rm.path(name), Err: err}
}

// step removes one name of the directory at hand, goes down into it, or ends the directory.
func (rm *remover) step(top int) error {
	l := &rm.levels[len(rm.levels)-1]
	if len(l.left) == 0 {
		return rm.leave(top)
	}
	name := l.left[0].Name
	l.left = l.left[1:]
	done, err := unlink(rm.fd, name)
	if done {
		return nil
	}
	if err != nil {
		return rm.failed("unlink", name, err)
	}
	return rm.enter(rm.fd, name)
}

// unlink removes a name that is not a directory. It is not done if it is one.
func unlink(dir int, name string) (done bool, err error) {
	err = fsat.Unlink(dir, name)
	if err == nil || fsat.IsGone(err) {
		return true, nil
	}
	var st fsat.Stat
	if statErr := fsat.StatAt(dir, name, &st); statErr == nil && st.Type == fsat.Directory {
		return false, nil
	}
	return false, err
}

// enter goes down into a directory and closes the one above.
func (rm *remover) enter(dir int, name string) error {
	fd, err := openFully(dir, name)
	if err != nil {
		return rm.failed("open", name, err)
	}
	l := level{name: name}
	if err = fsat.StatHandle(fd, &l.at); err == nil {
		if len(rm.levels) == 0 {
			rm.dev = l.at.Dev
		}
		if l.at.Dev != rm.dev {
			err = ErrMounted
		}
	}
	if err == nil {
		l.left, err = fsat.ReadDir(fd, rm.buf)
	}
	if err == nil && len(rm.levels) > 0 {
		err = fsat.Close(rm.fd)
		rm.fd = fd
		fd = fsat.NoDir
	}
	if err != nil {
		return errors.Join(rm.failed("list", name, err), fsat.Close(fd))
	}
	if fd != fsat.NoDir {
		rm.fd = fd
	}
	rm.levels = append(rm.levels, l)
	return nil
}

// openFully opens a directory, and gives its owner every permission if that is needed to empty it.
func openFully(dir int, name string) (int, error) {
	fd, err := fsat.OpenDir(dir, name)
	var st fsat.Stat
	if err == nil {
		if err = fsat.StatHandle(fd, &st); err == nil && st.Mode&0o700 == 0o700 {
			return fd, nil
		}
		if err == nil {
			if err = fsat.Chmod(fd, 0o700); fsat.IsRefused(err) { // then removing will say so, if it matters
				return fd, nil
			}
		}
		if err != nil {
			return fsat.NoDir, errors.Join(err, fsat.Close(fd))
		}
		return fd, nil
	}
	if !errors.Is(err, fs.ErrPermission) {
		return fsat.NoDir, err
	}
	node, err := fsat.OpenNode(dir, name)
	if err != nil {
		return fsat.NoDir, err
	}
	if err = fsat.StatHandle(node, &st); err == nil && st.Type == fsat.Directory {
		err = fsat.ChmodNode(node, 0o700)
	}
	if err = errors.Join(err, fsat.Close(node)); err != nil {
		return fsat.NoDir, err
	}
	return fsat.OpenDir(dir, name)
}

// leave removes the directory that has been emptied, from the one above.
func (rm *remover) leave(top int) error {
	l := rm.levels[len(rm.levels)-1]
	above := top
	if len(rm.levels) > 1 {
		var st fsat.Stat
		fd, err := fsat.OpenParent(rm.fd)
		if err != nil {
			return rm.failed("open", "..", err)
		}
		if err = fsat.StatHandle(fd, &st); err == nil && !st.SameFile(&rm.levels[len(rm.levels)-2].at) {
			err = errMoved
		}
		if err != nil {
			return errors.Join(rm.failed("open", "..", err), fsat.Close(fd))
		}
		above = fd
	}
	err := fsat.Close(rm.fd)
	rm.levels = rm.levels[:len(rm.levels)-1]
	rm.fd = above
	if err == nil {
		err = fsat.Rmdir(above, l.name)
		if fsat.IsGone(err) {
			err = nil
		}
	}
	if err != nil {
		err = fmt.Errorf("rmdir %q: %w", rm.path(l.name), err)
	}
	return err
}
