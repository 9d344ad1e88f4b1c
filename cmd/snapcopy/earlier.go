package main

import (
	"context"
	"fmt"

	"snapcopy/internal/archive"
)

// finishEarlier finishes an interrupted removal or forgetting, whatever else the command is about to do: it frees the
// space of removed snapshots, and takes a forgotten path out of every snapshot. It prints what it did.
func (a *app) finishEarlier(ctx context.Context, arch *archive.Archive, opt archive.RemoveOptions, quiet bool) error {
	stopBar := func() {}
	done, err := arch.Finish(ctx, opt, func(p *archive.Progress) { stopBar = startProgress(a, removeMeter(p), quiet).stop })
	stopBar()
	if err != nil || done == nil {
		return err
	}
	a.tellFinished(done, quiet)
	return nil
}

// tellFinished prints which work of interrupted commands was finished.
func (a *app) tellFinished(done *archive.FinishReport, quiet bool) {
	a.tellLeft(done.Postponed, done.Unfinished)
	if quiet {
		return
	}
	for _, text := range done.Recovered {
		a.term.errorf("From before: %s.", printable(text))
	}
	if done.Unlinked > 0 {
		text := counted(done.Unlinked, "name", "names") + " unlinked"
		if done.Freed > 0 {
			text += fmt.Sprintf(", and the disk has %s more free", size(done.Freed))
		}
		a.term.errorf("From before: %s.", text)
	}
}
