package verify

import (
	"errors"
	"fmt"

	"snapcopy/internal/fsat"
)

// ErrDamage is what every finding of Run wraps.
var ErrDamage = errors.New("damage")

// damageError is what is wrong with one entry. It wraps ErrDamage.
type damageError struct{ cause error }

func (d *damageError) Error() string { return ErrDamage.Error() + ": " + d.cause.Error() }

func (d *damageError) Unwrap() []error { return []error{ErrDamage, d.cause} }

func damagef(format string, args ...any) error { return &damageError{fmt.Errorf(format, args...)} }

// joinDamage makes one error of several of one entry.
func joinDamage(list []error) error {
	joined := list[0]
	for _, err := range list[1:] {
		var d *damageError
		if errors.As(err, &d) {
			err = d.cause
		}
		joined = fmt.Errorf("%w; %w", joined, err)
	}
	return joined
}

// lookFailed says that something could not be looked at. That it is not there, or of another type, is damage, and so is
// what a disk says that cannot read it. All else says nothing about what is stored: it may be found sound next time.
func lookFailed(op string, err error) error {
	switch {
	case fsat.IsGone(err):
		return damagef("missing: %s: %w", op, err)
	case fsat.IsOtherType(err):
		return damagef("it has become something else: %s: %w", op, err)
	case fsat.IsBadDisk(err):
		return damagef("the disk or its file system fails: %s: %w", op, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}
