package index

import (
	"errors"
	"fmt"

	"snapcopy/internal/plainfile"
)

// Errors that callers tell apart with errors.Is. Every error that wraps ErrDamaged is a *DamageError.
var (
	// ErrDamaged says that a file is not what was written: cut short, changed, or no such file at all.
	ErrDamaged = errors.New("damaged")
	// ErrNewer says that a file was written by a later release, in a format this one does not know.
	ErrNewer = errors.New("written in a newer format")
)

// DamageError says where a file is damaged, and how.
type DamageError struct {
	Path   string
	Offset int64 // in the file; of the block or page with the damage
	Reason error
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("read %s: %v at byte %d: %v", e.Path, ErrDamaged, e.Offset, e.Reason)
}

// Unwrap makes errors.Is find ErrDamaged.
func (e *DamageError) Unwrap() []error { return []error{ErrDamaged, e.Reason} }

// damagedKind makes damage of an error that says that something else, a pipe or a link, is in the place of the file.
func damagedKind(path string, err error) error {
	var kind *plainfile.KindError
	if errors.As(err, &kind) {
		return &DamageError{Path: path, Reason: kind}
	}
	return err
}
