package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/snapshot"
)

// notes tells what is out of the ordinary.
func (t *teller) notes(r *snapshot.Report) {
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
	if r.ArchiveMode != 0 {
		t.notef("Note: the mode of %s is %04o, which lets other users in: they can read what its snapshots hold, and run old "+
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
	if n := len(r.InFuture); n > 0 {
		text := r.InFuture[0] + " is"
		if n > 1 {
			text = fmt.Sprintf("%d snapshots, %s to %s, are", n, r.InFuture[0], r.InFuture[n-1])
		}
		t.warnf("Warning: %s from the future. If the clock is wrong now, set it right; if it was wrong then: snapcopy remove %s %s",
			text, name(r.Archive), r.InFuture[n-1])
	}
	if r.OtherSource != "" {
		t.notef("Note: the previous snapshot was of another source, %s.", name(r.OtherSource))
	}
	if r.SelfExcluded != "" {
		t.notef("Left out the archive itself, which is in the source: %s", name(r.SelfExcluded))
	}
	if r.Missing > 0 {
		t.notef("Warning: %s missing in the previous snapshot and stored again; `snapcopy verify` tells more.",
			counted(r.Missing, "file was", "files were"))
	}
	t.altered(r)
	if r.LinkLimit > 0 {
		t.notef("%s the file system's limit of links and stored afresh.", counted(r.LinkLimit, "file reached", "files reached"))
	}
	if text := notHeld(&r.NotHeld); text != "" {
		t.notef("%s cannot set everything in the archive. In the catalog only, from where restore brings it back: %s.",
			whoMayNot("The file system"), text)
	}
	if n := r.NotHeld.Links; n > 0 {
		t.notef("The archive's file system cannot make all hard links that the source has: %s of the snapshot's folder "+
			"hold a copy. Restore makes hard links of them.", counted(n, "name", "names"))
	}
	if n := r.NotHeld.LinksChanged; n > 0 {
		t.notef("Hard links were made or replaced while the snapshot was made: %s of its folder hold a copy.",
			counted(n, "name", "names"))
	}
	if n := r.NotHeld.Space; n > 0 {
		t.notef("Space allocated and not written is not kept of %s: the archive has no room for it, or cannot hold it.",
			counted(n, "file", "files"))
	}
	for _, what := range r.Tripwires {
		t.errorf("Warning: %s. If that is as it should be: snapcopy acknowledge %s. Until then, nothing is pruned.",
			tripwireText(what, &r.Counts), name(r.Archive))
	}
	for _, what := range r.Unfinished {
		t.errorf("Published, but not finished; the next run makes up for it: %s.", printable(what))
	}
}

// tripwireText says what about a run looks wrong.
func tripwireText(what snapshot.Tripwire, c *index.Counts) string {
	before := c.Unchanged + c.Changed + c.Moved + c.Deleted
	switch what {
	case snapshot.EmptySource:
		return "the source is empty; the snapshot before had " + counted(before, "file", "files")
	case snapshot.MassDeletion:
		return fmt.Sprintf("%s of %s files are gone since the snapshot before", count(c.Deleted), count(before))
	case snapshot.MassChange:
		return fmt.Sprintf("%s of %s files have changed since the snapshot before", count(c.Changed), count(before))
	}
	return string(what)
}

// notHeld says what the snapshot's folder lacks and the catalog has.
func notHeld(n *snapshot.NotHeld) string {
	return join(
		lacking(n.Entries, ""),
		lacking(n.Owners, "owners of"),
		lacking(n.Modes, "modes of"),
		lacking(n.Times, "times of"),
		lacking(n.Xattrs, "extended attributes of"),
	)
}

// whoMayNot names what usually keeps owners and the like from being set.
func whoMayNot(place string) string {
	if os.Geteuid() > 0 {
		return "A user who is not root"
	}
	return place
}

// lacking says what a number of entries lack; "" for none.
func lacking(n uint64, what string) string {
	if n == 0 {
		return ""
	}
	return strings.TrimSpace(what + " " + counted(n, "entry", "entries"))
}

// join makes a list of the parts that are not empty.
func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}
