package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/index"
	"snapcopy/internal/history"
)

type explainOptions struct{ json bool }

func explainCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "explain ARCHIVE[@SNAPSHOT] PATH [PATH...]",
		Short: "Say why a file is, or is not, shared with the previous snapshot",
		Long: `Say for each PATH of a snapshot, the latest if none is named, whether its stored file is shared with earlier
snapshots, and since which one; or why the file was stored anew: it is new, its content or its metadata changed,
the stored file had reached the file system's link limit, the file changed while it was read, and so on. For a
folder, the files below it are counted by reason. Everything comes from the catalogs.`,
		Example: `  snapcopy explain /backup/documents letters/draft.txt
  snapcopy explain /backup/documents@2026-11-20 letters photos
  snapcopy explain --json /backup/documents .`,
	}, new(explainOptions), mayBeDone, mayFail, mayFindDamage)
}

func (o *explainOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
}

// Run explains the entries. It looks up every path before it writes anything.
func (o *explainOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	s, err := a.open(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	paths, err := s.pathsMeant(ctx, args[1:])
	if err != nil {
		return err
	}
	x, err := s.explainer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	list := make([]*history.Explanation, len(paths))
	for i, path := range paths {
		if list[i], err = x.Explain(ctx, path); err != nil {
			return err
		}
	}
	for _, ex := range list {
		if o.json {
			err = a.printJSON("explanation", explanationJSON(s.Name, ex))
		} else {
			err = a.printExplanation(ex)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// explainer opens the catalogs for explanations of the snapshot.
func (s *openSnapshot) explainer() (*history.Explainer, error) {
	snapshots, err := s.archive.Snapshots()
	if err != nil {
		return nil, err
	}
	x, err := history.NewExplainer(s.Catalog, snapshots)
	if err != nil {
		return nil, err
	}
	x.NoLinks = !s.archive.Info.Capabilities.HardLinks
	return x, nil
}

// reasons lists the reasons in the order of their counts in the output, with the words for one entry and for many.
var reasons = []struct {
	reason history.Reason
	one    string
	many   string
}{
	{history.Unchanged, "unchanged", "unchanged"},
	{history.Renamed, "moved", "moved"},
	{history.NewName, "a further name of a link group", "with a further name"},
	{history.Returned, "back as it was in an older snapshot", "as in an older snapshot"},
	{history.FirstSnapshot, "there was no snapshot before", "no snapshot before"},
	{history.FirstSeen, "first seen", "first seen"},
	{history.OtherContent, "its content changed", "content changed"},
	{history.OtherMetadata, "only metadata changed, and a stored file has the same metadata under all its names", "only metadata changed"},
	{history.OtherType, "it was another kind of file", "another kind of file before"},
	{history.LinkLimit, "the stored file could take no further name (the file system's link limit)", "at the link limit"},
	{history.StoredMissing, "the stored file was gone from the archive, or altered", "stored file was gone or altered"},
	{history.ChangedMeantime, "it went on changing while it was read", "changed while they were read"},
	{history.InCatalogOnly, "the archive cannot store it; the catalog records it", "in the catalog only"},
	{history.WasInCatalog, "the archive could not store it before", "not stored by the archive before"},
	{history.HoldsMore, "the stored file lacks an owner or a mode that could now be set", "now with owner or mode"},
	{history.TakenByOther, "another file of this snapshot is a name of the stored one", "stored file taken by another"},
	{history.PreviousGone, "the snapshot that it was compared with was removed since", "previous snapshot removed since"},
	{history.PreviousUnread, "the previous catalog cannot be used, or could not when the snapshot was taken",
		"previous catalog not usable"},
	{history.ArchiveCopied, "the archive was copied in between, so inode numbers do not tell",
		"not known, the archive was copied in between"},
	{history.NotLinked, "no link could be made: the system refused it, or the stored file has its holes in other places",
		"not linked for another reason"},
	{history.NoHardLinks, "the archive's file system has no hard links", "no hard links there"},
}

func reasonWords(r history.Reason) (one, many string) {
	for _, w := range reasons {
		if w.reason == r {
			return w.one, w.many
		}
	}
	return string(r), string(r)
}

func (a *app) printExplanation(ex *history.Explanation) error {
	var parts []string
	switch {
	case ex.Entry.Type == index.Dir:
		parts = append(a.folderReason(ex), belowWords(ex.Below)...)
	case ex.Reason.Shared():
		parts = a.sharedReason(ex)
		parts[0] = "shared: " + parts[0]
	case ex.Reason == history.InCatalogOnly || ex.Reason == history.ArchiveCopied:
		parts = a.storedReason(ex)
	default:
		parts = a.storedReason(ex)
		parts[0] = "stored anew: " + parts[0]
	}
	return a.printf("%s: %s\n", entryName(ex.Path, ex.Entry.Type), strings.Join(parts, "\n  "))
}

func (a *app) sharedReason(ex *history.Explanation) []string {
	one, _ := reasonWords(ex.Reason)
	if ex.From != ex.Path {
		was := "was "
		if ex.Reason == history.NewName {
			was = "like "
		}
		one += fmt.Sprintf(", %s%s in snapshot %s", was, name(ex.From), ex.With)
	}
	parts := []string{one}
	if ex.Old != nil {
		for _, f := range ex.Fields {
			parts = append(parts, a.fieldChange(f, ex.Old, &ex.Entry)+", which is not part of the stored file")
		}
	}
	return append(parts, sinceWords(ex))
}

func sinceWords(ex *history.Explanation) string {
	if ex.Snapshots == 1 {
		return "the stored file is that of snapshot " + ex.Since
	}
	return fmt.Sprintf("the stored file is that of the %s snapshots since %s", count(uint64(ex.Snapshots)), ex.Since)
}

func (a *app) storedReason(ex *history.Explanation) []string {
	one, _ := reasonWords(ex.Reason)
	if changes := a.explainedChanges(ex); len(changes) > 0 {
		one += " (" + strings.Join(changes, ", ") + ")"
	}
	parts := []string{one}
	if ex.By != "" {
		parts = append(parts, "that is "+name(ex.By))
	}
	if ex.SameContent != "" && ex.SameContent != ex.Path {
		text := fmt.Sprintf("%s has its content in snapshot %s", name(ex.SameContent), ex.Previous)
		if len(ex.Apart) > 0 {
			text += ", with other metadata: " + strings.Join(ex.Apart, ", ")
		}
		parts = append(parts, text)
	}
	if ex.Previous != "" && ex.Reason != history.FirstSnapshot {
		parts = append(parts, "compared with "+ex.Previous)
	}
	return parts
}

// explainedChanges returns the differences of an entry from the previous snapshot's entry of its path.
func (a *app) explainedChanges(ex *history.Explanation) (list []string) {
	if ex.Old == nil {
		return nil
	}
	c := history.Change{Kind: history.Metadata, Old: ex.Old, New: &ex.Entry, Fields: ex.Fields}
	switch {
	case ex.Old.Type != ex.Entry.Type:
		c.Kind = history.TypeChanged
	case ex.Entry.Type != index.Dir && ex.Reason == history.OtherContent:
		c.Kind = history.Changed
	}
	return a.changeDetails(&c)
}

// folderReason explains a folder itself, which every snapshot has anew.
func (a *app) folderReason(ex *history.Explanation) []string {
	one, _ := reasonWords(ex.Reason)
	switch ex.Reason {
	case history.Unchanged:
		one = "nothing in it changed"
	case history.OtherContent:
		one = "itself unchanged, with changes below"
	case history.OtherMetadata:
		one = "its own metadata changed"
	case history.Renamed:
		one = fmt.Sprintf("moved, was %s in snapshot %s", name(ex.From+"/"), ex.With)
	}
	if changes := a.explainedChanges(ex); len(changes) > 0 {
		one += " (" + strings.Join(changes, ", ") + ")"
	}
	if ex.Previous == "" {
		return []string{one}
	}
	return []string{one, "compared with " + ex.Previous}
}

func belowWords(b *history.Below) (lines []string) {
	line := func(word string, shared bool, files, bytes uint64) {
		var list []string
		for _, r := range reasons {
			if n := b.ByReason[r.reason]; n > 0 && r.reason.Shared() == shared {
				list = append(list, count(n)+" "+r.many)
			}
		}
		if files > 0 {
			lines = append(lines, fmt.Sprintf("%-11s  %s, %s: %s", word, counted(files, "file", "files"), size(bytes),
				strings.Join(list, ", ")))
		}
	}
	line("shared", true, b.Shared, b.SharedBytes)
	line("stored anew", false, b.Stored, b.StoredBytes)
	return lines
}
