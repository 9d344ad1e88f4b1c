package snapshot

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fault"
	"snapcopy/internal/fsat"
)

// recordUnpublished leaves a record of a run that has published nothing in the archive at path, if there is one. It needs
// no lock, and follows everything else, so that the record says the last word and finds the space that the run gave back.
func (r *run) recordUnpublished(path string, cause error) {
	if cause == nil || r.published || r.opt.DryRun || fault.IsCrash(cause) || r.loss != nil {
		return
	}
	if err := r.writeUnpublished(path, cause); err != nil && r.opt.Unrecorded != nil {
		r.opt.Unrecorded(err)
	}
}

func (r *run) writeUnpublished(path string, cause error) (err error) {
	a := r.archive
	if a == nil {
		a, err = archive.Open(path)
		if errors.Is(err, archive.ErrNoArchive) || errors.Is(err, archive.ErrNotArchive) { // nor is there a place for a record
			return nil
		}
		if err != nil {
			if strings.Contains(cause.Error(), err.Error()) { // the run has failed for that
				return nil
			}
			return err
		}
		defer func() { err = errors.Join(err, a.Close()) }()
	}
	r.report.End = r.opt.now().UTC()
	return a.RecordUnpublished(r.report, r.outcomeOf(cause), cause)
}

// refusals are the errors of runs that may not begin.
var refusals = []error{archive.ErrNoHardLinks, ErrInsideArchive, ErrNotMountPoint, ErrClock, index.ErrNewer}

// outcomeOf names the outcome of a run for its record. An error with a method Outcome names its own.
func (r *run) outcomeOf(cause error) archive.Outcome {
	var own interface{ Outcome() archive.Outcome }
	switch {
	case errors.As(cause, &own):
		return own.Outcome()
	case r.ctx.Err() != nil && errors.Is(cause, context.Canceled):
		return archive.OutcomeInterrupted
	case errors.Is(cause, archive.ErrLocked):
		return archive.OutcomeSkipped
	case fsat.IsNoSpace(cause):
		return archive.OutcomeNoSpace
	case r.source == nil && (errors.Is(cause, fs.ErrNotExist) || errors.Is(cause, syscall.ENOTDIR)):
		return archive.OutcomeRefused
	case slices.ContainsFunc(refusals, func(refusal error) bool { return errors.Is(cause, refusal) }):
		return archive.OutcomeRefused
	}
	return archive.OutcomeFailed
}
