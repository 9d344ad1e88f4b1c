package fsat

import "errors"

// ErrMoved says that what was opened is not the folder that the caller has seen under that name: that one was moved, or
// another was put in its place.
var ErrMoved = errors.New("folder was moved or replaced meanwhile")

// ID names an inode. As long as the inode exists, no other has the same ID.
type ID struct{ Dev, Ino uint64 }

// ID gives the name of the inode that a describes.
func (a *Stat) ID() ID { return ID{a.Dev, a.Ino} }

// Same passes on what was just opened if it is the inode id. Otherwise it closes the handle and returns ErrMoved.
func (id ID) Same(fd int, err error) (int, error) {
	if err != nil {
		return NoDir, err
	}
	var st Stat
	if err = StatHandle(fd, &st); err == nil && st.ID() != id {
		err = ErrMoved
	}
	if err != nil {
		return NoDir, errors.Join(err, Close(fd))
	}
	return fd, nil
}
