package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"snapcopy/internal/archive"
)

// maxNamed is the number of entries of a kind to name one by one.
const maxNamed = 5

// notes prints everything out of the ordinary.
func (t *teller) notes(r *archive.Report) {
	t.notesOnArchive(r)
	t.notesOnSource(r)
	t.altered(r)
	t.rotten(r)
	t.notesOnMirror(r)
	t.tripwires(r)
	if c := r.Baseline; c != nil && len(r.Tripwires) == 0 && c.LeftOut > 0 {
		t.notef("Note: of the files of snapshot %s, %s left out now: %s.", c.Snapshot, counted(c.LeftOut, "is", "are"), rulesText(c))
	}
	for _, what := range r.Unfinished {
		t.alertf("Published, but not finished; the next run makes up for it: %s.", printable(what))
	}
}

// notesOnArchive prints everything out of the ordinary about the archive itself.
func (t *teller) notesOnArchive(r *archive.Report) {
	if r.Created {
		verb := "Made"
		if t.dryRun {
			verb = "Would make"
		}
		t.notef("%s a new archive in %s.", verb, name(r.Archive))
	}
	for _, what := range r.Recovered {
		t.notef("An earlier run was cut short: %s.", printable(what))
	}
	if r.DryRun && r.Left != nil {
		t.notef("Note: an unfinished run of this source, begun %s, has stored %s with %s in %s. The next snapshot goes on from "+
			"there; --no-resume begins anew.", r.Left.Began.Format(time.RFC3339), counted(r.Left.Files, "file", "files"),
			size(r.Left.Bytes), name(r.Left.Path))
	}
	if r.ArchiveMode != 0 {
		t.notef("Note: the mode of %s is %04o, which lets other users in: they can read its snapshots, and run old "+
			"programs in them with their owners' rights (set-user-ID). `chmod 700 %s` keeps them out.", name(r.Archive),
			r.ArchiveMode, name(r.Archive))
	}
	for _, what := range r.Mended {
		t.notef("Note: %s.", printable(what))
	}
	for _, f := range r.Findings {
		t.errorf("%s", findingLine(r.Archive, f))
	}
	if r.IndexRebuilt != "" {
		t.notef("The content-hash index was made anew: %s.", printable(r.IndexRebuilt))
	}
	if r.PreviousUnusable != "" {
		t.notef("Warning: the catalog of the previous snapshot cannot be used, so every file was read: %s.",
			printable(r.PreviousUnusable))
	}
	t.notesOnClock(r)
}

// notesOnClock lists snapshots from the future.
func (t *teller) notesOnClock(r *archive.Report) {
	if n := len(r.InFuture); n > 0 {
		text := r.InFuture[0] + " is"
		if n > 1 {
			text = fmt.Sprintf("%d snapshots, %s to %s, are", n, r.InFuture[0], r.InFuture[n-1])
		}
		t.warnf("Warning: %s from the future. If the clock is wrong now, set it right; if it was wrong then: snapcopy remove %s %s",
			text, name(r.Archive), strings.Join(r.InFuture[max(n-5, 0):], " "))
	}
}

