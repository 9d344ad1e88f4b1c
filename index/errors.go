package index

import (
	"errors"
	"fmt"

	"snapcopy/internal/plainfile"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrDamagedData reports that data of an archive are damaged. Its kinds, whose remedies differ, wrap it: ErrDamaged for
	// a catalog or the index, tree.ErrDamaged for a stored file.
	ErrDamagedData = errors.New("damaged")
	// ErrDamaged reports a catalog or an index that was cut short or changed, or a file that is neither. Errors of this
	// package that wrap it are of type *DamageError.
	ErrDamaged = fmt.Errorf("%w", ErrDamagedData)
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
