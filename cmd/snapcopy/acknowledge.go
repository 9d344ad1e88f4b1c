package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type acknowledgeOptions struct{ json bool }

func acknowledgeCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "acknowledge ARCHIVE",
		Short: "Accept a run that looked wrong",
		Long: `A run looks wrong if its source is empty, if more than half of 100 or more files are gone, left out or changed
since the last good snapshot of that source, or if its source is a folder in the source of earlier snapshots, so
that the rest of that one is not covered. Such a run ends with exit status 6, and so do later runs while they
look wrong. Until it is acknowledged, nothing in ARCHIVE is pruned, because the snapshots before it may be
needed.

This command lists the runs that look wrong and accepts them: prune works again, and later runs are compared
with the last of them. No snapshot is changed.`,
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
	list, err := archive.AcknowledgeAll(a.now())
	if err != nil {
		return err
	}
	if len(list) == 0 {
		a.term.errorf("No run looks wrong.")
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
