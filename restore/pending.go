package restore

import (
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/leftover"
	"snapcopy/internal/tree"
)

// pending is an inode under construction. It gets its name when it is finished: nobody sees half of it, the entry it
// replaces exists until then, and an interruption leaves no name of the snapshot.
type pending struct {
	dir  int
	fd   int    // of the inode itself
	temp string // "": it has no name at all
	// placed: temp is the final name.
	placed bool
	mode   uint32 // mode it was made with, if that is the final mode; otherwise 0
}

// unfinishedMode is the mode of a file that has its name already but not yet its content: see newFile and isUnread.
// Its owner may write: without that right he may set no extended attributes.
const unfinishedMode = 0o200

// temp returns the temporary name in d of this worker's entry under construction.
func (w *worker) temp(d *dir) string { return leftover.Temporary(w.random, d.ID(inTarget).Ino) }

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

// newFile makes a regular file without a name, or with a temporary one if the file system does not support that. In a
// folder with a note that it is unfinished, the file gets its final name at once, and its final mode if no other
// metadata have to be set before: each saves a call. An unfinished file is then recognised by its content: see
// comparePart.
func (r *run) newFile(w *worker, d *dir, e *index.Entry) (p pending, err error) {
	dir := d.dst()
	p = pending{dir: dir}
	if d.own && r.note.state == noteWritten {
		mode := uint32(unfinishedMode)
		const special, readable = 0o7000, 0o400
		if d.plain && e.UID == r.setter.UID && e.GID == r.setter.GID && e.Xattrs == 0 && e.Mode&special == 0 &&
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
		if err = r.target.step("unnamed"); err == nil {
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

// newSpecial makes a symbolic link, FIFO, socket or device under a temporary name or, as newFile does, the final one.
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
		if err = r.target.step("open made"); err == nil {
			p.fd, err = openMade(dir, p.temp, e)
		}
	}
	if fsat.IsExist(err) || errors.Is(err, errReplaced) {
		p.temp = "" // not ours
	}
	if err != nil { // some file systems report this although they have made the inode
		err = errors.Join(err, p.end())
	}
	return p, err
}

// whyNoDevice adds to an error the reason why even root may not make a device.
func whyNoDevice(err error) error {
	switch fsat.MissingFor(err, fsat.CapMknod) {
	case fsat.CapMknod:
		return fmt.Errorf("%w: root lacks CAP_MKNOD here", err)
	case fsat.InitialUser:
		return fmt.Errorf("%w: root of a user namespace makes no devices", err)
	}
	return err
}

// publish gives the inode its name. over replaces an existing entry of that name; without it, an existing name is an
// error that fsat.IsExist reports.
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

// end closes the inode, and removes its temporary name if it still has one.
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
	if closeErr != nil { // some file systems report a failed write only here
		err = errors.Join(err, fmt.Errorf("close: %w", closeErr))
	}
	return err
}
