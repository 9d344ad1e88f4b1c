package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
	"snapcopy/prune"
)

type acknowledgeOptions struct{ dryRun, json bool }

func acknowledgeCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "acknowledge ARCHIVE",
		Short: "Accept a run that looked wrong",
		Long: `A run looks wrong if its source is empty, if more than half of 100 or more files are gone, left out or changed
since the last good snapshot of that source (snapshot --max-deleted, --max-changed), if its source is on another
file system than then, or no mount point any more, or if its source is a folder in the source of earlier snapshots,
so that the rest of that one is not covered. Such a run ends with exit status 6, and so do later runs while they
look wrong; "list" shows their snapshots as suspect. Until they are acknowledged, nothing in ARCHIVE is pruned,
because the snapshots before them may be needed.

This command lists the runs that look wrong and accepts them: prune works again, and later runs are compared
with the last of them. No snapshot is changed. --dry-run lists them, and what pruning could then take.`,
		Example: `  snapcopy acknowledge --dry-run /backup/documents
  snapcopy acknowledge /backup/documents`,
	}, new(acknowledgeOptions), mayBeDone, mayFail, mayBeLocked)
}

func (o *acknowledgeOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "say what would be accepted, and what could be pruned then; change nothing")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
}

// Run acknowledges.
func (o *acknowledgeOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	open := a.openToChange
	if o.dryRun {
		open = a.openArchive
	}
	arch, err := open(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, arch.Close()) }()
	if o.dryRun {
		return o.try(ctx, a, arch)
	}
	list, err := arch.AcknowledgeAll(a.now())
	if err != nil {
		return err
	}
	if err := o.tell(a, arch, list); err != nil {
		return err
	}
	if len(list) > 0 {
		a.term.errorf("Accepted: prune works again in %s.", name(arch.Path))
	}
	return nil
}

// tell prints the snapshots that are, or would be, accepted.
func (o *acknowledgeOptions) tell(a *app, arch *archive.Archive, list []archive.Tripped) error {
	if len(list) == 0 {
		a.term.errorf("No run in %s looks wrong.", name(arch.Path))
	}
	for i := range list {
		t := &list[i]
		var err error
		if o.json {
			err = a.printJSON("acknowledged", acknowledgedJSON(t, o.dryRun))
		} else {
			err = a.printf("%s: %s: %s\n", t.Snapshot, archive.StateOf(false, t.Tripwires), trippedText(t))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// try prints what would be accepted, and what pruning could take then.
func (o *acknowledgeOptions) try(ctx context.Context, a *app, arch *archive.Archive) error {
	list, err := arch.Unacknowledged()
	if err != nil {
		return err
	}
	if err := o.tell(a, arch, list); err != nil || len(list) == 0 {
		return err
	}
	v, err := prunableAfter(ctx, arch, list)
	if err != nil {
		return err
	}
	if o.json {
		return a.printJSON("prunable", v)
	}
	if err := a.printf("%s\n", prunableText(v)); err != nil {
		return err
	}
	a.term.errorf("Nothing was acknowledged: this is a dry run. %s.", wrongSourceText(arch.Path, uint64(len(list)), list[0].Snapshot))
	return nil
}

// prunableAfter returns the snapshots that the given ones may replace when they are accepted: the older ones of the
// same sources.
func prunableAfter(ctx context.Context, arch *archive.Archive, accepted []archive.Tripped) (*prunableLine, error) {
	standings, err := arch.Standings()
	if err != nil {
		return nil, err
	}
	last := make(map[archive.SourceID]string) // of a source, the last snapshot that is accepted
	waits := make(map[string]bool)
	for i := range accepted {
		waits[accepted[i].Snapshot] = true
	}
	for i := range standings {
		if s := &standings[i]; waits[s.Snapshot.Name] {
			last[s.Source()] = s.Snapshot.Name
		}
	}
	var names []string
	for i := range standings {
		s := &standings[i]
		if !waits[s.Snapshot.Name] && s.Snapshot.Name < last[s.Source()] {
			names = append(names, s.Snapshot.Name)
		}
	}
	v := &prunableLine{Archive: arch.Path, Snapshots: uint64(len(names)), DryRun: true}
	if len(names) == 0 {
		return v, nil
	}
	v.First, v.Last = names[0], names[len(names)-1]
	if bytes, known := prune.Freed(arch)(ctx, names); known {
		v.Freed = &bytes
	}
	return v, nil
}
