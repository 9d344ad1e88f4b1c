package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
	"snapcopy/prune"
)

type removeOptions struct {
	dryRun                     bool
	yes                        bool
	allowLast, countIncomplete bool
	background                 bool
	rate                       int
	threads                    int
	quiet                      bool
	progress                   progressFlag
	json                       bool
	unfinished                 string
	brief                      bool // no line for each snapshot
}

func removeCommand(a *app) *cobra.Command {
	o := new(removeOptions)
	c := command(a, &cobra.Command{
		Use:   "remove ARCHIVE SNAPSHOT [SNAPSHOT...]",
		Short: "Remove snapshots",
		Long: `Remove snapshots from ARCHIVE. Files that other snapshots share stay as they are. Each snapshot goes as a whole,
in one step; then its space is given back, which takes longer. If that is interrupted, the snapshot is gone all
the same, and the next remove, prune or snapshot finishes the work.

A snapshot is left alone if it is pinned, being read, or needed by an instant restore. The last complete
snapshot of a source is removed only with --allow-last; where some files can never be read, --count-incomplete
is enough as long as any snapshot is left. A date or a time has to match exactly one snapshot.

  snapcopy remove ARCHIVE --unfinished SOURCE

removes what a run of SOURCE has stored that was interrupted and published nothing. The next run of SOURCE would
go on from there; "snapcopy stats ARCHIVE" shows how much that is. No snapshot changes.`,
		Example: `  snapcopy remove /backup/documents 2026-11-20T020000Z
  snapcopy remove --dry-run /backup/documents latest~1 latest~2
  snapcopy remove --background-io --rate 2000 /backup/documents 2026-10-01
  snapcopy remove /backup/documents --unfinished /mnt/old-disk`,
	}, o, mayBeDone, mayNotRemove, mayBeInUse, mayBeLocked)
	withSnapshots := c.Args
	c.Args = func(c *cobra.Command, args []string) error {
		if o.unfinished == "" || len(args) != 1 {
			return withSnapshots(c, args)
		}
		a.json = wantsJSON(c)
		return a.checkForm(c, args)
	}
	return c
}

var (
	mayNotRemove = status{statusFailed, "failed"}
	mayBeInUse   = status{statusIncomplete, "done, but some snapshots are pinned or in use and stay, or work is left to the next run"}
)

func (o *removeOptions) AddFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "say which snapshots would be removed; change nothing")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask on a terminal")
	f.BoolVar(&o.allowLast, "allow-last", false, "remove the last complete snapshot, too")
	f.BoolVar(&o.countIncomplete, "count-incomplete", false, "treat incomplete snapshots as complete: the last one left may be incomplete")
	f.StringVar(&o.unfinished, "unfinished", "", "instead of snapshots, remove what an interrupted run of `SOURCE` has stored")
	addRemoving(f, &o.background, &o.rate)
	addThreads(f, &o.threads)
	o.progress.addTo(f)
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print errors and warnings only")
	f.BoolVar(&o.json, "json", false, "print the report as a JSON object")
}

// addRemoving adds the flags of commands that remove snapshots.
func addRemoving(f *pflag.FlagSet, background *bool, rate *int) {
	f.BoolVar(background, "background-io", false, "give space back only while no other process uses the disk")
	f.IntVar(rate, "rate", 0, "unlink at most `N` names a second")
}

func checkRate(rate int) error {
	if rate < 0 {
		return wrongUsage("--rate must not be negative")
	}
	return nil
}

// Run removes the snapshots.
func (o *removeOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	if err := errors.Join(checkThreads(o.threads), checkRate(o.rate)); err != nil {
		return err
	}
	if o.unfinished != "" && len(args) > 1 {
		return wrongUsage("--unfinished goes without SNAPSHOT")
	}
	a.makesRoom = true
	arch, err := a.openToChange(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, arch.Close()) }()
	a.tellFindings(arch)
	if o.unfinished != "" {
		return o.removeUnfinished(ctx, a, arch)
	}
	return o.remove(ctx, a, arch, args[1:])
}

