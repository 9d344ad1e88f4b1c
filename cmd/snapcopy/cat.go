package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/restore"
)

type catOptions struct{}

func catCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "cat ARCHIVE[@SNAPSHOT] PATH [PATH...]",
		Short: "Print the content of a file at a point in time",
		Long: `Print the content of files of a snapshot, the latest if none is named, one after the other. Each content is
compared with its hash on the way; damage is reported at the end, after the output, and by the exit status.`,
		Example: `  snapcopy cat /backup/documents@3d letters/draft.txt
  snapcopy cat /backup/documents@2026-11-20 letters/draft.txt | diff - ~/Documents/letters/draft.txt`,
	}, new(catOptions), mayBeDone, mayFail, mayFindDamage)
}

func (o *catOptions) AddFlags(*pflag.FlagSet) {}

// Run prints the files. It looks up every path before it writes anything.
func (o *catOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	s, err := a.open(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	paths, err := s.pathsMeant(ctx, args[1:])
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := restore.Cat(ctx, *s.OpenSnapshot, path, a.term); err != nil {
			return err
		}
	}
	return nil
}
