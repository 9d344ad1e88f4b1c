// Package rmtree removes directory trees by handles and leaf names: of any depth with two open directories at a time,
// and never anything outside the tree, whichever other process may write to it meanwhile.
//
// Symbolic links are removed, not followed. Other file systems mounted in the tree are not entered; they keep the
// directories above them from being removed. Contents are not touched, only names. Memory grows with the listings of
// the directories on the way to the one being emptied.
//
// [Remove] and [RemoveExcept] work alone and stop at the first error; [Empty] uses several workers and goes on.
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
	// ErrMounted reports another file system mounted in the tree.
	ErrMounted = errors.New("another file system is mounted there")
	errMoved   = errors.New("folder was moved while it was removed")
)

// Remove removes name in the directory with handle dir, and everything below it. A name that does not exist is no
// error. Directories without permissions are opened up first. After an error, part of the tree may be left.
func Remove(dir int, name string) error {
	_, err := RemoveExcept(dir, name, nil)
	return err
}

// RemoveExcept is Remove that leaves all entries for which spare, if not nil, returns true, and the directories on the
// way to them; all is false if any entry was left. A mountpoint that spare does not spare is an error.
func RemoveExcept(dir int, name string, spare Spare) (all bool, err error) {
	return (&remover{spare: spare}).run(dir, name)
}

// Spare reports whether an entry is to stay. dir is the handle of its folder; the first element of path is the name
// given to RemoveExcept. Spare is not called for entries below a folder that stays. Its error ends the removal.
type Spare func(dir int, path string, st *fsat.Stat) (bool, error)

// WouldRemove returns what RemoveExcept would return, without changing anything. It assumes that directories it cannot
// read have no entry to be spared.
func WouldRemove(dir int, name string, spare Spare) (all bool, err error) {
	return (&remover{spare: spare, dry: true}).run(dir, name)
}

func (rm *remover) run(dir int, name string) (all bool, err error) {
	rm.buf = make([]byte, 64<<10)
	var above fsat.Stat
	if err := fsat.StatHandle(dir, &above); err != nil {
		return false, err
	}
	rm.dev = above.Dev
	if err := rm.remove(dir, fsat.DirEntry{Name: name}); err != nil {
		return false, errors.Join(err, rm.close())
	}
	for len(rm.levels) > 0 {
		if err := rm.step(dir); err != nil {
			return false, errors.Join(err, rm.close())
		}
	}
	return !rm.kept, nil
}

// remover is the state of one removal. Only the directory being emptied, the last level, is open.
type remover struct {
	buf    []byte
	levels []level
	fd     int
	dev    uint64 // of the file system of the tree
	spare  Spare
	dry    bool // change nothing
	kept   bool // the entry itself, or an entry below it, was spared
	full   fullDisk
}

type level struct {
	name string
	at   fsat.Stat
	left []fsat.DirEntry
	kept bool // something in it was spared
}

func (rm *remover) close() error {
	if len(rm.levels) == 0 {
		return nil
	}
	return fsat.Close(rm.fd)
}

// path returns the current path, for people.
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

// step removes one name of the current directory, goes down into it, or leaves the directory.
func (rm *remover) step(top int) error {
	l := &rm.levels[len(rm.levels)-1]
	if len(l.left) == 0 {
		return rm.leave(top)
	}
	next := l.left[0]
	l.left = l.left[1:]
	return rm.remove(rm.fd, next)
}

// remove removes one name if it is not a directory, and otherwise goes down into it.
func (rm *remover) remove(dir int, e fsat.DirEntry) error {
	if rm.spare != nil && e.Type != fsat.Directory {
		var st fsat.Stat
		if err := fsat.StatAt(dir, e.Name, &st); fsat.IsGone(err) {
			return nil
		} else if err != nil {
			return rm.failed("stat", e.Name, err)
		}
		if e.Type = st.Type; e.Type != fsat.Directory {
			if stays, err := rm.stays(dir, e.Name, &st); stays || err != nil {
				return err
			}
		}
	}
	if rm.spare == nil || e.Type != fsat.Directory {
		if rm.dry {
			return nil
		}
		done, err := unlink(dir, e.Name, &rm.full)
		if done {
			return nil
		}
		if err != nil {
			return rm.failed("unlink", e.Name, whoseOpen(dir, err))
		}
	}
	return rm.enter(dir, e.Name)
}

// stays asks whether an entry is to stay, and records the answer.
func (rm *remover) stays(dir int, name string, st *fsat.Stat) (bool, error) {
	stays, err := rm.spare(dir, rm.path(name), st)
	if err != nil {
		return false, rm.failed("look at", name, err)
	}
	if stays {
		rm.keep()
	}
	return stays, nil
}