func (o *removeOptions) remove(ctx context.Context, a *app, arch *archive.Archive, selectors []string) error {
	opt := archive.RemoveOptions{Threads: o.threads, BackgroundIO: o.background, Rate: o.rate,
		AllowLast: o.allowLast, CountIncomplete: o.countIncomplete, DryRun: o.dryRun,
		Progress: new(archive.Progress), Now: a.now, Freed: prune.Freed(arch)}
	chosen := archive.Selection{Selectors: selectors, Zone: a.loc}
	chosen.Before = func(gone string) {
		if !o.quiet {
			a.term.errorf("From before: snapshot %s is removed already; its space is given back now.", gone)
		}
	}
	if !o.yes && a.canAsk() {
		chosen.Confirm = func(would *archive.RemoveReport) error { return confirmRemoval(ctx, a, would) }
	}
	earlier, stopEarlier := a.earlier(o.quiet, o.progress)
	chosen.Earlier = earlier
	var begin time.Time
	stopBar := func() {}
	chosen.Removing = func() {
		begin = time.Now()
		stopBar = startProgress(a, removeMeter(opt.Progress), o.progress.quietly(o.quiet || o.dryRun)).stop
	}
	report, err := arch.RemoveSelected(ctx, chosen, opt)
	stopEarlier()
	stopBar()
	if report == nil || err != nil && len(report.Removed) == 0 {
		return err
	}
	if tellErr := o.tell(a, report, err, time.Since(begin)); err == nil {
		err = tellErr
	}
	return err
}

// confirmRemoval shows the snapshots to be removed, and asks.
func confirmRemoval(ctx context.Context, a *app, would *archive.RemoveReport) error {
	for i := range would.Removed {
		a.term.errorf("%s", a.removedLine("Remove", &would.Removed[i]))
	}
	return a.ask(ctx, "Remove "+counted(uint64(len(would.Removed)), "snapshot", "snapshots")+"?")
}

func removeMeter(p *archive.Progress) meter {
	m := runMeter(p)
	m.bytes, m.expectBytes = nil, nil
	m.one, m.many = "name", "names"
	return m
}

// tell puts a removal into words. cause is the reason why it ended early, or nil.
func (o *removeOptions) tell(a *app, r *archive.RemoveReport, cause error, took time.Duration) error {
	for _, s := range r.Skipped {
		text := s.Name + " stays: " + skippedText(&s)
		if s.Note != "" {
			text += "; if that is no longer so, remove " + s.Note
		}
		a.term.alertf("%s.", printable(text))
	}
	a.tellLeft(r.Postponed, r.Unfinished)
	if err := o.tellRemoved(a, r, took); err != nil {
		return err
	}
	if cause != nil {
		if len(r.Removed) > 0 {
			a.term.alertf("The removed snapshots are gone; the next remove, prune or snapshot goes on giving back their space.")
		}
		return nil
	}
	if len(r.Skipped) > 0 || len(r.Unfinished) > 0 {
		return toldIncomplete
	}
	return nil
}

// tellLeft prints what a removal leaves to the next run.
func (a *app) tellLeft(postponed, unfinished []error) {
	for _, err := range postponed {
		a.term.alertf("There is no room for it yet, and the next run makes it anew: %s.", printable(err.Error()))
	}
	for _, err := range unfinished {
		a.term.alertf("Left to the next run: %s.", printable(err.Error()))
	}
}

func (o *removeOptions) tellRemoved(a *app, r *archive.RemoveReport, took time.Duration) error {
	if o.json {
		return a.printJSON("removal", removalJSON(r))
	}
	if o.quiet {
		return nil
	}
	for _, text := range r.Recovered {
		a.term.errorf("From before: %s.", printable(text))
	}
	word := "Removed"
	if r.DryRun {
		word = "Would remove"
	}
	for i := range r.Removed {
		if o.brief {
			break
		}
		if err := a.printf("%s\n", a.removedLine(word, &r.Removed[i])); err != nil {
			return err
		}
	}
	text := word + " " + counted(uint64(len(r.Removed)), "snapshot", "snapshots")
	if !r.DryRun {
		text += fmt.Sprintf(": %s unlinked in %s", counted(r.Unlinked, "name", "names"), duration(took))
	}
	if r.Freed != nil && r.DryRun {
		text += ", which would free " + size(*r.Freed)
	} else if r.Freed != nil {
		text += ", " + size(*r.Freed) + " freed"
	}
	return a.printf("%s.\n", text)
}

// skippedText returns the reason why a snapshot stays.
func skippedText(s *archive.SkippedSnapshot) string {
	switch {
	case s.Pin != nil && s.Pin.Label != "":
		return "it is pinned: " + s.Pin.Label
	case s.Pin != nil:
		return "it is pinned"
	case s.Reader == nil:
		return "it is being read"
	case s.Reader.Damage != nil:
		return "a note that cannot be read says that it is needed"
	}
	return fmt.Sprintf("needed for %q on %s since %s", s.Reader.Place, s.Reader.Host, s.Reader.Since.Format(time.RFC3339))
}

func (a *app) removedLine(word string, r *archive.RemovedSnapshot) string {
	text := fmt.Sprintf("%s %s: %s, %s", word, r.Name, counted(r.Files, "file", "files"), size(r.Bytes))
	if r.Incomplete {
		text += ", incomplete"
	}
	return text
}
