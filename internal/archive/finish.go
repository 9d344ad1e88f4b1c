package archive

import "context"

// FinishReport describes the work of Finish.
type FinishReport struct {
	Recovered, Unfinished, Postponed []string // as in RemoveReport

	Unlinked uint64 // as in RemoveReport
	Freed    uint64 // bytes by which the free space of the file system grew meanwhile
}

// Finish finishes an interrupted removal or forgetting, if there is one, and returns when the space of the removed files
// counts as free. It does so by Remove without names, for which opt is meant; it ignores Check and Freed. begin, if not
// nil, is called before the work begins. Finish returns nil if nothing was unfinished.
func (a *Archive) Finish(ctx context.Context, opt RemoveOptions, begin func(*Progress)) (*FinishReport, error) {
	unfinished, err := a.Unfinished()
	if err != nil || !unfinished {
		return nil, err
	}
	before, err := a.FileSystem()
	if err != nil {
		return nil, err
	}
	opt.Progress, opt.Check, opt.Freed = new(Progress), nil, nil
	if begin != nil {
		begin(opt.Progress)
	}
	report, err := a.Remove(ctx, nil, opt)
	if err != nil {
		return nil, err
	}
	if err := a.SyncFreed(); err != nil {
		return nil, err
	}
	after, err := a.FileSystem()
	if err != nil {
		return nil, err
	}
	return &FinishReport{Recovered: report.Recovered, Unfinished: report.Unfinished, Postponed: report.Postponed,
		Unlinked: report.Unlinked, Freed: after.Free - min(after.Free, before.Free)}, nil
}