// keep records that an entry of the current directory stays.
func (rm *remover) keep() {
	if n := len(rm.levels); n > 0 {
		rm.levels[n-1].kept = true
	} else {
		rm.kept = true
	}
}

// unlink removes a name; done is false if it is a directory.
func unlink(dir int, name string, full *fullDisk) (done bool, err error) {
	err = full.try(dir, func() error { return fsat.Unlink(dir, name) })
	if err == nil || fsat.IsGone(err) {
		return true, nil
	}
	var st fsat.Stat
	switch statErr := fsat.StatAt(dir, name, &st); {
	case fsat.IsGone(statErr): // somebody else has removed it meanwhile
		return true, nil
	case statErr != nil: // it may be a directory
		return false, statErr
	case st.Type == fsat.Directory:
		return false, nil
	}
	return false, err
}

// enter goes down into a directory and closes the one above.
func (rm *remover) enter(dir int, name string) error {
	l := level{name: name}
	if err := fsat.StatAt(dir, name, &l.at); err != nil {
		return rm.failed("stat", name, err)
	}
	l.at.Mounted = l.at.Mounted || l.at.Dev != rm.dev
	if rm.spare != nil {
		if stays, err := rm.stays(dir, name, &l.at); stays || err != nil {
			return err
		}
	}
	if l.at.Mounted {
		return rm.failed("enter", name, ErrMounted)
	}
	fd, err := rm.open(dir, name, &l.at)
	if rm.dry && errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return rm.failed("open", name, whose(&l.at, err))
	}
	l.left, err = fsat.ReadDir(fd, rm.buf)
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

// open opens a directory whose stat data are known. Only a dry run leaves its mode alone.
func (rm *remover) open(dir int, name string, at *fsat.Stat) (int, error) {
	check := func(st *fsat.Stat) error {
		if !st.SameFile(at) {
			return errMoved
		}
		return nil
	}
	if !rm.dry {
		return openFully(dir, name, check)
	}
	fd, err := fsat.OpenDir(dir, name)
	if err != nil {
		return fsat.NoDir, err
	}
	var st fsat.Stat
	if err = fsat.StatHandle(fd, &st); err == nil {
		err = check(&st)
	}
	if err != nil {
		return fsat.NoDir, errors.Join(err, fsat.Close(fd))
	}
	return fd, nil
}

// openFully opens a directory unless check fails for its stat data, and gives its owner every permission if emptying
// it needs that.
func openFully(dir int, name string, check func(*fsat.Stat) error) (int, error) {
	var st fsat.Stat
	fd, err := fsat.OpenDir(dir, name)
	if err == nil {
		if err = fsat.StatHandle(fd, &st); err == nil {
			err = check(&st)
		}
		if err == nil && st.Mode&0o700 != 0o700 {
			if err = fsat.Chmod(fd, 0o700); fsat.IsRefused(err) { // removing a name reports the error, if the permission matters
				err = nil
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
	return openLocked(dir, name, check)
}

// openLocked opens a directory whose mode denies its owner access, after changing the mode.
func openLocked(dir int, name string, check func(*fsat.Stat) error) (int, error) {
	var st, now fsat.Stat
	node, err := fsat.OpenNode(dir, name)
	if err != nil {
		return fsat.NoDir, err
	}
	if err = fsat.StatHandle(node, &st); err == nil && st.Type == fsat.Directory {
		if err = check(&st); err == nil {
			err = fsat.ChmodNode(node, 0o700)
		}
	}
	if err = errors.Join(err, fsat.Close(node)); err != nil {
		return fsat.NoDir, err
	}
	fd, err := fsat.OpenDir(dir, name)
	if err != nil {
		return fsat.NoDir, err
	}
	if err = fsat.StatHandle(fd, &now); err == nil && !now.SameFile(&st) {
		err = errMoved
	}
	if err != nil {
		return fsat.NoDir, errors.Join(err, fsat.Close(fd))
	}
	return fd, nil
}

// leave removes the emptied directory from the directory above.
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
	var err error
	if l.kept && l.at.Mode&0o700 != 0o700 && !rm.dry { // it was opened up
		err = fsat.Chmod(rm.fd, l.at.Mode)
	}
	err = errors.Join(err, fsat.Close(rm.fd))
	rm.levels = rm.levels[:len(rm.levels)-1]
	rm.fd = above
	if l.kept {
		rm.keep()
	} else if err == nil && !rm.dry {
		err = rm.full.try(above, func() error { return fsat.Rmdir(above, l.name) })
		if fsat.IsGone(err) {
			err = nil
		}
	}
	if err != nil {
		err = fmt.Errorf("rmdir %q: %w", rm.path(l.name), err)
	}
	return err
}
