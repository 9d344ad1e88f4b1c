package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// sourceRoot is the source's own folder.
type sourceRoot struct {
	fd      int
	folders folderCache
}

// openSource opens the source and makes sure that it does not lie in the archive.
func (r *run) openSource(source, archive string) error {
	abs, err := filepath.Abs(source)
	if err != nil {
		return err
	}
	r.report.Source = abs
	fd, err := fsat.OpenRoot(abs)
	if err != nil {
		return &fs.PathError{Op: "open source", Path: source, Err: err}
	}
	r.source = &sourceRoot{fd: fd}
	r.source.folders.init(fd)
	return sourceOutside(fd, archive)
}

func (s *sourceRoot) close() error { return errors.Join(s.folders.close(), fsat.Close(s.fd)) }

// sourceOutside walks up from the source, and fails if it meets the archive. It compares folders, not their names, so
// that links and mounts do not deceive it.
func sourceOutside(source int, archive string) (err error) {
	root, err := fsat.OpenRoot(archive)
	if err != nil {
		return nil // no archive yet: nothing can be in it
	}
	var top, at, above fsat.Stat
	if err := errors.Join(fsat.StatHandle(root, &top), fsat.Close(root)); err != nil {
		return &fs.PathError{Op: "stat", Path: archive, Err: err}
	}
	fd, err := fsat.OpenDir(source, ".")
	defer func() {
		if err != nil && !errors.Is(err, ErrInsideArchive) {
			err = fmt.Errorf("look for the archive %s above the source: %w", archive, err)
		}
	}()
	for err == nil {
		if err = fsat.StatHandle(fd, &at); err != nil {
			break
		}
		if at.SameFile(&top) {
			err = ErrInsideArchive
			break
		}
		var next int
		if next, err = fsat.OpenParent(fd); err != nil {
			if fsat.IsRefused(err) { // what we may not look at we cannot write to either
				err = nil
			}
			break
		}
		err = errors.Join(fsat.Close(fd), fsat.StatHandle(next, &above))
		fd = next
		if err == nil && above.SameFile(&at) {
			break
		}
	}
	return errors.Join(err, fsat.Close(fd))
}

// settle writes to the disk, once in a run and before the first file is read, what programs have changed on a file
// system of the source. Until its page has gone to the disk, a change through a mapping (mmap) can follow an earlier one
// without moving the file's times. After this, every change shows in times later than the beginning of the run, which
// are racy; but for tmpfs, where nothing goes to a disk. A file that is not read needs nothing of the kind: it was
// settled when it was. If it fails, what is read of that file system is racy.
func (r *run) settle(w *worker, dev uint64, fd int) (settled bool) {
	sync, known := r.devices.settled.LoadOrStore(dev, sync.OnceValue(func() error {
		if err := fsat.SyncFS(fd); !fsat.IsRefused(err) {
			return err
		}
		return nil
	}))
	err := sync.(func() error)()
	if err != nil && !known {
		r.fail(w, ".", fmt.Errorf("sync a file system of the source, so its files are read again by the next run: %w", err))
	}
	return err == nil
}

// stillHas reports whether the source has a file where the previous entry e was that may still be that one.
func (s *sourceRoot) stillHas(dir string, e *index.Entry) bool {
	var st fsat.Stat
	err := s.folders.in(dir, func(fd int) error { return fsat.StatAt(fd, e.Name, &st) })
	if err != nil {
		return !fsat.IsNoDir(err)
	}
	return st.Type == fsat.Regular && uint64(st.Size) == e.Size && st.Mtime == e.Mtime
}

// leaveOut reports why a directory is not to be entered, or "".
func (r *run) leaveOut(d *dir, src int) (rule string, err error) {
	if r.archive != nil && d.source.SameFile(&r.archive.TopStat) {
		r.tally.mu.Lock()
		r.report.SelfExcluded = d.path()
		r.tally.mu.Unlock()
		return "the archive itself", nil
	}
	if rule := r.leftBehindDir(d, src); rule != "" {
		return rule, nil
	}
	return r.filter.Dir(src, &d.source)
}
