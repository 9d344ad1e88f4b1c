package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// verifyDir is a directory being verified. Its handle is closed while the walk is far from it.
type verifyDir struct {
	parent  *verifyDir
	entry   index.Entry
	newer   index.Entry // the entry of that path in the snapshot verified before; Type 0: none
	entries []index.Entry
	known   []bool              // goes with entries: the other snapshot has it with the same stored file and hash
	dirs    map[int]index.Entry // the other snapshot's entries of folders that both have, by the position in entries

	mu       sync.Mutex
	users    int
	fd       int
	children []*verifyDir // entered and not left
}

func (d *verifyDir) path() string {
	if d.parent == nil {
		return ""
	}
	var parts []string
	for at := d; at.parent != nil; at = at.parent {
		parts = append(parts, at.entry.Name)
	}
	slices.Reverse(parts)
	return strings.Join(parts, "/")
}

func (v *verifier) acquire(d *verifyDir) (int, error) {
	fd, reopened, err := v.open(d)
	if err != nil || !reopened {
		return fd, err
	}
	return fd, v.opened.add(d)
}

func (v *verifier) open(d *verifyDir) (fd int, reopened bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		if d.fd, err = v.reopen(d); err != nil {
			return fsat.NoDir, false, fmt.Errorf("open %q again: %w", d.path(), err)
		}
		reopened = true
	}
	d.users++
	return d.fd, reopened, nil
}

// reopen opens the directory from one below it if one is open, otherwise by the names from the top: opening each folder
// from the one above would leave all of them open.
func (v *verifier) reopen(d *verifyDir) (int, error) {
	for _, child := range d.children {
		child.mu.Lock()
		fd, err := fsat.NoDir, error(nil)
		if child.fd >= 0 {
			fd, err = fsat.OpenParent(child.fd)
		}
		child.mu.Unlock()
		if err == nil && fd >= 0 {
			return fd, nil
		}
	}
	return openPath(v.archive.root, join(v.name, d.path()))
}

func (d *verifyDir) release() {
	d.mu.Lock()
	d.users--
	d.mu.Unlock()
}

// suspend closes the handle, unless somebody is using it.
func (d *verifyDir) suspend() (done bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users > 0 {
		return false, nil
	}
	return true, d.close()
}

func (d *verifyDir) close() error {
	fd := d.fd
	d.fd = fsat.NoDir
	return fsat.Close(fd)
}

func (v *verifier) enter(id int, parent *verifyDir, item int) (*verifyDir, int, bool, error) {
	d := &verifyDir{parent: parent, entry: parent.entries[item], fd: fsat.NoDir}
	above, err := v.acquire(parent)
	if err != nil {
		return nil, 0, false, err
	}
	d.fd, err = fsat.OpenDir(above, d.entry.Name)
	if err != nil {
		v.closedDir(above, d, err)
	}
	parent.release()
	if err != nil {
		return nil, 0, false, nil
	}
	d.newer = parent.dirs[item]
	if err := v.read(&v.workers[id], d); err != nil {
		return nil, 0, false, errors.Join(err, fsat.Close(d.fd))
	}
	parent.mu.Lock()
	parent.children = append(parent.children, d)
	parent.mu.Unlock()
	if err := v.opened.add(d); err != nil {
		return nil, 0, false, err
	}
	return d, len(d.entries), true, nil
}

// leave opens the parent's handle from the child's, which costs the same at any depth.
func (v *verifier) leave(_ int, d *verifyDir) error {
	v.opened.remove(d)
	d.mu.Lock()
	d.users++ // nobody else closes it now
	fd := d.fd
	d.mu.Unlock()
	if d.parent != nil && d.parent.resume(d, fd) {
		if err := v.opened.add(d.parent); err != nil {
			return errors.Join(err, d.close())
		}
	}
	return d.close()
}

// resume ends a child, and opens the directory from it if it was closed.
func (d *verifyDir) resume(child *verifyDir, fd int) (opened bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.Index(d.children, child)
	d.children = slices.Delete(d.children, i, i+1)
	if d.fd >= 0 || fd < 0 {
		return false
	}
	up, err := fsat.OpenParent(fd)
	if err != nil {
		return false // the names will do
	}
	d.fd = up
	return true
}

// closedDir settles a directory that cannot be opened. One that could not be listed in the source either has nothing
// recorded in it, so that only the directory itself is compared.
func (v *verifier) closedDir(above int, d *verifyDir, cause error) {
	var st fsat.Stat
	if d.entry.Flags&index.Unread == 0 || !errors.Is(cause, fs.ErrPermission) {
		v.damage(d.path(), lookFailed("open", cause))
	} else if err := fsat.StatAt(above, d.entry.Name, &st); err != nil {
		v.damage(d.path(), lookFailed("stat", err))
	} else if err := v.compare(&d.entry, &st); err != nil {
		v.damage(d.path(), err)
	}
}
