package snapshot

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/source"
)

// A name that was listed and is gone when its turn comes has vanished: that is counted and is no failure. A file that
// exists and cannot be looked at is a failure, whatever error a failing disk, a server or a sandbox returns. So only
// one error can mean that a name is gone (fsat.IsGone), and it is confirmed twice: at once, by the source, and by
// listing the folder again before it is left.

// errVanished reports a name that is gone, as far as can be known at once.
var errVanished = errors.New("vanished")

// look describes the entry again. The error wraps errVanished if the name seems to be gone.
func (at slot) look(st *source.Stat) error {
	return lookedAt(source.LookAt(at.source(), at.name(), st))
}

// lookedAt adds errVanished to the error of a listed name that seems to be gone.
func lookedAt(err error) error {
	if fsat.IsGone(err) {
		return fmt.Errorf("%w: %w", errVanished, err)
	}
	return err
}

// lostWith returns the error for a name whose folder cannot be opened again: the name is gone if the folder is.
func lostWith(err error) error {
	if fsat.IsNoDir(err) {
		return fmt.Errorf("%w: %w", errVanished, err)
	}
	return err
}

// vanished is a name of a folder that seems to be gone.
type vanished struct {
	slot int
	was  index.Entry // the previous snapshot's entry of that name; Type 0: none
}

// vanish records that a name seems to be gone. Several workers can be in one folder.
func (d *dir) vanish(slot int, was index.Entry) {
	d.vanishedLock.Lock()
	d.vanished = append(d.vanished, vanished{slot, was})
	d.vanishedLock.Unlock()
}

// confirmVanished separates the names of a folder that are gone from those that the folder still has. For the
// previous snapshot the former are gone.
func (r *run) confirmVanished(w *worker, d *dir) error {
	if len(d.vanished) == 0 {
		return nil
	}
	list, err := d.listAgain(w.list)
	for _, v := range d.vanished {
		name := d.names[v.slot].Name
		failed := err
		if _, there := slices.BinarySearchFunc(list, name, func(e fsat.DirEntry, n string) int {
			return strings.Compare(e.Name, n)
		}); there && err == nil {
			failed = stillThere(d, name)
		}
		if failed != nil {
			d.entries[v.slot] = v.was
			if err := r.unread(w, d, v.slot, failed); err != nil {
				return err
			}
			continue
		}
		w.counts.Vanished++
		if v.was.Type != 0 {
			r.previous.addGone(d, &v.was)
		}
		w.tally.tell(Item{Path: d.child(name), Action: Vanished})
	}
	return nil
}

// listAgain lists a folder of the source again; a folder that is gone itself has no names.
func (d *dir) listAgain(buf []byte) ([]fsat.DirEntry, error) {
	err := d.handles.lost
	var list []fsat.DirEntry
	if err == nil {
		list, err = d.handles.src.List(buf)
	}
	if fsat.IsNoDir(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list its folder again: %w", err)
	}
	return list, nil
}

// stillThere returns the reason why a name that is listed and seemed to be gone is missing in the snapshot; nil if the
// entry was removed and another one has got its name since, which the next run stores.
func stillThere(d *dir, name string) error {
	var st source.Stat
	switch err := source.LookAt(d.handles.src, name, &st); {
	case fsat.IsGone(err):
		return errListed
	case err != nil:
		return fmt.Errorf("stat: %w", err)
	case st.Flags&index.Racy != 0:
		return nil
	}
	return errHidden
}

var (
	errListed = errors.New("its folder lists it, but looking at it says: no such file or directory")
	errHidden = errors.New("it could not be found while the snapshot was made, but exists now")
)
