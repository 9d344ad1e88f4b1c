package restore

import (
	"errors"
	"fmt"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// enterBase opens the folder of the target that a path goes into: the target itself or, in place, the one that the path
// is in, which is made with those above it where it is missing.
func (r *run) enterBase(d *dir, item int) error {
	p := d.parent
	d.base, d.own, d.inode, d.missing = &p.selected[item], p.own, p.inode, p.missing
	if !r.opt.InPlace || d.base.folder == "" {
		d.folds, d.had = p.folds, p.had
		return r.openByPath(d)
	}
	if !d.missing {
		fd, err := r.makeFolders(d)
		if err != nil {
			return fmt.Errorf("restore to %q: %w", d.base.folder, err)
		}
		if fd == fsat.NoDir {
			d.missing, d.own = true, true
		} else {
			var st fsat.Stat
			if err := errors.Join(fsat.StatHandle(fd, &st), fsat.Close(fd)); err != nil {
				return fmt.Errorf("restore to %q: %w", d.base.folder, err)
			}
			d.inode, d.own = idOf(&st), false
		}
	}
	if err := r.openByPath(d); err != nil || d.own {
		return err
	}
	return r.lookForFolding(d)
}

// makeFolders opens the folder of a base, and makes what is missing of the path; a dry run returns NoDir for that.
func (r *run) makeFolders(d *dir) (int, error) {
	fd, err := fsat.OpenDir(r.target, ".")
	at := ""
	for name := range strings.SplitSeq(d.base.folder, "/") {
		if err != nil {
			return fsat.NoDir, err
		}
		at = join(at, name)
		next, openErr := fsat.OpenDir(fd, name)
		if fsat.IsGone(openErr) && r.opt.DryRun {
			return fsat.NoDir, fsat.Close(fd)
		}
		if fsat.IsGone(openErr) {
			if openErr = fsat.Mkdir(fd, name, 0o700); openErr == nil {
				next, openErr = fsat.OpenDir(fd, name)
				r.late.folders = append(r.late.folders, at)
			}
		}
		if err = errors.Join(openErr, fsat.Close(fd)); err != nil {
			err = errors.Join(fmt.Errorf("folder %q: %w", at, err), fsat.Close(next))
			next = fsat.NoDir
		}
		fd = next
	}
	return fd, err
}

// finishFolders gives the folders that were made on the way to a path their metadata, the deepest first.
func (r *run) finishFolders() error {
	w := &r.workers[0]
	for len(r.late.folders) > 0 {
		path := r.late.folders[len(r.late.folders)-1]
		r.late.folders = r.late.folders[:len(r.late.folders)-1]
		if err := r.finishFolder(w, path); err != nil {
			return fmt.Errorf("set metadata of %q: %w", path, err)
		}
	}
	return nil
}

func (r *run) finishFolder(w *worker, path string) (err error) {
	e, ok, err := r.from.Catalog.Lookup(path)
	if err != nil || !ok || e.Type != index.Dir {
		return errors.Join(err, ErrDamaged)
	}
	set, err := w.xattrs.get(r.from.Catalog, e.Xattrs)
	if err != nil {
		return err
	}
	fd, err := openPath(r.target, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	if _, err := r.setMetadata(w, inode{fd: fd}, &e, set, setting{}); err != nil {
		return err
	}
	w.counts.Dirs++
	if r.fsync {
		return fsat.Sync(fd)
	}
	return nil
}
