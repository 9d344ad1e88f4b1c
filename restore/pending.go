package restore

import (
	"errors"
	"fmt"

	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
	"snapcopy/internal/tree"
)

// pending is an inode under construction. It gets its name when it is finished: nobody sees half of it, the entry it
// replaces exists until then, and an interruption leaves no name of the snapshot. A run that takes a snapshot needs
// nothing of this: in its mirror, which nobody sees before it is published, each file is made under its name.
type pending struct {
	dir  int
	fd   int    // of the inode itself
	temp string // "": it has no name at all
	// placed: temp is the final name.
	placed bool
	mode   uint32 // mode it was made with, if that is the final mode; otherwise 0
}

// temp returns the temporary name in d of this worker's entry under construction.
func (w *worker) temp(d *dir) string { return w.tempIn(d.ID(inTarget)) }

func (w *worker) tempIn(dir tree.InodeID) string { return leftover.Temporary(w.random, dir.Ino) }

func (d *dir) isTemporary(name string) bool {
	_, ok := leftover.ParseTemporary(name, d.ID(inTarget).Ino)
	return ok
}

// isLeftover reports whether a name in d is a temporary one of another run. Another worker of this run may be in the
// folder, too.
func (w *worker) isLeftover(d *dir, name string) bool {
	random, ok := leftover.ParseTemporary(name, d.ID(inTarget).Ino)
	return ok && random/maxWorkers != w.random/maxWorkers
}

// publish gives the inode its name. An existing name is an error that fsat.IsExist reports.
func (p *pending) publish(name string) (err error) {
	switch {
	case p.placed:
	case p.temp == "":
		return fsat.LinkUnnamed(p.fd, p.dir, name)
	default:
		err = fsat.RenameNew(p.dir, p.temp, p.dir, name)
	}
	if err == nil {
		p.temp = ""
	}
	return err
}

// replace gives the inode its name in the place of an existing entry, by way of a temporary name in d.
func (p *pending) replace(w *worker, d *dir, name string) error {
	if p.temp == "" {
		temp := w.temp(d)
		if err := fsat.LinkUnnamed(p.fd, p.dir, temp); err != nil {
			return err
		}
		p.temp = temp
	}
	err := fsat.Rename(p.dir, p.temp, p.dir, name)
	if err == nil {
		p.temp = ""
	}
	return err
}

// end closes the inode, and removes its temporary name if it still has one.
func (p *pending) end() error {
	var err error
	if p.temp != "" {
		if err = fsat.Unlink(p.dir, p.temp); err != nil && !fsat.IsGone(err) {
			err = fmt.Errorf("remove the unfinished file: %w", err)
		} else {
			err = nil
		}
	}
	closeErr := fsat.Close(p.fd)
	p.fd = fsat.NoDir
	if closeErr != nil { // some file systems report a failed write only here
		err = errors.Join(err, fmt.Errorf("close: %w", closeErr))
	}
	return err
}
