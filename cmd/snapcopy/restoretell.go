package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"snapcopy/index"
	"snapcopy/internal/outcome"
	"snapcopy/restore"
)

// telling is how much a command prints, and in which form.
type telling struct{ verbose, quiet, json bool }

func (o *telling) addFlags(f *pflag.FlagSet, asJSON string) {
	f.BoolVarP(&o.verbose, "verbose", "v", false, "a line for each entry")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print errors and warnings only")
	f.BoolVar(&o.json, "json", false, asJSON)
}

func (o *telling) check() error {
	if o.quiet && o.verbose {
		return wrongUsage("--quiet and --verbose exclude each other")
	}
	return nil
}

// notDeleted names the entries that --delete has spared.
func (o *restoreOptions) notDeleted(a *app, s *openSnapshot, r *restore.Report) {
	if r.UnsavedCount == 0 {
		return
	}
	a.term.errorf("Not deleted: %s without a copy in snapshot %s of %s, because its run left them out or could not read them, "+
		"or forget-path took them out. --exclude leaves them alone without this message, --delete-unsaved deletes them:",
		counted(r.UnsavedCount, "entry", "entries"), r.Snapshot, name(s.archive.Path))
	o.some(a, len(r.Unsaved), r.UnsavedCount, func(i int) string {
		u := &r.Unsaved[i]
		if i > 0 && r.Unsaved[i-1].Why == u.Why {
			return name(u.Path) + ": likewise"
		}
		return name(u.Path) + ": " + printable(u.Why)
	})
}

// some prints a line for each of the first items of a list, or for all with --verbose, and the number of the others.
func (o *telling) some(a *app, named int, total uint64, line func(i int) string) {
	shown := named
	if !o.verbose {
		shown = min(named, maxFailedShown)
	}
	for i := range shown {
		a.term.errorf("  %s", line(i))
	}
	if more := total - uint64(shown); more > 0 {
		hint := ""
		if shown < named {
			hint = "; --verbose names more"
		}
		a.term.errorf("  ... and %s more%s", count(more), hint)
	}
}

// leftAsTheyAre lists folders that existed and differ, which is no failure.
func (o *restoreOptions) leftAsTheyAre(a *app, r *restore.Report) {
	if r.Unfinished {
		a.term.errorf("Some folders in %s do not have their metadata yet: the same command sets them.", name(r.Target))
	}
	if o.quiet {
		return
	}
	if len(r.TargetDiffers) > 0 {
		a.term.errorf("%s existed and differs from the snapshot's top folder in its %s: left as it is. "+
			"--overwrite=changed would set that.", name(r.Target), strings.Join(r.TargetDiffers, ", "))
	}
	if len(r.TargetSet) > 0 {
		a.term.errorf("%s existed, but was empty or left by an interrupted restore: it gets the snapshot's %s.",
			name(r.Target), strings.Join(r.TargetSet, ", "))
	}
	if r.OtherTimesCount == 0 {
		return
	}
	a.term.errorf("%s with another time than in the snapshot, left as it is (--overwrite=changed sets it):",
		counted(r.OtherTimesCount, "folder exists", "folders exist"))
	o.some(a, len(r.OtherTimes), r.OtherTimesCount, func(i int) string { return entryName(r.OtherTimes[i], index.Dir) })
}

// toldLacking lists the entries that an incomplete snapshot lacks, after everything in it was restored.
func (o *telling) toldLacking(a *app, s *openSnapshot, l *lackingInSnapshot) {
	if l.Count == 0 {
		return
	}
	if len(l.Failed) == 0 {
		why := l.why
		if why == "" {
			why = "the run report does not name them"
		}
		a.term.errorf("Snapshot %s of %s is incomplete: %s could not be read, or not completely, when it was taken. "+
			"It is not known whether any of them was asked for: %s.", s.Name, name(s.archive.Path), counted(l.unnamed, "entry", "entries"), why)
		return
	}
	a.term.errorf("Snapshot %s of %s is incomplete: %s could not be read, or not completely, when it was taken. "+
		"An earlier snapshot may have them (snapcopy versions):", s.Name, name(s.archive.Path), counted(l.Count, "entry", "entries"))
	o.some(a, len(l.Failed), l.Count, func(i int) string {
		return name(l.Failed[i].Path) + ": " + printable(l.Failed[i].Error)
	})
}

// wouldWords say what a dry run would do with an entry.
var wouldWords = map[outcome.Action]string{
	outcome.Restored: "would restore",
	outcome.Linked:   "would link",
	outcome.Replaced: "would replace",
	outcome.Updated:  "would set the metadata of",
	outcome.Deleted:  "would delete",
}

