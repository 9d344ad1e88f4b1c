package main

import (
	"slices"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/restore"
)

// asOf returns the date of a snapshot, for an entry that is kept as of then. The snapshot itself may be gone.
func (a *app) asOf(snapshot string) string {
	t, ok := archive.ParseName(snapshot)
	if !ok {
		return name(snapshot)
	}
	return t.In(a.loc).Format("2006-01-02")
}

// keptMark returns the mark of an entry that is older than its snapshot, with two spaces before it, or "".
func (a *app) keptMark(e *index.Entry) string {
	if e.AsOf == "" {
		return ""
	}
	return "  (kept as of " + a.asOf(e.AsOf) + ")"
}

// keptText continues the number of failed entries of a snapshot: "1 failed, kept as of 2026-11-19". asOf has the
// snapshots as of which entries are kept.
func (a *app) keptText(c *index.Counts, asOf []string) string {
	if len(asOf) == 0 {
		return ""
	}
	text := ", "
	if c.Failed != 1 {
		text += count(c.Kept) + " "
	}
	asOf = slices.Sorted(slices.Values(asOf))
	first, last := a.asOf(asOf[0]), a.asOf(asOf[len(asOf)-1])
	text += "kept as of " + first
	if first != last {
		text += " to " + last
	}
	return text
}

// keptSince returns the snapshots as of which the failed entries of a report are kept.
func keptSince(failed []archive.FailedItem) (list []string) {
	for i := range failed {
		if asOf := failed[i].KeptAsOf; asOf != "" && !slices.Contains(list, asOf) {
			list = append(list, asOf)
		}
	}
	return list
}

// keptFailure says of a failed entry that it is kept, or "".
func (a *app) keptFailure(asOf string) string {
	if asOf == "" {
		return ""
	}
	return " (kept as of " + a.asOf(asOf) + ")"
}

// keptObject is a restored entry that is older than its snapshot.
type keptObject struct {
	Path string `json:"path"`
	AsOf string `json:"kept_as_of"`
}

func keptJSON(list []restore.KeptItem) (objects []keptObject) {
	for _, k := range list {
		objects = append(objects, keptObject(k))
	}
	return objects
}

// older names the restored entries that are older than the snapshot.
func (o *restoreOptions) older(a *app, r *restore.Report) {
	if r.KeptCount == 0 {
		return
	}
	a.term.errorf("Older than snapshot %s: %s could not be read when it was taken, and carried along from an earlier snapshot:",
		r.Snapshot, counted(r.KeptCount, "entry", "entries"))
	o.some(a, len(r.Kept), r.KeptCount, func(i int) string {
		return name(r.Kept[i].Path) + ": as of " + a.asOf(r.Kept[i].AsOf)
	})
}
