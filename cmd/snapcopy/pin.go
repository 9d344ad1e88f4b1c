package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
)

func pinCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "pin ARCHIVE[@SNAPSHOT]",
		Short: "Keep a snapshot from being pruned or removed",
		Long: `Pin SNAPSHOT (default: the newest): neither "snapcopy prune" nor "snapcopy remove" removes it until it is
unpinned. "snapcopy list" shows the pins and their labels. A snapshot that is pinned already gets the new label.`,
		Example: `  snapcopy pin /backup/documents
  snapcopy pin /backup/documents@2026-11-20 --label "before the upgrade"`,
	}, new(pinOptions), mayBeDone, mayFail, mayBeLocked, mayLackSpace)
}

type pinOptions struct {
	label string
	quiet bool
}

func (o *pinOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.label, "label", "", "the reason, as `TEXT` that list and prune show")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print errors and warnings only")
}

// Run pins a snapshot.
func (o *pinOptions) Run(_ context.Context, a *app, args []string) error {
	if printable(o.label) != o.label {
		return wrongUsage("--label: the text is not one line of printable characters")
	}
	return a.withSnapshot(args[0], func(archive *archive.Archive, s archive.Snapshot) error {
		if err := archive.Pin(s.Name, o.label, a.now()); err != nil || o.quiet {
			return err
		}
		return a.printf("%s is pinned.\n", s.Name)
	})
}

func unpinCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:     "unpin ARCHIVE[@SNAPSHOT]",
		Short:   "Let prune treat a snapshot like any other again",
		Long:    `Remove the pin of SNAPSHOT (default: the newest) that "snapcopy pin" has set.`,
		Example: `  snapcopy unpin /backup/documents@2026-11-20`,
	}, new(unpinOptions), mayBeDone, mayFail, mayBeLocked)
}

type unpinOptions struct{ quiet bool }

func (o *unpinOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print errors and warnings only")
}

// Run unpins a snapshot.
func (o *unpinOptions) Run(_ context.Context, a *app, args []string) error {
	return a.withSnapshot(args[0], func(archive *archive.Archive, s archive.Snapshot) error {
		was, err := archive.Unpin(s.Name)
		switch {
		case err != nil || o.quiet:
			return err
		case !was:
			a.term.errorf("%s was not pinned.", s.Name)
			return nil
		}
		return a.printf("%s is no longer pinned.\n", s.Name)
	})
}

// withSnapshot finds the snapshot that ARCHIVE[@SNAPSHOT] means, the newest if none is named. It does not read the
// catalog, which may be damaged.
func (a *app) withSnapshot(arg string, do func(*archive.Archive, archive.Snapshot) error) (err error) {
	where, selector, err := splitPlace(arg)
	if err != nil {
		return err
	}
	if selector == "" {
		selector = "latest"
	}
	archive, err := a.openToChange(where)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	s, err := archive.Select(selector, a.now(), a.loc)
	if err != nil {
		return err
	}
	return do(archive, s)
}
