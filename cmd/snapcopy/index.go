package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func indexCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "index",
		Short: "Look after the content-hash index",
		Long: `The content-hash index finds stored files by their content, so that moved files cost no space. It can be made
anew from the catalogs at any time.`,
		Example:     "  snapcopy index rebuild /backup/documents",
		Args:        cobra.ArbitraryArgs,
		RunE:        unknownCommand,
		Annotations: map[string]string{"status": statusHelp(rebuildStatuses...)},
	}
	c.AddCommand(command(a, &cobra.Command{
		Use:   "rebuild ARCHIVE",
		Short: "Make the content-hash index anew from the catalogs",
		Long: `Make the content-hash index of ARCHIVE anew from the catalogs of all its snapshots. A run does so by itself if
the index is missing or damaged.`,
		Example: "  snapcopy index rebuild /backup/documents",
	}, new(rebuildOptions), rebuildStatuses...))
	return c
}

var rebuildStatuses = []status{mayBeDone, mayFail, mayFindDamage, mayBeLocked, mayLackSpace}

type rebuildOptions struct{ quiet bool }

func (o *rebuildOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print errors and warnings only")
}

// Run rebuilds the index.
func (o *rebuildOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	archive, err := a.openToChange(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	if err := archive.RebuildIndex(ctx); err != nil {
		return err
	}
	if o.quiet {
		return nil
	}
	return a.printf("The content-hash index was made anew.\n")
}
