package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/plainfile"
	"snapcopy/internal/workers"
)

// A Hold protects a snapshot while its folder is read: until it is released, or its process ends, no process removes
// the snapshot. It is a shared lock on the snapshot's catalog.
type Hold struct{ file *os.File }

// Hold takes a hold of s. It fails with ErrNoSnapshot if s has just been removed.
func (s Snapshot) Hold() (*Hold, error) {
	f, err := plainfile.Open(s.CatalogPath)
	if errors.Is(err, plainfile.ErrKind) { // says that it is damaged
		_, err = index.Open(s.CatalogPath)
		return nil, fmt.Errorf("snapshot %s: %w", s.Name, err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s was removed", ErrNoSnapshot, s.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("hold snapshot: %w", err)
	}
	h := &Hold{f}
	if err = fsat.WaitShared(int(f.Fd())); err == nil {
		err = h.check(s) // a removal may have had the lock until now
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hold snapshot: %w", err), h.Release())
	}
	return h, nil
}

// check returns an error if the file is no longer the catalog of s.
func (h *Hold) check(s Snapshot) error {
	own, err := h.file.Stat()
	if err != nil {
		return err
	}
	now, err := os.Lstat(s.CatalogPath)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(own, now) {
		return fmt.Errorf("%w: %s was removed", ErrNoSnapshot, s.Name)
	}
	return err
}

// Release ends the hold.
func (h *Hold) Release() error {
	if h.file == nil {
		return nil
	}
	return h.file.Close()
}

// holdPatience is how long a removal waits for the holds of commands that are about to end.
const holdPatience = time.Second

// holdAlone takes an exclusive hold; nil if others have a hold for longer than patience.
func (s Snapshot) holdAlone(ctx context.Context, patience time.Duration) (*Hold, error) {
	f, err := plainfile.OpenFile(s.CatalogPath, os.O_RDWR, 0) // network file systems want it writable for this
	if err != nil && !errors.Is(err, plainfile.ErrKind) {
		f, err = plainfile.Open(s.CatalogPath)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, plainfile.ErrKind) {
		return &Hold{}, nil // nobody can hold a snapshot without a catalog
	}
	if err != nil {
		return nil, fmt.Errorf("hold snapshot: %w", err)
	}
	h := &Hold{f}
	for wait := time.Millisecond; ; wait *= 2 {
		ok, err := fsat.TryLock(int(f.Fd()))
		if err == nil && ok {
			return h, nil
		}
		if err == nil && patience <= 0 {
			return nil, h.Release()
		}
		if err == nil {
			err = workers.Pause(ctx, wait)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("hold snapshot: %w", err), h.Release())
		}
		patience -= wait
	}
}
