package verify

import (
	"errors"
	"fmt"

	"snapcopy/internal/fsat"
)

// ErrDamage is wrapped by every Damage.Err that proves damage. A Damage without it could not be looked at.
var ErrDamage = errors.New("damage")

// damageError is damage of one entry. It wraps ErrDamage.
type damageError struct{ cause error }

func (d *damageError) Error() string { return ErrDamage.Error() + ": " + d.cause.Error() }

func (d *damageError) Unwrap() []error { return []error{ErrDamage, d.cause} }

func damagef(format string, args ...any) error { return &damageError{fmt.Errorf(format, args...)} }

// joinDamage joins several damages of one entry into one error.
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

// lookFailed turns the failure of a call on an entry into a finding. A missing entry, an entry of another type and a
// failing disk are damage. Any other error proves nothing about the stored data: the next run may find it sound.
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
