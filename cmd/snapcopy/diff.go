package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/index"
	"snapcopy/restore"
	"snapcopy/snapshot"
)

type diffOptions struct{ json bool }

func diffCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "diff ARCHIVE A B [PATH]",
		Short: "Say how two snapshots differ",
		Long: `Say what is different in snapshot B against snapshot A, below PATH if one is named. The answer comes from the
catalogs and takes as long as there are changes, however large the snapshots are. The exit status does not
depend on whether there are differences.`,
		Example: `  snapcopy diff /backup/documents latest~1 latest
  snapcopy diff /backup/documents 7d latest letters
  snapcopy diff --json /backup/documents 2026-11-20 2026-11-23`,
	}, new(diffOptions), mayBeDone, mayFail, mayFindDamage)
}

func (o *diffOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
}

// Run compares.
func (o *diffOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	archive, err := snapshot.Open(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	old, err := a.openIn(archive, args[1])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.catalog.Close()) }()
	young, err := a.openIn(archive, args[2])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, young.catalog.Close()) }()
	path := ""
	if len(args) > 3 {
		if path, err = pathInEither(args[3], young, old); err != nil {
			return err
		}
	}

	counts := make(map[restore.Kind]uint64)
	err = restore.Compare(old.catalog, young.catalog, path, func(c restore.Change) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		counts[c.Kind]++
		if o.json {
			return a.printJSON(changeJSON(&c))
		}
		return a.printf("%s\n", a.changeLine(&c))
	})
	if err == nil {
		a.term.errorf("From %s to %s: %s.", old.Name, young.Name, changeCounts(counts))
	}
	return err
}

// pathInEither gives the path that a PATH of the command line means in the first snapshot that has it. One that none has
// is passed on, for the comparison to say what there is instead.
func pathInEither(arg string, snapshots ...*openSnapshot) (string, error) {
	for _, s := range snapshots {
		path, _, err := s.find(arg)
		if !errors.Is(err, errNotInSnapshot) {
			return path, err
		}
	}
	return arg, nil
}

// kinds lists the kinds of change with the words for people, in the order of the summary.
var kinds = []struct {
	kind    restore.Kind
	word    string // begins a line
	counted string // in the summary
}{
	{restore.Added, "added", "added"}, {restore.Removed, "removed", "removed"}, {restore.Changed, "changed", "changed"},
	{restore.Metadata, "metadata", "with other metadata only"}, {restore.Moved, "moved", "moved"},
	{restore.TypeChanged, "type", "of another type"},
}

func changeCounts(counts map[restore.Kind]uint64) string {
	var parts []string
	for _, k := range kinds {
		if n := counts[k.kind]; n > 0 {
			parts = append(parts, count(n)+" "+k.counted)
		}
	}
	if parts == nil {
		return "no difference"
	}
	return strings.Join(parts, ", ")
}

func (a *app) changeLine(c *restore.Change) string {
	word := ""
	for _, k := range kinds {
		if k.kind == c.Kind {
			word = k.word
		}
	}
	e := c.New
	if e == nil {
		e = c.Old
	}
	line := fmt.Sprintf("%-8s  %s", word, entryName(c.Path, e.Type))
	if details := a.changeDetails(c); len(details) > 0 {
		line += "  (" + strings.Join(details, ", ") + ")"
	}
	return line
}

func (a *app) changeDetails(c *restore.Change) (details []string) {
	switch {
	case c.Kind == restore.Moved:
		details = append(details, "was "+name(c.From))
	case c.Kind == restore.TypeChanged:
		details = append(details, typeNames[c.Old.Type]+" -> "+typeNames[c.New.Type])
	case c.Kind == restore.Added && c.New.Type == index.File:
		details = append(details, size(c.New.Size))
	case c.Kind == restore.Changed:
		details = append(details, contentChange(c.Old, c.New))
	}
	for _, f := range c.Fields {
		details = append(details, a.fieldChange(f, c.Old, c.New))
	}
	return details
}

func contentChange(old, young *index.Entry) string {
	switch {
	case young.Type == index.Symlink:
		return name(old.Target) + " -> " + name(young.Target)
	case young.Type == index.CharDevice || young.Type == index.BlockDevice:
		return fmt.Sprintf("device %d, %d -> %d, %d", old.Major, old.Minor, young.Major, young.Minor)
	case old.Size == young.Size:
		return "content, still " + size(young.Size)
	case size(old.Size) == size(young.Size):
		return fmt.Sprintf("%s -> %s bytes", count(old.Size), count(young.Size))
	}
	return size(old.Size) + " -> " + size(young.Size)
}

func (a *app) fieldChange(field string, old, young *index.Entry) string {
	switch field {
	case "mode":
		return fmt.Sprintf("mode %04o -> %04o", old.Mode, young.Mode)
	case "owner":
		return fmt.Sprintf("owner %d:%d -> %d:%d", old.UID, old.GID, young.UID, young.GID)
	case "mtime":
		from, to := a.local(timeOf(old.Mtime)), a.local(timeOf(young.Mtime))
		if from == to {
			from, to = fmt.Sprintf("%s.%09d", from, old.Mtime.Nsec), fmt.Sprintf(".%09d", young.Mtime.Nsec)
		}
		return "time " + from + " -> " + to
	case "xattrs":
		return "extended attributes"
	case "attributes":
		return fmt.Sprintf("attributes %s -> %s", attrLetters(old.Attrs), attrLetters(young.Attrs))
	case "links":
		return "hard links"
	}
	return field
}

type changeObject struct {
	Kind    restore.Kind `json:"kind"`
	Path    string       `json:"path"`
	PathRaw []byte       `json:"path_base64,omitempty"`
	From    string       `json:"from,omitempty"`
	FromRaw []byte       `json:"from_base64,omitempty"`
	Fields  []string     `json:"fields,omitempty"`
	Old     *entryObject `json:"old,omitempty"`
	New     *entryObject `json:"new,omitempty"`
}

func changeJSON(c *restore.Change) changeObject {
	path := c.Path
	if path == "" {
		path = "."
	}
	v := changeObject{Kind: c.Kind, Path: path, PathRaw: raw(path), From: c.From, FromRaw: raw(c.From), Fields: c.Fields}
	if c.Old != nil {
		was := c.Path
		if c.Kind == restore.Moved {
			was = c.From
		}
		old := entryJSON(was, c.Old)
		v.Old = &old
	}
	if c.New != nil {
		young := entryJSON(c.Path, c.New)
		v.New = &young
	}
	return v
}
