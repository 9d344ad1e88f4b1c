package tree

import (
	"errors"

	"snapcopy/internal/fsat"
)

// ErrMoved reports that an opened folder is not the one seen under that name before: that one was moved or replaced.
var ErrMoved = errors.New("folder was moved or replaced meanwhile")

// InodeID identifies an inode of this machine.
type InodeID struct{ Dev, Ino uint64 }

// IDOf returns the ID of the inode that stat data describe.
func IDOf(st *fsat.Stat) InodeID { return InodeID{st.Dev, st.Ino} }

// Same returns fd, a folder that was just opened, if its inode is id. Otherwise it closes the handle and returns
// ErrMoved.
func (id InodeID) Same(fd int, err error) (int, error) {
	if err != nil {
		return fsat.NoDir, err
	}
	var st fsat.Stat
	if err = fsat.StatHandle(fd, &st); err == nil && IDOf(&st) != id {
		err = ErrMoved
	}
	if err != nil {
		return fsat.NoDir, errors.Join(err, fsat.Close(fd))
	}
	return fd, nil
}
