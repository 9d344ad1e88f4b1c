package main

import (
	"fmt"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/archive"
)

// sameSummary is the line at the end of a run that found nothing changed, and stored nothing.
func sameSummary(r *archive.Report) string {
	more := ""
	if n := r.Counts.Excluded; n > 0 {
		more = ", " + count(n) + " left out"
	}
	return fmt.Sprintf("Snapshot %s in %s: nothing changed in %s and %s, %s%s, took %s\n", r.Snapshot, name(r.Archive),
		counted(r.Counts.Files, "file", "files"), counted(r.Counts.Dirs, "folder", "folders"), size(r.Counts.BytesTotal), more,
		duration(r.End.Sub(r.Start)))
}

// summary returns the lines at the end of a run.
func summary(a *app, r *archive.Report) string {
	c := &r.Counts
	if r.Same && c.BytesStored == 0 && c.Vanished == 0 && len(r.Tripwires) == 0 && r.AlteredCount+r.RottenCount == 0 {
		return sameSummary(r)
	}
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "  %-10s %s\n", label, fmt.Sprintf(format, args...))
	}
	took := duration(r.End.Sub(r.Start))
	switch {
	case r.DryRun:
		fmt.Fprintf(&b, "Dry run, nothing was changed. A snapshot taken now, %s, would contain:\n", a.localWithZone(r.Start))
	case r.Incomplete:
		fmt.Fprintf(&b, "Incomplete snapshot %s, %s, took %s\n", r.Snapshot, a.localWithZone(r.Start), took)
	default:
		fmt.Fprintf(&b, "Snapshot %s, %s, took %s\n", r.Snapshot, a.localWithZone(r.Start), took)
	}
	if len(r.Tripwires) > 0 {
		line("state", "%s", r.State)
	}
	line("files", "%s in %s, %s", count(c.Files), counted(c.Dirs, "folder", "folders"), size(c.BytesTotal))
	line("", "%s", strings.Join(changes(c), ", ")+a.keptText(c, keptSince(r.Failed)))
	if len(r.UnmatchedPatterns) > 0 {
		line("patterns", "%s", unmatched(r))
	}
	line("read", "%s", size(c.BytesRead))
	if r.Resumed.Files > 0 {
		line("resumed", "%s with %s of an unfinished run, not read again", counted(r.Resumed.Files, "file", "files"), size(r.Resumed.Bytes))
	}
	line("stored", "%s", size(c.BytesStored))
	line("saved", "%s by sharing", size(c.BytesLinked))
	if !r.DryRun {
		line("structure", "%s for the folders themselves", size(r.Structure))
	}
	return b.String()
}

// unmatched names the patterns that matched nothing. It is a line of the summary and no note, because it often means
// only that a list of patterns is for many sources and nights.
func unmatched(r *archive.Report) string {
	var named []string
	for _, p := range r.UnmatchedPatterns[:min(len(r.UnmatchedPatterns), maxNamed)] {
		named = append(named, printable(p.String()))
	}
	text := count(uint64(len(r.UnmatchedPatterns))) + " matched nothing"
	if r.Counts.Failed > 0 {
		text += " that could be read"
	}
	text += ": " + strings.Join(named, ", ")
	if more := len(r.UnmatchedPatterns) - len(named); more > 0 {
		text += fmt.Sprintf(", and %d more (--json names all)", more)
	}
	return text
}

// changes lists the counts of a run: the usual ones always, the others if there are any.
func changes(c *index.Counts) []string {
	parts := []string{
		count(c.New) + " new", count(c.Changed) + " changed", count(c.Moved) + " moved",
		count(c.Unchanged) + " unchanged", count(c.Deleted) + " deleted",
	}
	for _, o := range []struct {
		n    uint64
		what string
	}{{c.Excluded, "left out"}, {c.Vanished, "vanished while the run went on"}} {
		if o.n > 0 {
			parts = append(parts, count(o.n)+" "+o.what)
		}
	}
	return append(parts, count(c.Failed)+" failed")
}
