package verify

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// dir is a folder being verified.
type dir struct {
	tree.Folder
	entry   index.Entry
	entries []index.Entry
}

// stored is the one tree of the walk.
const stored = 0

func (v *verifier) enter(id int, parent *dir, item int) (d *dir, items int, ok bool, err error) {
	if err := parent.Acquire(); err != nil {
		return nil, 0, false, err
	}
	defer func() { err = errors.Join(err, parent.Release()) }()
	d = &dir{entry: parent.entries[item]}
	d.Begin(&parent.Folder, d.entry.Name)
	if err := d.Open(stored); err != nil {
		v.closedDir(parent.FD(stored), d, err)
		return nil, 0, false, nil
	}
	if err := v.list(&v.workers[id], d); err != nil {
		return nil, 0, false, errors.Join(err, d.Close())
	}
	return d, len(d.entries), true, d.Enter()
}

func (v *verifier) leave(_ int, d *dir) error { return d.Leave() }

// closedDir reports a folder that cannot be opened. If it could not be listed in the source either, the catalog has no
// entries of it, and only the folder itself is compared.
func (v *verifier) closedDir(above int, d *dir, cause error) {
	var st fsat.Stat
	if d.entry.Flags&index.Unread == 0 || !errors.Is(cause, fs.ErrPermission) {
		v.damage(d.Path(), ofEntry.lookFailed("open", cause))
	} else if err := fsat.StatAt(above, d.entry.Name, &st); err != nil {
		v.damage(d.Path(), ofEntry.lookFailed("stat", err))
	} else if err := v.compare(&d.entry, &st); err != nil {
		v.damage(d.Path(), err)
	}
}

// strangers returns the listed names that are not in the catalog. A different spelling of an entry's name is no
// stranger: the file system then finds the entry's file under the recorded name, but does not list that name.
func (v *verifier) strangers(d *dir, list []fsat.DirEntry) (names []string) {
	var respelt map[uint64]bool // inode numbers of the entries found although not listed
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
		if fsat.StatAt(d.FD(stored), listed.Name, &st) != nil || !respelt[st.Ino] {
			names = append(names, listed.Name)
		}
	}
	return names
}

func (d *dir) notListed(list []fsat.DirEntry) map[uint64]bool {
	inodes := make(map[uint64]bool)
	for i := range d.entries {
		var st fsat.Stat
		if name := d.entries[i].Name; !fsat.Lists(list, name) && fsat.StatAt(d.FD(stored), name, &st) == nil {
			inodes[st.Ino] = true
		}
	}
	return inodes
}
