package restore

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/inside"
	"snapcopy/internal/tree"
)

// enterBase opens the folder of the target that a path goes into: the target itself or, in place, the folder that
// contains the path, which it makes, with those above, if it is missing.
func (r *run) enterBase(w *worker, d *dir, item int) error {
	p := d.parent
	d.base, d.own = &p.selected[item], p.own
	if p.state == dirAbsent {
		d.state = dirAbsent
	}
	d.SetID(inTarget, p.ID(inTarget))
	place := ""
	if r.opt.InPlace {
		place = d.base.Folder
	}
	d.BeginBase(&p.Folder, d.base.Folder, place)
	above, ok, err := r.scope.Catalog.Lookup(d.base.Folder)
	if err != nil {
		return tree.CatalogError(err)
	}
	if !ok {
		return tree.ErrDamaged
	}
	d.entry.Dev = above.Dev // to detect a mount at the path
	if !r.opt.InPlace || d.base.Folder == "" || d.state == dirAbsent {
		d.had = p.had
		return d.openBase()
	}
	fd, err := r.passages.open(w, d.base.Folder)
	if err != nil {
		return err
	}
	if fd == fsat.NoDir {
		d.state, d.own = dirAbsent, true
		return d.openBase()
	}
	var st fsat.Stat
	if err := errors.Join(fsat.StatHandle(fd, &st), fsat.Close(fd)); err != nil {
		return err
	}
	d.own = false
	d.SetID(inTarget, tree.IDOf(&st))
	if err := d.openBase(); err != nil {
		return err
	}
	return r.target.lookForFolding(d)
}

// openBase opens both sides of a base.
func (d *dir) openBase() error {
	if d.state != dirAbsent {
		if err := d.Open(inTarget); err != nil {
			return fmt.Errorf("open in target: %w", err)
		}
	}
	_ = d.Open(inSnapshot) // an entry whose content is stored there, or may be in the target, reports the error
	return nil
}

// passages are the folders of the snapshot on the way to paths that are restored in place.
type passages struct {
	target *target
	maker  *maker
	opener *opener
	note   *note
	mu     sync.Mutex
	made   []passage // each after the one above it
}

// open opens the folder that a path is in, and makes the missing folders of its path; a dry run returns NoDir for a
// missing one.
func (p *passages) open(w *worker, folder string) (int, error) {
	p.mu.Lock() // two paths may want the same folders
	defer p.mu.Unlock()
	fd, err := fsat.OpenDir(p.target.fd, ".")
	at := ""
	for name := range strings.SplitSeq(folder, "/") {
		if err != nil {
			return fsat.NoDir, err
		}
		at = index.Join(at, name)
		next, openErr := p.openOrMake(w, fd, name, at)
		err = errors.Join(openErr, fsat.Close(fd))
		if err != nil {
			err = errors.Join(fmt.Errorf("folder %q: %w", at, err), fsat.Close(next))
			next = fsat.NoDir
		} else if next == fsat.NoDir {
			return fsat.NoDir, nil
		}
		fd = next
	}
	return fd, err
}

// openOrMake opens the folder at a path of the snapshot by its name in dir, and makes it if it is missing; a dry run
// returns NoDir for that.
func (p *passages) openOrMake(w *worker, dir int, name, path string) (int, error) {
	var st fsat.Stat
	switch err := fsat.StatAt(dir, name, &st); {
	case err == nil:
		return p.openExisting(w, dir, name, path, &st)
	case !fsat.IsGone(err):
		return fsat.NoDir, err
	case p.target.dry:
		return fsat.NoDir, nil
	}
	return p.make(w, dir, name, path)
}

// openExisting opens an existing folder on the way to a path. It does not follow an entry of another type.
func (p *passages) openExisting(w *worker, dir int, name, path string, st *fsat.Stat) (int, error) {
	if st.Mounted {
		if _, is, err := inside.Archive(filepath.Join(p.target.path, path)); err != nil || is {
			return fsat.NoDir, cmp.Or(err, inside.ErrTarget)
		}
	}
	switch {
	case st.Type != fsat.Directory:
		return fsat.NoDir, fmt.Errorf("%w and is not a folder", ErrExists)
	case tree.IDOf(st) == p.target.archive.folder:
		return fsat.NoDir, inside.ErrTarget
	case p.note.resumed() && !p.target.dry && !p.has(path):
		fd, err := openOpenedUp(dir, name)
		if err == nil {
			err = p.start(w, fd, path)
		}
		if err != nil {
			return fsat.NoDir, errors.Join(err, fsat.Close(fd))
		}
		return fd, nil
	}
	return p.opener.openAnyway(dir, name, openedUp{path: path})
}

// make makes a folder on the way to a path.
func (p *passages) make(w *worker, dir int, name, path string) (int, error) {
	if err := p.target.step("mkdir"); err != nil {
		return fsat.NoDir, err
	}
	if err := p.opener.mkdirIn(dir, name, index.FolderOf(path)); err != nil {
		return fsat.NoDir, err
	}
	fd, err := fsat.OpenDir(dir, name)
	if err == nil {
		err = checkNew(fd)
	}
	if err == nil {
		err = p.start(w, fd, path)
	}
	if err != nil {
		return fsat.NoDir, errors.Join(err, fsat.Close(fd))
	}
	return fd, nil
}

// passage is such a folder, made by this run.
type passage struct {
	path  string
	inode tree.InodeID
	mode  uint32
	mtime index.Time
}

func (p *passages) has(path string) bool {
	return slices.ContainsFunc(p.made, func(f passage) bool { return f.path == path })
}

// start sets the metadata of a folder that was made on the way to a path at once: an interrupted restore need not come
// back to it.
func (p *passages) start(w *worker, fd int, path string) error {
	e, ok, err := p.maker.catalog.Lookup(path)
	if err != nil {
		return tree.CatalogError(err)
	}
	if !ok || e.Type != index.Dir {
		return tree.ErrDamaged
	}
	set, err := w.xattrs.Get(p.maker.catalog, e.Xattrs)
	if err != nil {
		return err
	}
	how := tree.Setting{}
	if p.maker.setter.UID != 0 {
		how.Keep = 0o700 // something is made in it
	}
	s, err := p.maker.setMetadata(w, tree.Opened(fd), &e, set, how)
	if err != nil {
		return fmt.Errorf("set metadata: %w", err)
	}
	p.made = append(p.made, passage{path, tree.IDOf(&s.Stat), s.Mode, e.Mtime})
	w.counts.Dirs++
	return nil
}

// finish sets the times of the folders that were made on the way to a path, the deepest first.
func (p *passages) finish() error {
	for len(p.made) > 0 {
		last := len(p.made) - 1
		f := p.made[last]
		p.made = p.made[:last]
		if err := p.finishOne(f); err != nil {
			return fmt.Errorf("set metadata of %q: %w", f.path, err)
		}
	}
	return nil
}

func (p *passages) finishOne(f passage) (err error) {
	fd, err := f.inode.Same(fsat.OpenPath(p.target.fd, f.path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	var st fsat.Stat
	if err := fsat.StatHandle(fd, &st); err != nil {
		return err
	}
	if st.Mode != f.mode {
		if err := fsat.Chmod(fd, f.mode); err != nil && !fsat.IsRefused(err) {
			return err
		}
	}
	if err := fsat.SetMtime(fd, f.mtime); err != nil && !fsat.IsRefused(err) {
		return err
	}
	if p.target.fsync {
		return fsat.Sync(fd)
	}
	return nil
}
