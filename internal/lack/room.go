package lack

import (
	"errors"
	"fmt"
	"os"

	"snapcopy/internal/fsat"
)

// Room is what a file system has left for this process.
type Room struct {
	fsat.Space
	Bytes uint64 // free, with those that only root can use, if the process is root's
	Dev   uint64 // the number of the file system
}

// RoomAt describes the room at path, or at the nearest existing folder above.
func RoomAt(path string) (r Room, err error) {
	_, fd := nearest(path)
	if fd == fsat.NoDir {
		return r, fmt.Errorf("%s: %w", path, os.ErrNotExist)
	}
	var st fsat.Stat
	r.Space, err = fsat.FileSystem(fd)
	err = errors.Join(err, fsat.StatHandle(fd, &st), fsat.Close(fd))
	r.Dev, r.Bytes = st.Dev, r.Free
	if os.Geteuid() == 0 {
		r.Bytes += r.Reserved
	}
	return r, err
}
