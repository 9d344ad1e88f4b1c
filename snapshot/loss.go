package snapshot

import (
	"errors"

	"snapcopy/internal/archive"
	"snapcopy/internal/fault"
	"snapcopy/internal/fsat"
)

// lose finds out whether a run has failed because its archive can no longer be written to.
func (r *run) lose(cause error) {
	switch {
	case cause == nil || r.loss != nil || r.archive == nil || r.published || r.ctx.Err() != nil || fault.IsCrash(cause):
	case fsat.IsReadOnly(cause):
		r.loss = r.archive.ReadOnly()
	default:
		r.loss = r.archive.Reachable()
	}
}

// withLoss adds to the error of a run that its archive is lost to it: an error at a path says that of one file alone.
func (r *run) withLoss(err error) error {
	r.lose(err)
	if r.loss == nil || errors.Is(err, archive.ErrUnreachable) || errors.Is(err, archive.ErrReadOnly) {
		return err
	}
	return errors.Join(err, r.loss)
}
