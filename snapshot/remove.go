package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"snapcopy/internal/fsat"
)

// removeTree removes name in dir and everything below it; nothing there is no error. It works by handles and never
// leaves the tree; folders without permissions are opened up first. No inode's content is touched, only names.
func removeTree(dir int, name string) error {
	rm := remover{buf: make([]byte, 64<<10), base: dir, name: name}
	err := rm.remove(dir, name, 0)
	for i := 0; i < rm.moved && err == nil; i++ {
		err = rm.remove(dir, rm.movedName(i), 0)
	}
	if err != nil {
		return fmt.Errorf("remove %q: %w", name, err)
	}
	return nil
}

// deepest is how many folders are open at once. What lies deeper is first moved up next to the top of the tree.
const deepest = 50

type remover struct {
	buf   []byte
	base  int // the tree's parent
	name  string
	moved int // trees moved up so far
}

func (rm *remover) movedName(i int) string { return rm.name + ".deep" + strconv.Itoa(i) }

func (rm *remover) remove(dir int, name string, depth int) error {
	err := fsat.Unlink(dir, name)
	if err == nil || fsat.IsGone(err) {
		return nil
	}
	var st fsat.Stat
	if statErr := fsat.StatAt(dir, name, &st); statErr != nil || st.Type != fsat.Directory {
		return &fs.PathError{Op: "unlink", Path: name, Err: err}
	}
	if st.Mode&0o700 != 0o700 {
		if err := fsat.ChmodAt(dir, name, 0o700); err != nil {
			return &fs.PathError{Op: "chmod", Path: name, Err: err}
		}
	}
	if depth == deepest {
		rm.moved++
		if err := fsat.Rename(dir, name, rm.base, rm.movedName(rm.moved-1)); err != nil {
			return &fs.PathError{Op: "rename", Path: name, Err: err}
		}
		return nil
	}
	fd, err := fsat.OpenDir(dir, name)
	if err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	list, err := fsat.ReadDir(fd, rm.buf)
	if err != nil {
		return errors.Join(&fs.PathError{Op: "list", Path: name, Err: err}, fsat.Close(fd))
	}
	for _, e := range list {
		if err := rm.remove(fd, e.Name, depth+1); err != nil {
			return errors.Join(err, fsat.Close(fd))
		}
	}
	if err := fsat.Close(fd); err != nil {
		return err
	}
	if err := fsat.Rmdir(dir, name); err != nil && !fsat.IsGone(err) {
		return &fs.PathError{Op: "rmdir", Path: name, Err: err}
	}
	return nil
}
