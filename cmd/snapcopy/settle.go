package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/outcome"
	"snapcopy/restore/instant"
)

type settleOptions struct {
	telling
	progress progressFlag
	threads  int
}

func settleCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "settle MOUNTPOINT",
		Short: "Turn an instant restore into an ordinary folder",
		Long: `Turn the tree that "snapcopy instant" has mounted at MOUNTPOINT into an ordinary folder while you keep using it:
copy and verify the files that are still only in the archive, keep every change, then unmount the tree and move
the folder into place. Nothing may use the mount at that moment; processes that do are named. Afterwards the
archive is not needed any more.

Settling can be interrupted and started again at any time. After a reboot nothing is mounted, and nothing is
lost: the same command mounts the tree again, with the changes, and goes on.`,
		Example: `  snapcopy settle /srv/documents`,
	}, new(settleOptions), mayBeDone, mayFail, mayBeIncomplete, mayFindDamage, mayBeWorkedOn, mayLackSpace)
}

func (o *settleOptions) AddFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	addThreads(f, &o.threads)
	o.progress.addTo(f)
	o.telling.addFlags(f, "print one JSON object")
}

// Run settles the instant restore.
func (o *settleOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	if err := errors.Join(o.telling.check(), checkThreads(o.threads)); err != nil {
		return err
	}
	state, err := instant.Read(args[0])
	if err != nil {
		return err
	}
	var from archive.OpenSnapshot
	var archive *archive.Archive
	closed := func() error { return nil }
	if state.NeedsArchive {
		s, openErr := a.openSettled(&state)
		if openErr != nil {
			return openErr
		}
		from, archive, closed = *s.OpenSnapshot, s.archive, s.close
	} else if archive, err = a.openArchive(state.Archive); err == nil {
		closed = archive.Close
	} else {
		archive = nil // the archive is no longer needed, only its note is left
	}
	opt := instant.SettleOptions{Threads: o.threads, Progress: new(outcome.RestoreProgress)}
	opt.Released = func() error { return o.forgetReader(a, archive, &state) }
	begin := time.Now()
	meter := restoreMeter(opt.Progress)
	meter.phase = func() string { return "Settling" }
	bar := startProgress(a, meter, o.progress.quietly(o.quiet))
	report, err := instant.Settle(ctx, from, args[0], opt)
	bar.stop()
	outcome := o.toldSettled(a, report, err, time.Since(begin))
	if err == nil && report.Settled {
		return a.doneAnyway(name(report.Mountpoint)+" is settled", outcome, report.After, closed())
	}
	return errors.Join(outcome, closed())
}

// openSettled opens the snapshot that a mountpoint was made from.
func (a *app) openSettled(state *instant.State) (*openSnapshot, error) {
	archive, err := a.openArchive(state.Archive)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errArchiveAway, err)
	}
	if archive.Info.ID != state.ArchiveID {
		return nil, errors.Join(fmt.Errorf("%w: another archive is in %s", errArchiveAway, state.Archive), archive.Close())
	}
	s, err := a.openIn(archive, state.Snapshot)
	if err != nil {
		return nil, errors.Join(err, archive.Close())
	}
	return s, nil
}

// errArchiveAway reports that the archive is no longer at its path.
var errArchiveAway = errors.New("the archive is not where it was")

// forgetReader removes the reader's note of the instant restore.
func (o *settleOptions) forgetReader(a *app, arch *archive.Archive, state *instant.State) error {
	r := archive.NewReader(state.Snapshot, state.Mountpoint, a.now())
	if arch != nil && arch.Info.ID == state.ArchiveID {
		err := arch.Readers.Remove(r)
		if err == nil || !fsat.IsRefused(err) && !fsat.IsReadOnly(err) {
			return err
		}
	}
	a.term.errorf("The archive is away or cannot be written to: its note that snapshot %s is needed may still be there.",
		r.Snapshot)
	return nil
}

// toldSettled prints the outcome.
func (o *settleOptions) toldSettled(a *app, r *instant.SettleReport, err error, took time.Duration) error {
	var busy *instant.BusyError
	if errors.As(err, &busy) {
		a.term.errorf("Everything is copied, but the folder cannot be moved into place, because %s is in use by:", name(busy.Mountpoint))
		for _, u := range busy.Users {
			a.term.errorf("  %s", printable(u))
		}
		if len(busy.Users) == 0 {
			a.term.errorf("  no process that this user can see")
		}
	}
	if r == nil {
		return err
	}
	if r.FailedCount > 0 {
		o.failed(a, r.Failed, r.FailedCount)
		a.term.errorf("%s stays mounted. Remove or replace these entries there and settle again.", name(r.Mountpoint))
	}
	if err != nil {
		if busy == nil {
			a.term.errorf("Nothing is lost: `snapcopy settle %s` goes on from here.", name(r.Mountpoint))
		}
		return err
	}
	if len(r.Damaged) > 0 {
		a.term.errorf("%s damaged; the tree contains %s as found:",
			counted(uint64(len(r.Damaged)), "stored file is", "stored files are"),
			map[bool]string{true: "it", false: "them"}[len(r.Damaged) == 1])
		for i, path := range r.Damaged {
			if i == maxFailedShown && !o.verbose {
				a.term.errorf("  ... and %s more; --json names all", count(uint64(len(r.Damaged)-i)))
				break
			}
			a.term.errorf("  %s", name(path))
		}
	}
	if err := o.printSettled(a, r, took); err != nil {
		return fmt.Errorf("the output could not be written: %w", err)
	}
	switch {
	case r.FailedCount > 0:
		return told{statusIncomplete}
	case len(r.Damaged) > 0:
		return told{statusDamage}
	}
	return nil
}

func (o *settleOptions) printSettled(a *app, r *instant.SettleReport, took time.Duration) error {
	switch {
	case o.json:
		return errors.Join(a.printJSON("settle", settleJSON(r)), a.term.flush())
	case o.quiet || !r.Settled:
		return nil
	}
	parts := []string{counted(r.Copied, "entry", "entries") + " copied", size(r.BytesChecked) + " checked"}
	if r.Changed > 0 {
		parts = append(parts, counted(r.Changed, "file", "files")+" changed before")
	}
	text := fmt.Sprintf("Settled %s in %s: %s.\nIt was away for %.2f s. The archive is not needed any more.\n",
		name(r.Mountpoint), duration(took), strings.Join(parts, ", "), r.Unavailable.Seconds())
	return errors.Join(a.printf("%s", text), a.term.flush())
}
