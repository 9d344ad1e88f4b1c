package main

import (
	"context"
	"fmt"

	"snapcopy/internal/archive"
)

// finishEarlier finishes an interrupted removal or forgetting, whatever else the command is about to do: it frees the
// space of removed snapshots, and takes a forgotten path out of every snapshot. It prints what it did.
func (a *app) finishEarlier(ctx context.Context, arch *archive.Archive, opt archive.RemoveOptions, quiet bool) error {
	unfinished, err := arch.Unfinished()
	if err != nil || !unfinished {
		return err
	}
	before, err := arch.FileSystem()
	if err != nil {
		return err
	}
	opt.Progress, opt.Check, opt.Freed = new(archive.Progress), nil, nil
	rm := removeOptions{quiet: quiet}
	report, err := rm.watch(ctx, a, arch, nil, opt)
	if err != nil {
		return err
	}
	if err := arch.Settle(); err != nil {
		return err
	}
	after, err := arch.FileSystem()
	if err != nil || quiet {
		return err
	}
	for _, text := range report.Recovered {
		a.term.errorf("From before: %s.", printable(text))
	}
	if report.Unlinked > 0 {
		text := counted(report.Unlinked, "name", "names") + " unlinked"
		if after.Free > before.Free {
			text += fmt.Sprintf(", and the disk has %s more free", size(after.Free-before.Free))
		}
		a.term.errorf("From before: %s.", text)
	}
	return nil
}
