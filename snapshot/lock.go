package snapshot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"snapcopy/internal/atomicfile"
	"snapcopy/internal/fsat"
)

// Lock is the right to change an archive. The system gives it back when its owner ends, so that a crash or a power cut
// never leaves an archive locked.
type Lock struct{ file *os.File }

// Lock takes the archive's lock, and fails with ErrLocked, saying who has it, if another process does.
func (a *Archive) Lock() (*Lock, error) {
	f, err := os.OpenFile(a.metaPath(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock archive: %w", err)
	}
	if err := atomicfile.Inherit(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock archive: %w", err), f.Close())
	}
	ok, err := fsat.LockExclusive(int(f.Fd()))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock archive %s: %w", a.Path, err), f.Close())
	}
	if !ok {
		owner, _ := io.ReadAll(io.LimitReader(f, 200)) // only to tell who; the lock itself is what counts
		return nil, errors.Join(fmt.Errorf("%w by %s", ErrLocked, lockOwner(string(owner))), f.Close())
	}
	host, _ := os.Hostname() // only told to others
	text := fmt.Sprintf("process %d on %s since %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	err = errors.Join(f.Truncate(0), writeAt(f, text))
	if err != nil && !fsat.IsNoSpace(err) { // the lock itself takes no room, and is what removing needs on a full disk
		return nil, errors.Join(fmt.Errorf("lock archive: %w", err), f.Close())
	}
	return &Lock{f}, nil
}

// Unlock gives the lock back.
func (l *Lock) Unlock() error {
	return errors.Join(fsat.Unlock(int(l.file.Fd())), l.file.Close())
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

func lockOwner(text string) string {
	if text = strings.TrimSpace(text); text != "" {
		return text
	}
	return "another process"
}
