package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/index"
)

type catalogOptions struct{ format string }

// catalogFormats are the forms in which a catalog can be printed.
var catalogFormats = []string{"json", "mtree", "b3sum"}

func catalogCommand(a *app) *cobra.Command {
	c := command(a, &cobra.Command{
		Use:   "catalog ARCHIVE[@SNAPSHOT]",
		Short: "Print the catalog of a snapshot for other programs",
		Long: `Print the catalog of a snapshot, the latest if none is named, in a form that other programs read:

  json   one object a line: the snapshot, then every entry with everything that the catalog records
  mtree  an mtree(5) specification, for bsdtar and mtree
  b3sum  the BLAKE3 hashes of the files, for b3sum --check in the snapshot's folder or in the source; odd
         names and files with gigabytes of zeros, for which such a list has no place, are left out and named`,
		Example: `  snapcopy catalog /backup/documents@latest > catalog.json
  snapcopy catalog /backup/documents --format b3sum | (cd ~/Documents && b3sum --quiet --check)
  snapcopy catalog /backup/documents --format mtree | mtree -p ~/Documents`,
	}, new(catalogOptions), mayBeDone, mayFail, mayBeIncomplete, mayFindDamage)
	completeFlag(c, "format", catalogFormats)
	c.Annotations["use"] = "snapcopy " + c.Use + " [flags]" // besides its subcommand
	c.AddCommand(catalogRebuildCommand(a))
	return c
}

func (o *catalogOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.format, "format", "json", "`FORM` of the output: json, mtree or b3sum")
}

// Run prints the catalog.
func (o *catalogOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	export, ok := map[string]func(*app, *index.Catalog, entryVisitor) error{
		"json": exportJSON, "mtree": exportMtree, "b3sum": exportB3sum,
	}[o.format]
	if !ok {
		return wrongUsage("--format %s: FORM is json, mtree or b3sum", name(o.format))
	}
	s, err := a.open(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return export(a, s.Catalog, func(visit func(string, *index.Entry) error) error {
		root := s.Catalog.Root()
		if err := visit("", &root); err != nil {
			return err
		}
		return walkBelow(s.Catalog, "", &root, func(path string, e *index.Entry) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return visit(path, e)
		})
	})
}

// entryVisitor calls visit for every entry of a catalog, the root first.
type entryVisitor func(visit func(path string, e *index.Entry) error) error

func exportJSON(a *app, c *index.Catalog, each entryVisitor) error {
	s, root := c.Summary(), c.Root()
	err := a.printJSON("catalog", catalogObject{s.Snapshot, s.Source, s.Host, s.Previous,
		timeJSON(s.Start), timeJSON(s.End), s.Granularity, s.Incomplete, hex(root.Hash), s.Counts})
	if err != nil {
		return err
	}
	devices := c.Devices()
	return each(func(path string, e *index.Entry) error {
		v := entryJSON(path, e)
		if int(e.Dev) < len(devices) {
			v.Device = &devices[e.Dev]
		}
		v.Nlink, v.Inode, v.Stored, v.Ctime = e.Nlink, e.Ino, e.Stored, timeJSON(e.Ctime)
		set, err := c.Xattrs(e.Xattrs)
		if err != nil {
			return err
		}
		for _, x := range set {
			v.Xattrs = append(v.Xattrs, xattrObject{x.Name, x.Value})
		}
		return a.printJSON("entry", v)
	})
}
