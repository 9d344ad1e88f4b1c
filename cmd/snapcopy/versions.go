package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/index"
	"snapcopy/internal/history"
)

type versionsOptions struct{ json bool }

func versionsCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "versions ARCHIVE PATH",
		Short: "List every version of a file or folder",
		Long: `List every version of PATH in the snapshots of ARCHIVE, the oldest first, with the first and the last snapshot
that have it. A file that was renamed is followed back by its content, under the names that it had. PATH need
not exist any more. For a folder, each change in it or below it makes a version, and the changes are counted.
Everything comes from the catalogs.`,
		Example: `  snapcopy versions /backup/documents letters/draft.txt
  snapcopy versions /backup/documents ~/Documents/letters
  snapcopy versions --json /backup/documents photos/sea.jpg`,
	}, new(versionsOptions), mayBeDone, mayFail, mayFindDamage)
}

func (o *versionsOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
}

// Run lists the versions.
func (o *versionsOptions) Run(ctx context.Context, a *app, args []string) error {
	return a.withHistory(ctx, args[0], func(h *history.History) error {
		var list []history.Version
		err := inHistory(h, args[1], func(path string) (err error) {
			list, err = h.Versions(ctx, path)
			return err
		})
		if err != nil {
			return err
		}
		if !o.json {
			return a.printVersions(h, list)
		}
		for i := range list {
			if err := a.printJSON("version", versionJSON(&list[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *app) printVersions(h *history.History, list []history.Version) error {
	rows := [][]string{{"FIRST", "LAST", "SNAPSHOTS", "SIZE", "MODIFIED", "MODE", "HASH", "PATH"}}
	for i := range list {
		v := &list[i]
		e := v.Entry
		row := []string{v.First, v.Last, count(uint64(v.Snapshots)), "-", a.local(timeOf(e.Mtime)), modeString(e), "-",
			entryName(v.Path, e.Type)}
		switch e.Type {
		case index.File:
			row[3], row[6] = size(e.Size), hex(e.Hash)[:12]
		case index.Dir:
			row[3], row[6] = size(e.Below.Bytes), hex(e.Hash)[:12]
		case index.Symlink:
			row[7] += " -> " + name(e.Target)
		}
		if notes := a.versionNotes(v); len(notes) > 0 {
			row[7] += "  (" + strings.Join(notes, "; ") + ")"
		}
		rows = append(rows, row)
	}
	if err := a.printf("%s", table(rows, false, false, true, true)); err != nil {
		return err
	}
	last := list[len(list)-1]
	text := counted(uint64(len(list)), "version", "versions")
	if last.Last == h.Newest() {
		a.term.errorf("%s; the newest snapshot has the last version.", text)
	} else {
		a.term.errorf("%s; the last snapshot that has it is %s.", text, last.Last)
	}
	return nil
}

func (a *app) versionNotes(v *history.Version) (notes []string) {
	if v.From != "" {
		notes = append(notes, "was "+name(v.From)+" before")
	}
	if len(v.Changes) > 0 {
		notes = append(notes, changeCounts(v.Changes))
	}
	if asOf := v.Entry.AsOf; asOf != "" {
		notes = append(notes, "last read "+a.asOf(asOf)+", kept since")
	}
	switch {
	case v.To != "":
		notes = append(notes, fmt.Sprintf("%s from %s on", name(v.To), v.Gone))
	case v.Gone != "":
		notes = append(notes, "not in "+v.Gone)
	}
	return notes
}