// notesOnSource prints everything out of the ordinary about the source, compared with earlier snapshots.
func (t *teller) notesOnSource(r *archive.Report) {
	if r.OtherSource != "" {
		t.notef("Note: this is the first snapshot of %s in this archive, which also has snapshots of %s. `list` shows the source "+
			"of each, and `prune` applies its rules to each source separately.", name(r.Source), name(r.OtherSource))
	}
	if r.Contains != "" && r.OtherSource != "" {
		t.notef("Warning: %s, the source of earlier snapshots, lies in %s. If the latter was given by mistake: "+
			"snapcopy remove %s %s", name(r.Contains), name(r.Source), name(r.Archive), r.Snapshot)
	}
	t.notesOnRetries(r)
	if r.BaselineUnusable != "" {
		t.notef("Warning: only a part of the last good snapshot could be compared: %s.", printable(r.BaselineUnusable))
	}
	if r.MarkedItself != "" {
		t.notef("Warning: %s marks the source %s itself; a mark counts for folders below the source only, so nothing was left out.",
			printable(r.MarkedItself), name(r.Source))
	}
	if r.SelfExcluded != "" {
		t.notef("Left out the archive itself, which is in the source: %s", name(r.SelfExcluded))
	}
	for i, in := range r.UnfinishedRestores {
		if i == maxNamed {
			t.notef("... and %s more.", counted(uint64(len(r.UnfinishedRestores)-i), "unfinished restore", "unfinished restores"))
			break
		}
		t.notef("Warning: a restore into %s was cut short, or is not finished: the snapshot contains the entries restored so far. "+
			"The same restore command goes on with it.", name(filepath.Join(r.Source, in.Path)))
	}
	if r.Missing > 0 {
		t.notef("Warning: %s missing in the previous snapshot and stored again; `snapcopy verify` tells more.",
			counted(r.Missing, "file was", "files were"))
	}
}

// notesOnRetries says what was tried again.
func (t *teller) notesOnRetries(r *archive.Report) {
	if n := r.ReadAfterRetry; n > 0 {
		t.notef("Note: %s read only when tried again; the disk or server with %s may be failing.",
			counted(n, "entry could be", "entries could be"), name(r.Source))
	}
	if n := r.NotRetried; n > 0 {
		t.notef("Warning: %s not tried again, though the error may pass: too many waited for that already, or time was up.",
			counted(n, "failed entry was", "failed entries were"))
	}
}

// notesOnMirror lists the differences between the snapshot's folder and the source.
func (t *teller) notesOnMirror(r *archive.Report) {
	if r.LinkLimit > 0 {
		t.notef("%s stored afresh.", counted(r.LinkLimit, "file reached the file system's limit of links and was",
			"files reached the file system's limit of links and were"))
	}
	if text := catalogOnly(&r.CatalogOnly); text != "" {
		t.notef("%s: only the catalog has %s; restore brings them back.", whyCatalogOnly(r.Lacking, r.UserNamespace), text)
	}
	if n := r.CatalogOnly.Links; n > 0 {
		t.notef("The archive's file system cannot make all hard links that the source has: %s of the snapshot's folder "+
			"are copies. Restore makes hard links of them.", counted(n, "name", "names"))
	}
	if n := r.CatalogOnly.LinksChanged; n > 0 {
		t.notef("Hard links were made or replaced while the snapshot was made: %s of its folder are copies.",
			counted(n, "name", "names"))
	}
	if n := r.CatalogOnly.Space; n > 0 {
		t.notef("Preallocated space of %s is not kept: the archive has no room for it, or cannot keep it.",
			counted(n, "file", "files"))
	}
}

// catalogOnly lists what only the catalog has.
func catalogOnly(n *archive.CatalogOnly) string {
	return join(
		lacking(n.Entries, ""),
		lacking(n.Owners, "owners of"),
		lacking(n.Modes, "modes of"),
		lacking(n.Times, "times of"),
		lacking(n.Xattrs, "extended attributes of"),
	)
}

// whyCatalogOnly names the obstacle to setting owners and the like: the missing privileges, or, if none is missing, the file
// system.
func whyCatalogOnly(lacking []string, namespace bool) string {
	switch {
	case os.Geteuid() > 0:
		return "Not running as root"
	case len(lacking) > 0:
		return "Root lacks " + strings.Join(lacking, ", ") + " here, as in a container"
	case namespace:
		return "Running as root of a user namespace, as in a container"
	}
	return "The file system cannot store everything"
}

// lacking returns the words for a number of entries without something; "" for 0.
func lacking(n uint64, what string) string {
	if n == 0 {
		return ""
	}
	return strings.TrimSpace(what + " " + counted(n, "entry", "entries"))
}

// join joins the parts that are not empty to a list.
func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}
