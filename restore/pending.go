package restore

import (
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
	"snapcopy/internal/tree"
)

// pending is an inode under construction. It gets its name when it is finished, so that nobody sees half of it, what it
// replaces is there until then, and an interruption leaves nothing under a name of the snapshot.
type pending struct {
	dir  int
	fd   int    // of the inode itself
	temp string // "": it has no name at all
	// placed: temp is the name it is to have.
	placed bool
	mode   uint32 // it was made with, if that is what it is to have in the end; otherwise 0
}

// unfinishedMode is the mode of a file that has its name already and not yet its content: see newFile and isUnread.
// Its owner may write: without that he may set no extended attributes.
const unfinishedMode = 0o200

// temp gives the name in d of what this worker has under construction, where that has to have one.
func (w *worker) temp(d *dir) string { return leftover.Temporary(w.random, d.ID(inTarget).Ino) }

func (d *dir) isTemporary(name string) bool {
	_, ok := leftover.ParseTemporary(name, d.ID(inTarget).Ino)
	return ok
}

// isLeftover reports whether a name in d is a temporary one of another run: two workers can be in one folder.
func (w *worker) isLeftover(d *dir, name string) bool {
	random, ok := leftover.ParseTemporary(name, d.ID(inTarget).Ino)
	return ok && random/maxWorkers != w.random/maxWorkers
}

// newFile makes a regular file without a name or, where the file system knows none such, with a temporary one. In a
// folder of which a note says that it is not finished it has its own name at once, and its mode if nothing else has to be
// set before that: each saves a call. What is not finished is known by its content then: see comparePart.
func (r *run) newFile(w *worker, d *dir, e *index.Entry) (p pending, err error) {
	dir := d.dst()
	p = pending{dir: dir}
	if d.own && r.note.state == noteWritten {
		mode := uint32(unfinishedMode)
		const special, readable = 0o7000, 0o400
		if d.plain && e.UID == r.euid && e.GID == r.egid && e.Xattrs == 0 && e.Mode&special == 0 &&
			e.Mode&readable != 0 && e.Mode&r.masked.Load() == 0 {
			mode, p.mode = e.Mode, e.Mode
		}
		p.fd, err = fsat.Create(dir, e.Name, mode)
		if err == nil {
			p.temp, p.placed = e.Name, true
		}
		return p, err
	}
	if !r.named.Load() {
		if err = r.step("unnamed"); err == nil {
			p.fd, err = fsat.CreateUnnamed(dir, 0o600)
		}
		if err == nil {
			return p, nil
		}
		p.fd = fsat.NoDir
		if !fsat.IsUnnamedRefused(err) {
			return p, err
		}
		r.named.Store(true)
	}
	p.temp = w.temp(d)
	p.fd, err = fsat.Create(dir, p.temp, 0o600)
	return p, err
}

// newSpecial makes a symbolic link, FIFO, socket or device under a temporary name or, as newFile does, its own.
func (r *run) newSpecial(w *worker, d *dir, e *index.Entry) (p pending, err error) {
	dir := d.dst()
	p = pending{dir: dir, fd: fsat.NoDir, temp: w.temp(d)}
	if d.own && r.note.state == noteWritten {
		p.temp, p.placed = e.Name, true
	}
	if e.Type == index.Symlink {
		err = fsat.MakeSymlink(e.Target, dir, p.temp)
	} else {
		err = fsat.MakeNode(dir, p.temp, tree.KindOf(e.Type), 0o600, e.Major, e.Minor)
		if e.Type == index.CharDevice || e.Type == index.BlockDevice {
			err = whyNoDevice(err)
		}
	}
	if err == nil {
		if err = r.step("open made"); err == nil {
			p.fd, err = openMade(dir, p.temp, e)
		}
	}
	if fsat.IsExist(err) || errors.Is(err, errReplaced) {
		p.temp = "" // not ours
	}
	if err != nil { // some file systems say so, and have made it all the same
		err = errors.Join(err, p.end())
	}
	return p, err
}

// whyNoDevice adds to an error what may keep root, too, from making a device.
func whyNoDevice(err error) error {
	switch fsat.MissingFor(err, fsat.CapMknod) {
	case fsat.CapMknod:
		return fmt.Errorf("%w: root lacks CAP_MKNOD here", err)
	case fsat.InitialUser:
		return fmt.Errorf("%w: root of a user namespace makes no devices", err)
	}
	return err
}

// publish gives the inode its name. over says that it replaces what has that name now; otherwise a name that is taken is
// an error that fsat.IsExist reports.
func (p *pending) publish(w *worker, d *dir, name string, over bool) error {
	switch {
	case p.placed:
		p.temp = ""
		return nil
	case p.temp == "" && !over:
		return fsat.LinkUnnamed(p.fd, p.dir, name)
	case p.temp == "":
		if err := fsat.LinkUnnamed(p.fd, p.dir, w.temp(d)); err != nil {
			return err
		}
		p.temp = w.temp(d)
	}
	if over {
		err := fsat.Rename(p.dir, p.temp, p.dir, name)
		if err == nil {
			p.temp = ""
		}
		return err
	}
	err := fsat.RenameNew(p.dir, p.temp, p.dir, name)
	if err == nil {
		p.temp = ""
	}
	return err
}

// end closes the inode, and takes the temporary name away if it still has that.
func (p *pending) end() error {
	var err error
	if p.temp != "" {
		if err = fsat.Unlink(p.dir, p.temp); err != nil && !fsat.IsGone(err) {
			err = fmt.Errorf("remove what was begun: %w", err)
		} else {
			err = nil
		}
	}
	closeErr := fsat.Close(p.fd)
	p.fd = fsat.NoDir
	if closeErr != nil { // some file systems report here that they could not write
		err = errors.Join(err, fmt.Errorf("close: %w", closeErr))
	}
	return err
}