func (o *restoreOptions) item(a *app, i *outcome.Item) error {
	if o.json {
		return a.printJSON("item", restoredItem(i))
	}
	if i.Action == outcome.Failed {
		return nil // told of at the end
	}
	if would, changes := wouldWords[i.Action]; o.dryRun && changes {
		return a.printf("%s  %s\n", would, entryName(i.Path, i.Type))
	} else if o.dryRun && !o.verbose {
		return nil
	}
	return a.printf("%-8s  %s\n", i.Action, entryName(i.Path, i.Type))
}

// failed lists the entries that could not be restored.
func (o *telling) failed(a *app, list []outcome.Failure, total uint64) {
	if total == 0 {
		return
	}
	a.term.alertf("%s could not be restored:", counted(total, "entry", "entries"))
	shown := list
	if !o.verbose && len(shown) > maxFailedShown {
		shown = shown[:maxFailedShown]
	}
	named := uint64(0)
	for _, f := range shown {
		below := f.Below.Files + f.Below.Dirs
		named += 1 + below
		text := name(cmp.Or(f.Path, ".")) + ": " + printable(f.Err.Error())
		if below > 0 {
			text += ", with " + counted(below, "entry", "entries") + " below it"
		}
		a.term.errorf("  %s", text)
	}
	if more := total - named; more > 0 {
		hint := ""
		if !o.verbose {
			hint = "; --verbose names more"
		}
		a.term.errorf("  ... and %s more%s", count(more), hint)
	}
}

func (o *restoreOptions) summary(a *app, r *restore.Report, lacks *lackingInSnapshot, took time.Duration) error {
	for _, path := range r.Spared {
		a.term.errorf("Nothing was deleted in %s: another file system is mounted there now, or it is the archive.", name(path))
	}
	o.leftAsTheyAre(a, r)
	o.older(a, r)
	if !o.quiet {
		if r.Resumed {
			a.term.errorf("Went on with a restore that was cut short.")
		}
		if text := notRestored(&r.CatalogOnly); text != "" {
			a.term.errorf("%s; not restored: %s.", whyCatalogOnly(r.Lacking, r.UserNamespace), text)
		}
	}
	switch {
	case o.json:
		return a.printJSON("restore", restoreJSON(r, lacks))
	case o.quiet:
		return nil
	}
	verb := "Restored"
	if r.DryRun {
		verb = "Would restore"
	}
	text := fmt.Sprintf(verb+" %s and %s from %s to %s in %s", counted(r.Files, "file", "files"),
		counted(r.Dirs, "folder", "folders"), r.Snapshot, name(r.Target), duration(took))
	text += ": " + size(r.BytesWritten) + " written"
	if r.BytesCloned > 0 {
		text += ", " + size(r.BytesCloned) + " shared with the archive by reflinks"
	}
	if r.Linked > 0 {
		text += ", " + counted(r.Linked, "hard link", "hard links")
	}
	for _, c := range []struct {
		n    uint64
		what string
	}{{r.Replaced, "replaced"}, {r.Metadata, "with other metadata only"}, {r.Unchanged, "unchanged"},
		{r.Deleted, "deleted"}, {r.KeptAside, "kept aside"}, {r.Excluded, "left out"}} {
		if c.n > 0 {
			text += fmt.Sprintf(", %s %s", count(c.n), c.what)
		}
	}
	if r.BytesVerified > 0 {
		text += ", " + size(r.BytesVerified) + " read back"
	}
	if err := a.printf("%s.\n", text); err != nil {
		return err
	}
	if r.OldTree != "" {
		return a.printf("The old tree is kept in %s; remove it when it is no longer needed.\n", name(r.OldTree))
	}
	return nil
}

// notRestored lists the metadata that restored entries lack.
func notRestored(n *outcome.CatalogOnlyCounts) string {
	return join(
		lacking(n.Owners, "owners of"),
		lacking(n.Modes, "modes of"),
		lacking(n.Times, "times of"),
		lacking(n.Xattrs, "extended attributes of"),
		lacking(n.Links, "hard links of"),
		lacking(n.Attrs, "file attributes of"),
		lacking(n.Space, "preallocated space of"),
	)
}

func restoreMeter(p *outcome.RestoreProgress) meter {
	return meter{
		phase: func() string { return "Restoring" },
		files: p.Files.Load, bytes: p.Bytes.Load,
		expectFiles: p.ExpectFiles.Load, expectBytes: p.ExpectBytes.Load,
	}
}
