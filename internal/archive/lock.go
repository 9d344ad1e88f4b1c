package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
	"snapcopy/internal/plainfile"
)

// Locked is an archive with its lock, which is the right to change it. The system releases the lock when its process
// ends, so that a crash or a power cut never leaves an archive locked.
type Locked struct {
	*Archive
	file  *os.File
	named bool // the file has the name of this process
}

// Lock takes the archive's lock. If another process has it, Lock asks Archive.Taker what to do, or fails with a
// LockedError. It makes missing folders and derived files of the archive anew (Meta.Mended).
func (a *Archive) Lock() (*Locked, error) {
	lock, err := a.lock()
	if err != nil {
		return nil, err
	}
	if err := lock.mend(); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return lock, nil
}

func (a *Archive) lock() (*Locked, error) {
	if err := OutsideOthers(a.Path); err != nil { // whoever writes takes the lock
		return nil, err
	}
	for {
		lock, err := a.tryLock()
		var held *LockedError
		if !errors.As(err, &held) || a.Taker.Held == nil {
			return lock, err
		}
		if err := a.Taker.Held(held); err != nil {
			return nil, err
		}
	}
}

// tryLock takes the lock, or fails with a LockedError.
func (a *Archive) tryLock() (*Locked, error) {
	f, err := a.Meta.openLock()
	if err != nil {
		return nil, fmt.Errorf("lock archive: %w", err)
	}
	own, err := isOwn(f)
	if err == nil && own {
		err = atomicfile.Inherit(f)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock archive: %w", err), f.Close())
	}
	ok, err := fsat.LockExclusive(int(f.Fd()))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock archive %s: %w", a.Path, err), f.Close())
	}
	if !ok {
		text, _ := io.ReadAll(io.LimitReader(f, maxOwnerText)) // only for the message; the lock itself decides
		return nil, errors.Join(&LockedError{a.Path, ownerFrom(string(text))}, f.Close())
	}
	if own {
		host, _ := os.Hostname() // only told to others
		owner := Owner{PID: os.Getpid(), Host: host, Verb: a.Taker.Verb, Since: time.Now()}
		err = errors.Join(f.Truncate(0), writeAt(f, owner.text()))
		if err != nil && !fsat.IsNoSpace(err) { // locking takes no space, and removing needs it on a full disk
			return nil, errors.Join(fmt.Errorf("lock archive: %w", err), f.Close())
		}
	}
	return &Locked{a, f, own}, nil
}

// isOwn reports whether a file has one name alone. Another one may be a stored file, in whose content nothing is written;
// locking it is as good.
func isOwn(f *os.File) (bool, error) {
	var st fsat.Stat
	err := fsat.StatHandle(int(f.Fd()), &st)
	return err == nil && st.Nlink == 1, err
}

// openLock opens the lock file, and puts aside anything else in its place that cannot be locked. Only a process that
// has locked .snapcopy itself does that: otherwise the second of two processes would remove the new lock of the first.
func (m *Meta) openLock() (f *os.File, err error) {
	if f, err = m.tryOpenLock(); !errors.Is(err, plainfile.ErrKind) {
		return f, err
	}
	for { // another process has it only as long as this function takes
		ok, err := fsat.TryLock(m.fd)
		if err != nil {
			return nil, err
		}
		if ok {
			break
		}
		time.Sleep(time.Millisecond)
	}
	defer func() { err = errors.Join(err, fsat.Unlock(m.fd)) }()
	f, err = m.tryOpenLock()
	var kind *plainfile.KindError
	if errors.As(err, &kind) {
		if err = m.putAside(LockFile, kind.Is); err == nil {
			f, err = m.tryOpenLock()
		}
	}
	return f, err
}

// tryOpenLock opens the lock file, which it makes if it is missing.
func (m *Meta) tryOpenLock() (*os.File, error) {
	return plainfile.OpenFile(m.Path(LockFile), os.O_RDWR|os.O_CREATE, 0o600)
}

// Unlock releases the lock.
func (l *Locked) Unlock() error {
	if l.named {
		_ = l.file.Truncate(0) // only for messages: a later holder that does not name itself is not taken for this process
	}
	return errors.Join(fsat.Unlock(int(l.file.Fd())), l.file.Close())
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}
