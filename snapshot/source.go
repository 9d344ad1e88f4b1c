package snapshot

import (
	"bytes"
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
func sourceOutside(source int, archive string) error {
	root, err := fsat.OpenRoot(archive)
	if err != nil {
		return nil // no archive yet: nothing can be in it
	}
	var top, at, above fsat.Stat
	if err := errors.Join(fsat.StatHandle(root, &top), fsat.Close(root)); err != nil {
		return &fs.PathError{Op: "stat", Path: archive, Err: err}
	}
	fd, err := fsat.OpenDir(source, ".")
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
		return !fsat.IsGone(err)
	}
	return st.Type == fsat.Regular && uint64(st.Size) == e.Size && index.Time(st.Mtime) == e.Mtime
}

// leaveOut reports why a directory is not to be entered, or "".
func (r *run) leaveOut(d *dir, src int) (rule string, err error) {
	if r.archive != nil && d.source.SameFile(&r.archive.rootID) {
		r.tally.mu.Lock()
		r.report.SelfExcluded = d.path()
		r.tally.mu.Unlock()
		return "the archive itself", nil
	}
	if r.opt.RespectNoDump {
		if out, err := noDump(src, &d.source); err != nil || out {
			return ruleNoDump, err
		}
	}
	if r.opt.ExcludeCaches {
		if is, err := isCache(src); err != nil || is {
			return "--exclude-caches", err
		}
	}
	var st fsat.Stat
	for _, name := range r.opt.ExcludeIfPresent {
		err := fsat.StatAt(src, name, &st)
		if err == nil {
			return "--exclude-if-present " + name, nil
		}
		if !fsat.IsGone(err) && !fsat.IsRefused(err) {
			return "", fmt.Errorf("stat %s: %w", name, err)
		}
	}
	return "", nil
}

const ruleNoDump = "--respect-nodump"

// noDump reports whether an open file or directory is not to be dumped.
func noDump(fd int, st *fsat.Stat) (bool, error) {
	if st.AttrsTold&fsat.NoDump != 0 {
		return st.Attrs&fsat.NoDump != 0, nil
	}
	attrs, err := fsat.Attrs(fd)
	return attrs&fsat.NoDump != 0, err
}

// noDumpAt is noDump for a name; it opens regular files only, and only where the file system leaves no other way.
func noDumpAt(dir int, name string, st *fsat.Stat) (out bool, err error) {
	if st.AttrsTold&fsat.NoDump != 0 || st.Type != fsat.Regular {
		return st.Attrs&fsat.NoDump != 0, nil
	}
	fd, err := fsat.OpenFile(dir, name)
	if err != nil {
		return false, nil // it will be told of when the file itself is read
	}
	out, err = noDump(fd, st)
	return out, errors.Join(err, fsat.Close(fd))
}

// cacheTag begins the file CACHEDIR.TAG of a cache folder (https://bford.info/cachedir/).
const cacheTag = "Signature: 8a477f597d28d172789f06886806bc55"

func isCache(dir int) (is bool, err error) {
	var st fsat.Stat
	if err := fsat.StatAt(dir, "CACHEDIR.TAG", &st); err != nil || st.Type != fsat.Regular {
		return false, nil
	}
	fd, err := fsat.OpenFile(dir, "CACHEDIR.TAG")
	if err != nil {
		return false, nil // it will be told of when the file itself is read
	}
	defer func() { err = errors.Join(err, fsat.Close(fd)) }()
	head := make([]byte, len(cacheTag))
	n, err := fsat.Read(fd, head, 0)
	return bytes.Equal(head[:n], []byte(cacheTag)), err
}
