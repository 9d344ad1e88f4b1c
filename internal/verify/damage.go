package verify

import (
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
)

// kind is a kind of damage: the error that damage of this kind wraps.
type kind struct{ error }

var (
	ofEntry   = kind{tree.ErrDamaged}      // of a stored file, or of another entry of a snapshot
	ofArchive = kind{index.ErrDamagedData} // of a catalog as a whole, of the index, of the archive's own files
)

// damageError is damage that was found. It wraps its kind and its cause.
type damageError struct {
	kind  kind
	cause error
}

func (d *damageError) Error() string { return "damage: " + d.cause.Error() }

func (d *damageError) Unwrap() []error { return []error{d.kind.error, d.cause} }

// damagef makes an error of damage of this kind.
func (k kind) damagef(format string, args ...any) error {
	return &damageError{k, fmt.Errorf(format, args...)}
}

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

// lookFailed turns the failure of a call into a finding. A missing entry, an entry of another type and a failing disk
// are damage of this kind. Any other error proves nothing about the stored data: the next run may find it sound.
func (k kind) lookFailed(op string, err error) error {
	switch {
	case fsat.IsGone(err):
		return k.damagef("missing: %s: %w", op, err)
	case fsat.IsOtherType(err):
		return k.damagef("it has another type now: %s: %w", op, err)
	case fsat.IsBadDisk(err):
		return k.damagef("the disk or its file system fails: %s: %w", op, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}
