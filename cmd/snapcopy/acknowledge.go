package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
)

type acknowledgeOptions struct{ json bool }

func acknowledgeCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "acknowledge ARCHIVE",
		Short: "Say that a run that looked wrong is as it should be",
		Long: `Some runs look as if something was wrong with the source: it is empty, or more than half of its files (if there
were 100 or more) are gone, left out or have changed since the last good snapshot of that source; or it is a folder
in a source of earlier snapshots, so that the rest of that is not covered. Such a run ends with status 6, and so do
those after it while that lasts. Nothing in ARCHIVE is pruned meanwhile, because the snapshots before may be needed.

This command lists those runs and says that all is well with them; later runs are compared with the last of them.
It changes no snapshot.`,
		Example: `  snapcopy acknowledge /backup/documents`,
	}, new(acknowledgeOptions), mayBeDone, mayFail, mayBeLocked)
}

func (o *acknowledgeOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
}

// Run acknowledges.
func (o *acknowledgeOptions) Run(_ context.Context, a *app, args []string) (err error) {
	archive, err := a.openToChange(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	list, err := archive.Unacknowledged()
	if err != nil {
		return err
	}
	if len(list) == 0 {
		a.term.errorf("No run looks wrong.")
		return o.mendNote(a, archive)
	}
	if err := archive.Acknowledge(list[len(list)-1].Snapshot, a.now()); err != nil {
		return err
	}
	for i := range list {
		t := &list[i]
		if o.json {
			if err := a.printJSON("acknowledged", &acknowledgedLine{t.Snapshot, t.Tripwires}); err != nil {
				return err
			}
			continue
		}
		for _, what := range t.Tripwires {
			if err := a.printf("%s: %s\n", t.Snapshot, tripwireText(what, t.Source, &t.Coverage)); err != nil {
				return err
			}
		}
	}
	return nil
}

// mendNote writes an unreadable note of acknowledged runs anew. The new note accepts the newest snapshot, and so all
// of them, which is true at this point.
func (o *acknowledgeOptions) mendNote(a *app, arch *archive.Archive) error {
	snapshots, err := arch.Snapshots()
	if err != nil || len(snapshots) == 0 {
		return err
	}
	for _, f := range arch.Findings() {
		if errors.Is(f.Err, archive.ErrAcknowledged) {
			return arch.Acknowledge(snapshots[len(snapshots)-1].Name, a.now())
		}
	}
	return nil
}
