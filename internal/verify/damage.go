package verify

import (
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/tree"
	"snapcopy/internal/verified"
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
	what  string     // one of the kinds of package verified
	of    *contentOf // nil: not of a content
}

// contentOf is the content that a stored file should have.
type contentOf struct {
	stored uint64
	hash   index.Hash
	size   uint64
}

// wrongContent turns damage into damage of a content; other errors stay as they are.
func (c *contentOf) wrongContent(err error) error {
	if err == nil { // nearly always
		return nil
	}
	var d *damageError
	if !errors.As(err, &d) {
		return err
	}
	of := *c
	return &damageError{d.kind, d.cause, verified.Content, &of}
}

func (d *damageError) Error() string { return "damage: " + d.cause.Error() }

func (d *damageError) Unwrap() []error { return []error{d.kind.error, d.cause} }

// damagef makes an error of damage of this kind.
func (k kind) damagef(format string, args ...any) error {
	what := verified.Metadata
	if k == ofArchive {
		what = verified.Records
	}
	return &damageError{kind: k, what: what, cause: fmt.Errorf(format, args...)}
}

// stranger is the damage of a name that is not in the catalog.
func (k kind) stranger() error {
	return &damageError{kind: k, what: verified.Stranger, cause: errors.New("not in the catalog: added after the snapshot was made")}
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
		d := k.damagef("missing: %s: %w", op, err).(*damageError)
		if k == ofEntry {
			d.what = verified.Missing
		}
		return d
	case fsat.IsOtherType(err):
		return k.damagef("it has another type now: %s: %w", op, err)
	case fsat.IsBadDisk(err):
		return k.damagef("the disk or its file system fails: %s: %w", op, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}
