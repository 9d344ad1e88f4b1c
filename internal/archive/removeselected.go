package archive

import (
	"context"
	"errors"
	"time"
)

// Selection names the snapshots that RemoveSelected removes, as a person writes them. Each function may be nil.
type Selection struct {
	Selectors []string
	Zone      *time.Location // of the times in them
	// Before is called for each selected snapshot that an interrupted command has removed already.
	Before func(name string)
	Earlier
	// Confirm is called with the report of a dry run, unless that is all the caller wants, or no snapshot would be
	// removed. Its error ends RemoveSelected.
	Confirm  func(would *RemoveReport) error
	Removing func() // called before snapshots are removed, or looked at by a dry run
}

// RemoveSelected is Remove for snapshots that a person names. It first finishes interrupted work, which a dry run does
// not: the name of a snapshot whose removal was interrupted is no mistake, because the same command given again ends
// that removal. Without further snapshots the report is nil. Any other selector that means no snapshot, or not one
// alone, is an error before any snapshot is removed.
func (a *Archive) RemoveSelected(ctx context.Context, s Selection, opt RemoveOptions) (*RemoveReport, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	names, removed, chooseErr := a.selectToRemove(s.Selectors, opt.Now(), s.Zone)
	if s.Before != nil {
		for _, name := range removed {
			s.Before(name)
		}
	}
	if chooseErr != nil && !errors.Is(chooseErr, ErrNoSnapshot) {
		return nil, chooseErr
	}
	if !opt.DryRun {
		if err := a.Finish(ctx, opt, s.Earlier); err != nil {
			return nil, err
		}
	}
	if chooseErr != nil || len(names) == 0 {
		return nil, chooseErr
	}
	if err := a.confirmRemoval(ctx, names, s.Confirm, opt); err != nil {
		return nil, err
	}
	if s.Removing != nil {
		s.Removing()
	}
	return a.Remove(ctx, names, opt)
}

// confirmRemoval calls confirm with the report of a dry run. If no snapshot would be removed, Remove reports the
// reasons.
func (a *Archive) confirmRemoval(ctx context.Context, names []string, confirm func(*RemoveReport) error, opt RemoveOptions) error {
	if confirm == nil || opt.DryRun {
		return nil
	}
	opt.DryRun = true
	would, err := a.Remove(ctx, names, opt)
	if err != nil || len(would.Removed) == 0 {
		return err
	}
	return confirm(would)
}
