package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"

	"snapcopy/internal/mirror"
)

// A fatalError is a failure of the archive: it ends the run. Failures to read the source never do.
type fatalError struct{ err error }

func (f *fatalError) Error() string { return f.err.Error() }
func (f *fatalError) Unwrap() error { return f.err }

func fatal(op, path string, err error) error {
	return &fatalError{&fs.PathError{Op: op, Path: cmp.Or(path, "."), Err: err}} // "": the snapshot's top
}

// notMirrored turns an error of the mirror into one of the archive, but for a name that the file system does not take:
// that is a failure of the entry.
func notMirrored(path string, err error) error {
	var step *mirror.Error
	if errors.As(err, &step) {
		return fatal(step.Op, path, step.Err)
	}
	return err
}

func isFatal(err error) bool {
	var f *fatalError
	return errors.As(err, &f)
}

// cause drops the path from an error, for a message that has the path already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	return err
}
