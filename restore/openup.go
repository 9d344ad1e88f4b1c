package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// A user's own folder without write permission does not stop root, and stops the user only until a chmod. A restore
// does the chmod: just before the first name in such a folder changes. At the end, however that comes about, the
// folder gets its mode back.

// opener opens folders up, and closes them again.
type opener struct {
	target *target
	uid    uint32 // of the process
	mu     sync.Mutex
	opened []openedUp // their modes are to be reset
}

// openable is a folder of the target that may have to be opened up, once.
type openable struct {
	once sync.Once
	err  error
}

// openedUp is a folder that was opened up: dir, or the folder at a path below the target.
type openedUp struct {
	dir   *dir
	path  string
	inode tree.InodeID
	mode  uint32 // before
}

// opens reports whether an existing folder is to be opened up before names in it change.
func (o *opener) opens(st *fsat.Stat) bool {
	return o.uid != 0 && !o.target.dry && st.UID == o.uid && st.Mode&0o700 != 0o700
}

// openUp opens up a folder in which a name is about to change, if it existed and needs that.
func (o *opener) openUp(d *dir) error {
	if d.own || o.uid == 0 || o.target.dry {
		return nil
	}
	d.open.once.Do(func() {
		var st fsat.Stat
		if d.open.err = fsat.StatHandle(d.dst(), &st); d.open.err != nil || !o.opens(&st) {
			return
		}
		d.open.err = o.byHandle(d.dst(), &st, openedUp{dir: d}, fsat.Chmod)
	})
	if d.open.err != nil {
		return fmt.Errorf("open up its folder: %w", d.open.err)
	}
	return nil
}

// byHandle opens up an open folder; was says where it is.
func (o *opener) byHandle(fd int, st *fsat.Stat, was openedUp, chmod func(fd int, mode uint32) error) error {
	if err := o.target.step("open up"); err != nil {
		return err
	}
	was.inode, was.mode = tree.IDOf(st), st.Mode
	o.mu.Lock() // recorded first: the mode is reset whatever happens next
	o.opened = append(o.opened, was)
	o.mu.Unlock()
	if err := chmod(fd, st.Mode|0o700); err != nil && !fsat.IsRefused(err) {
		return err
	}
	return nil
}

// mkdirIn makes a folder in a folder on the way to a path, which may have to be opened up.
func (o *opener) mkdirIn(dir int, name, folder string) error {
	err := fsat.Mkdir(dir, name, 0o700)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	var st fsat.Stat
	if statErr := fsat.StatHandle(dir, &st); statErr != nil || !o.opens(&st) {
		return errors.Join(err, statErr)
	}
	if err := o.byHandle(dir, &st, openedUp{path: folder}, fsat.Chmod); err != nil {
		return err
	}
	return fsat.Mkdir(dir, name, 0o700)
}

// openAnyway opens an existing folder, which may have to be opened up even for that.
func (o *opener) openAnyway(dir int, name string, was openedUp) (int, error) {
	fd, err := fsat.OpenDir(dir, name)
	var st fsat.Stat
	if err == nil {
		if err = fsat.StatHandle(fd, &st); err == nil && st.Mode&0o100 == 0 && o.opens(&st) {
			err = o.byHandle(fd, &st, was, fsat.Chmod)
		}
		return fd, err
	}
	if !errors.Is(err, fs.ErrPermission) {
		return fsat.NoDir, err
	}
	node, nodeErr := fsat.OpenNode(dir, name)
	if nodeErr != nil {
		return fsat.NoDir, err
	}
	if nodeErr = fsat.StatHandle(node, &st); nodeErr == nil && st.Type == fsat.Directory && o.opens(&st) {
		if nodeErr = o.byHandle(node, &st, was, fsat.ChmodNode); nodeErr == nil {
			fd, err = fsat.OpenDir(dir, name)
		}
	}
	return fd, errors.Join(err, nodeErr, fsat.Close(node))
}

// closeUp resets the modes of the folders that were opened up, except those that have got the snapshot's.
func (o *opener) closeUp() (err error) {
	opened := o.opened
	o.opened = nil
	for i := len(opened) - 1; i >= 0; i-- { // the first to open a folder up has recorded its mode
		if was := &opened[i]; was.dir == nil || was.dir.state != dirDone {
			err = errors.Join(err, o.closeUpOne(was))
		}
	}
	return err
}

func (o *opener) closeUpOne(was *openedUp) (err error) {
	fd, path := fsat.NoDir, was.path
	if was.dir != nil {
		path = was.dir.Path()
		fd, err = openAgain(was.dir)
	} else {
		fd, err = fsat.OpenPath(o.target.fd, was.path)
	}
	var st fsat.Stat
	if err == nil {
		err = fsat.StatHandle(fd, &st)
	}
	if err == nil && tree.IDOf(&st) == was.inode {
		err = fsat.Chmod(fd, was.mode)
	}
	if err = errors.Join(err, fsat.Close(fd)); err != nil {
		return fmt.Errorf("set mode of folder %q to %04o as before: %w", path, was.mode, err)
	}
	return nil
}
