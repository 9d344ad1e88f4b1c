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

// opensUp reports whether an existing folder is to be opened up before names in it change.
func (r *run) opensUp(st *fsat.Stat) bool {
	return r.maker.setter.UID != 0 && !r.opt.DryRun && st.UID == r.maker.setter.UID && st.Mode&0o700 != 0o700
}

// openUp opens up a folder in which a name is about to change, if it existed and needs that.
func (r *run) openUp(d *dir) error {
	if d.own || r.maker.setter.UID == 0 || r.opt.DryRun {
		return nil
	}
	d.open.once.Do(func() {
		var st fsat.Stat
		if d.open.err = fsat.StatHandle(d.dst(), &st); d.open.err != nil || !r.opensUp(&st) {
			return
		}
		d.open.err = r.openUpHandle(d.dst(), &st, openedUp{dir: d}, fsat.Chmod)
	})
	if d.open.err != nil {
		return fmt.Errorf("open up its folder: %w", d.open.err)
	}
	return nil
}

func (r *run) openUpHandle(fd int, st *fsat.Stat, was openedUp, chmod func(fd int, mode uint32) error) error {
	if err := r.target.step("open up"); err != nil {
		return err
	}
	was.inode, was.mode = tree.IDOf(st), st.Mode
	r.late.mu.Lock() // recorded first: the mode is reset whatever happens next
	r.late.opened = append(r.late.opened, was)
	r.late.mu.Unlock()
	if err := chmod(fd, st.Mode|0o700); err != nil && !fsat.IsRefused(err) {
		return err
	}
	return nil
}

// mkdirIn makes a folder in a folder on the way to a path, which may have to be opened up.
func (r *run) mkdirIn(dir int, name, folder string) error {
	err := fsat.Mkdir(dir, name, 0o700)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	var st fsat.Stat
	if statErr := fsat.StatHandle(dir, &st); statErr != nil || !r.opensUp(&st) {
		return errors.Join(err, statErr)
	}
	if err := r.openUpHandle(dir, &st, openedUp{path: folder}, fsat.Chmod); err != nil {
		return err
	}
	return fsat.Mkdir(dir, name, 0o700)
}

// openAnyway opens an existing folder, which may have to be opened up even for that.
func (r *run) openAnyway(dir int, name string, was openedUp) (int, error) {
	fd, err := fsat.OpenDir(dir, name)
	var st fsat.Stat
	if err == nil {
		if err = fsat.StatHandle(fd, &st); err == nil && st.Mode&0o100 == 0 && r.opensUp(&st) {
			err = r.openUpHandle(fd, &st, was, fsat.Chmod)
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
	if nodeErr = fsat.StatHandle(node, &st); nodeErr == nil && st.Type == fsat.Directory && r.opensUp(&st) {
		if nodeErr = r.openUpHandle(node, &st, was, fsat.ChmodNode); nodeErr == nil {
			fd, err = fsat.OpenDir(dir, name)
		}
	}
	return fd, errors.Join(err, nodeErr, fsat.Close(node))
}

// closeUp resets the modes of the folders that were opened up, except those that have got the snapshot's.
func (r *run) closeUp() (err error) {
	opened := r.late.opened
	r.late.opened = nil
	for i := len(opened) - 1; i >= 0; i-- { // the first to open a folder up has recorded its mode
		if o := &opened[i]; o.dir == nil || o.dir.state != dirDone {
			err = errors.Join(err, r.closeUpOne(o))
		}
	}
	return err
}

func (r *run) closeUpOne(o *openedUp) (err error) {
	fd, path := fsat.NoDir, o.path
	if o.dir != nil {
		path = o.dir.Path()
		fd, err = openAgain(o.dir)
	} else {
		fd, err = fsat.OpenPath(r.target.fd, o.path)
	}
	var st fsat.Stat
	if err == nil {
		err = fsat.StatHandle(fd, &st)
	}
	if err == nil && tree.IDOf(&st) == o.inode {
		err = fsat.Chmod(fd, o.mode)
	}
	if err = errors.Join(err, fsat.Close(fd)); err != nil {
		return fmt.Errorf("set mode of folder %q to %04o as before: %w", path, o.mode, err)
	}
	return nil
}
