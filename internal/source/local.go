package source

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"snapcopy/index"
	"snapcopy/internal/filter"
	"snapcopy/internal/folders"
	"snapcopy/internal/fsat"
)

// Local is a live folder of this machine. It reaches every entry from the handle of the entry's folder by name alone,
// so that a symbolic link put into the source meanwhile leads nowhere else.
type Local struct {
	// Filter is the set of rules by which the run leaves entries out.
	Filter *filter.Filter
	// Archive is the folder of the archive, which is left out if it lies in the source; nil: the archive does not
	// exist yet.
	Archive *fsat.Stat
	// IgnoreCtime says that the source's change times mean nothing.
	IgnoreCtime bool
	// Fault, if set, is called before each call that reads, with its name (open, stat, list, metadata, read) and that of the
	// entry, "" for the folder itself; its error replaces the call. For tests.
	Fault func(op, name string) error

	began  time.Time // by the clock of the file systems
	fd     int
	dev    uint64
	opened folders.Cache[string] // by path
	synced sync.Map              // by device number: func() error

	mu       sync.Mutex
	failures []error
}

// OpenLocal opens the folder at path. Changes made from now on count as racy.
func OpenLocal(path string, f *filter.Filter) (*Local, error) {
	l := &Local{Filter: f, began: time.Now()}
	var err error
	if l.fd, err = fsat.OpenRoot(path); err != nil {
		return nil, &fs.PathError{Op: "open source", Path: path, Err: err}
	}
	l.opened.Open = func(path string) (int, error) { return fsat.OpenPath(l.fd, path) }
	return l, nil
}

// Place describes the file system that the source's own folder is on.
func (l *Local) Place() (fsat.Place, error) { return fsat.PlaceOf(l.fd) }

func (l *Local) step(op, name string) error {
	if l.Fault == nil {
		return nil
	}
	return l.Fault(op, name)
}

// Close closes the source.
func (l *Local) Close() error { return errors.Join(l.opened.Close(), fsat.Close(l.fd)) }

// Inside reports whether the source is the folder at path or lies in it. It compares folders, not their names, so that
// links and mounts do not deceive it.
func (l *Local) Inside(path string) (inside bool, err error) {
	root, err := fsat.OpenRoot(path)
	if err != nil {
		return false, nil // nothing can be in it
	}
	var top, at, above fsat.Stat
	if err := errors.Join(fsat.StatHandle(root, &top), fsat.Close(root)); err != nil {
		return false, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	fd, err := fsat.OpenDir(l.fd, ".")
	for err == nil {
		if err = fsat.StatHandle(fd, &at); err != nil {
			break
		}
		if inside = at.SameFile(&top); inside {
			break
		}
		var next int
		if next, err = fsat.OpenParent(fd); err != nil {
			if fsat.IsRefused(err) { // this process cannot write to a folder that it may not open
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
	if err = errors.Join(err, fsat.Close(fd)); err != nil {
		return inside, fmt.Errorf("look for the archive %s above the source: %w", path, err)
	}
	return inside, nil
}

// Top opens the source's own folder.
func (l *Local) Top() (Folder, error) {
	f := &localFolder{of: l}
	var err error
	if f.fd, err = fsat.OpenDir(l.fd, "."); err != nil {
		return nil, err
	}
	if err = f.describe(); err == nil {
		err = fsat.CanSearch(f.fd, &f.self)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l.dev = f.self.Dev
	return f, nil
}

// Find describes an entry anywhere in the source.
func (l *Local) Find(dir, name string, st *Stat) error {
	return l.opened.In(dir, func(fd int) error { return fsat.StatAt(fd, name, &st.Stat) })
}

// Freshness is short: other programs work in the folder.
func (l *Local) Freshness() time.Duration { return 20 * time.Millisecond }

// Failures returns the failures to sync file systems.
func (l *Local) Failures() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failures
}

// sync makes changes on a file system of the source durable, once in a run, before the first of its files is read.
// Until its page is on the disk, a change through a mapping (mmap) can follow an earlier one without moving the file's
// times. After a sync, every change shows in times later than the beginning of the run, which are racy; tmpfs, which
// has no disk, is the exception. A file that is not read needs no sync: its file system was synced before the run that
// read it. After a failure, every file read of that file system is racy.
func (l *Local) sync(dev uint64, fd int) (ok bool) {
	once, _ := l.synced.LoadOrStore(dev, sync.OnceValue(func() error {
		err := fsat.SyncFS(fd)
		if err == nil || fsat.IsRefused(err) {
			return nil
		}
		l.mu.Lock()
		l.failures = append(l.failures,
			fmt.Errorf("sync a file system of the source, so its files are read again by the next run: %w", err))
		l.mu.Unlock()
		return err
	}))
	return once.(func() error)() == nil
}

// clockMargin exceeds the lag of a file system's clock, which moves in ticks, behind the time of day. A time in whole
// seconds is taken for a clock of that resolution.
const clockMargin = 50 * time.Millisecond

// mark sets the Racy flag of st if a change made after this look could leave its times as they are. That includes
// every entry changed since the run began: a program that writes through a mapping moves the times only with its first
// write to a page, until the page is on the disk (see sync).
func (l *Local) mark(st *Stat) {
	t := st.Ctime
	if l.IgnoreCtime {
		t = st.Mtime
	}
	margin := clockMargin
	if t.Nsec == 0 {
		margin = 2 * time.Second
	}
	st.Flags, st.AsOf, st.Known, st.Part, st.Err = 0, "", nil, 0, nil
	if !time.Unix(t.Sec, int64(t.Nsec)).Before(l.began.Add(-margin)) {
		st.Flags = index.Racy
	}
}
