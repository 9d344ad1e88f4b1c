package index

import (
	"errors"
	"fmt"

	"snapcopy/internal/plainfile"
)

// Errors that callers tell apart with errors.Is. Every error that wraps ErrDamaged is a *DamageError.
var (
	// ErrDamaged reports a file that was cut short or changed, or that is not a file of this kind at all.
	ErrDamaged = errors.New("damaged")
	// ErrNewer reports a file that a later release wrote, in a format that this release does not know.
	ErrNewer = errors.New("written in a newer format")
)

// DamageError is the place of a damage in a file, and its kind.
type DamageError struct {
	Path   string
	Offset int64 // of the damaged block or page
	Reason error
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("read %s: %v at byte %d: %v", e.Path, ErrDamaged, e.Offset, e.Reason)
}

// Unwrap makes errors.Is find ErrDamaged.
func (e *DamageError) Unwrap() []error { return []error{ErrDamaged, e.Reason} }

// damagedKind turns the error for a pipe, a link or another object in the place of the file into a DamageError.
func damagedKind(path string, err error) error {
	var kind *plainfile.KindError
	if errors.As(err, &kind) {
		return &DamageError{Path: path, Reason: kind}
	}
	return err
}
