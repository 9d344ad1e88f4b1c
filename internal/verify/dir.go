package verify

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/dirhandles"
	"snapcopy/internal/fsat"
)

// dir is a directory being verified. Its handle is closed while the walk is far from it; whoever uses it acquires
// the directory.
type dir struct {
	dirhandles.Dir[*dir]
	fd      int
	parent  *dir
	entry   index.Entry
	entries []index.Entry
}

func (d *dir) path() string {
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

// openByPath opens the directory by the names from the top.
func (v *verifier) openByPath(d *dir) (err error) {
	if d.fd, err = fsat.OpenPath(v.archive.Root, index.Join(v.name, d.path())); err != nil {
		return fmt.Errorf("open %q again: %w", d.path(), err)
	}
	return nil
}

// openFrom opens the directory from one directly below it.
func (d *dir) openFrom(child *dir) (done bool, err error) {
	fd, err := fsat.OpenParent(child.fd)
	if err != nil {
		return false, nil // the names will do
	}
	d.fd = fd
	return true, nil
}

func (d *dir) closeHandle() error {
	fd := d.fd
	d.fd = fsat.NoDir
	return fsat.Close(fd)
}

func (v *verifier) enter(id int, parent *dir, item int) (d *dir, items int, ok bool, err error) {
	if err := parent.Acquire(); err != nil {
		return nil, 0, false, err
	}
	defer func() { err = errors.Join(err, parent.Release()) }()
	d = &dir{parent: parent, entry: parent.entries[item]}
	if d.fd, err = fsat.OpenDir(parent.fd, d.entry.Name); err != nil {
		v.closedDir(parent.fd, d, err)
		return nil, 0, false, nil
	}
	if err := v.list(&v.workers[id], d); err != nil {
		return nil, 0, false, errors.Join(err, d.closeHandle())
	}
	return d, len(d.entries), true, d.Enter(&parent.Dir, d)
}

func (v *verifier) leave(_ int, d *dir) error { return d.Leave() }

// closedDir settles a directory that cannot be opened. One that could not be listed in the source either has nothing
// recorded in it, so that only the directory itself is compared.
func (v *verifier) closedDir(above int, d *dir, cause error) {
	var st fsat.Stat
	if d.entry.Flags&index.Unread == 0 || !errors.Is(cause, fs.ErrPermission) {
		v.damage(d.path(), lookFailed("open", cause))
	} else if err := fsat.StatAt(above, d.entry.Name, &st); err != nil {
		v.damage(d.path(), lookFailed("stat", err))
	} else if err := v.compare(&d.entry, &st); err != nil {
		v.damage(d.path(), err)
	}
}

// strangers gives the listed names that the catalog does not have. One that is only another spelling of an entry's name
// is none: then the file system finds the entry's file under its own name, and does not list that.
func (v *verifier) strangers(d *dir, list []fsat.DirEntry) (names []string) {
	var respelt map[uint64]bool // inode numbers of the entries that are not listed and found all the same
	for _, listed := range list {
		_, found := slices.BinarySearchFunc(d.entries, listed.Name, func(e index.Entry, n string) int {
			return strings.Compare(e.Name, n)
		})
		if found {
			continue
		}
		if respelt == nil {
			respelt = d.notListed(list)
		}
		var st fsat.Stat
		if fsat.StatAt(d.fd, listed.Name, &st) != nil || !respelt[st.Ino] {
			names = append(names, listed.Name)
		}
	}
	return names
}

func (d *dir) notListed(list []fsat.DirEntry) map[uint64]bool {
	inodes := make(map[uint64]bool)
	for i := range d.entries {
		var st fsat.Stat
		if name := d.entries[i].Name; !archive.Lists(list, name) && fsat.StatAt(d.fd, name, &st) == nil {
			inodes[st.Ino] = true
		}
	}
	return inodes
}
