package main

import (
	"fmt"

	"snapcopy/internal/archive"
)

// earlier shows the progress of finishing interrupted work, and prints the result.
func (a *app) earlier(quiet bool, how progressFlag) (e archive.Earlier, stop func()) {
	stopBar := func() {}
	stop = func() {
		stopBar()
		stopBar = func() {}
	}
	e.Finishing = func(p *archive.Progress) { stopBar = startProgress(a, removeMeter(p), how.quietly(quiet)).stop }
	e.Finished = func(done *archive.FinishReport) {
		stop()
		a.tellFinished(done, quiet)
	}
	return e, stop
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
