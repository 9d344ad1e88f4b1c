package archive

import (
	"context"
	"fmt"

	"snapcopy/internal/fsat"
)

// FinishReport describes the work of Finish.
type FinishReport struct {
	Recovered             []string // as in RemoveReport
	Unfinished, Postponed []error

	Unlinked uint64 // as in RemoveReport
	Freed    uint64 // bytes by which the free space of the file system grew meanwhile
}

// Earlier has the functions that Finish calls if there is interrupted work. Each may be nil.
type Earlier struct {
	Finishing func(*Progress)     // before the work
	Finished  func(*FinishReport) // after the work, unless it failed
}

// Finish finishes an interrupted removal or forgetting, if there is one, and returns when the space of the removed
// files counts as free. It does so by Remove without names, for which opt is meant; it ignores Check and Freed.
func (a *Archive) Finish(ctx context.Context, opt RemoveOptions, earlier Earlier) error {
	unfinished, err := a.Unfinished()
	if err != nil || !unfinished {
		return err
	}
	before, err := a.FileSystem()
	if err != nil {
		return err
	}
	opt.Progress, opt.Check, opt.Freed = new(Progress), nil, nil
	if earlier.Finishing != nil {
		earlier.Finishing(opt.Progress)
	}
	report, err := a.Remove(ctx, nil, opt)
	if err != nil {
		return err
	}
	if err := a.SyncFreed(); err != nil {
		return err
	}
	after, err := a.FileSystem()
	if err != nil || earlier.Finished == nil {
		return err
	}
	earlier.Finished(&FinishReport{Recovered: report.Recovered, Unfinished: report.Unfinished, Postponed: report.Postponed,
		Unlinked: report.Unlinked, Freed: after.Free - min(after.Free, before.Free)})
	return nil
}

// Unfinished reports whether a removal, a forgetting or a repair is unfinished, because it was interrupted or is under way.
// Remove, with or without names, finishes it.
func (a *Archive) Unfinished() (bool, error) {
	if _, forgetting := a.Forgetting(); forgetting || a.Repairing() > 0 {
		return true, nil
	}
	name, err := a.removingInPlace()
	if err != nil || name != "" {
		return name != "", err
	}
	empty, err := a.Trash.IsEmpty()
	return err == nil && !empty, err
}

// SyncFreed makes the file system count the space of removed files as free: some do so only when they write to the
// disk.
func (a *Archive) SyncFreed() error {
	if err := fsat.SyncFS(a.Root); err != nil {
		return fmt.Errorf("sync %s: %w", a.Path, err)
	}
	return nil
}
