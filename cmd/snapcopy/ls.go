package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/index"
)

type lsOptions struct{ long, recursive, json bool }

func lsCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "ls ARCHIVE[@SNAPSHOT] [PATH]",
		Short: "List a folder at a point in time",
		Long: `List a folder of a snapshot, the latest if none is named. PATH counts from the top of the snapshot; the path
that the folder had in the source works, too. Everything comes from the catalog.`,
		Example: `  snapcopy ls /backup/documents
  snapcopy ls -l /backup/documents@3d letters
  snapcopy ls -R --json '/backup/documents@2026-11-20 18:00'`,
	}, new(lsOptions), mayBeDone, mayFail, mayFindDamage)
}

func (o *lsOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVarP(&o.long, "long", "l", false, "with mode, owner, group, size and modification time")
	f.BoolVarP(&o.recursive, "recursive", "R", false, "with everything below, as paths from the top of the snapshot")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
}

// Run lists the entries.
func (o *lsOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	s, err := a.open(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	path, e := "", s.Catalog.Root()
	if len(args) > 1 {
		if path, e, err = s.lookUp(ctx, args[1]); err != nil {
			return err
		}
	}
	if e.Type != index.Dir {
		return o.print(a, path, path, &e)
	}
	if o.recursive {
		return walkBelow(s.Catalog, path, &e, func(p string, e *index.Entry) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return o.print(a, p, p, e)
		})
	}
	r, err := s.Catalog.ReadDir(e.Child)
	if err != nil {
		return err
	}
	for _, e := range r.Entries() {
		if err := o.print(a, joinPath(path, e.Name), e.Name, e); err != nil {
			return err
		}
	}
	return nil
}

func (o *lsOptions) print(a *app, path, shown string, e *index.Entry) error {
	shown = entryName(shown, e.Type)
	switch {
	case o.json:
		return a.printJSON("entry", entryJSON(path, e))
	case o.long:
		return a.printf("%s\n", a.longLine(shown, e))
	}
	return a.printf("%s\n", shown+a.keptMark(e))
}
