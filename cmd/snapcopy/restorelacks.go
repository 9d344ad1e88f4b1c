package main

import (
	"strings"

	"snapcopy/internal/exclude"
	"snapcopy/snapshot"
)

// lackingInSnapshot is what a snapshot lacks of what is asked of it, because it could not be read when the snapshot was taken.
type lackingInSnapshot struct {
	Count  uint64                `json:"snapshot_failed_count,omitempty"` // at most, if some are not named
	Failed []snapshot.FailedItem `json:"snapshot_failed,omitempty"`

	unnamed uint64 // of Count: entries that may be asked for or not
	why     string // why they are not named, if that is out of the ordinary
}

// lacks finds out what the snapshot lacks at or below the paths, or as a whole.
func (s *openSnapshot) lacks(paths []string, without *exclude.Matcher) lackingInSnapshot {
	var l lackingInSnapshot
	total := s.catalog.Summary().Counts.Failed
	if total == 0 {
		return l
	}
	report, err := s.archive.ReadReport(s.Name)
	if err != nil {
		return lackingInSnapshot{Count: total, unnamed: total, why: whyNoReport(s.Name, err)}
	}
	for _, f := range report.Failed {
		if asked(paths, f.Path) && !notAsked(without, f.Path) {
			l.Failed = append(l.Failed, f)
		}
	}
	l.unnamed = total - min(total, uint64(len(report.Failed)))
	l.Count = uint64(len(l.Failed)) + l.unnamed
	return l
}

// asked reports whether a path is at, in or above one of those that are restored.
func asked(paths []string, failed string) bool {
	for _, p := range paths {
		p = strings.Trim(p, "/")
		if p == "" || p == failed || strings.HasPrefix(failed, p+"/") || strings.HasPrefix(p, failed+"/") {
			return true
		}
	}
	return len(paths) == 0
}

// notAsked reports whether patterns leave out a path, or a folder that it is in.
func notAsked(m *exclude.Matcher, path string) bool {
	if m == nil || m.Empty() {
		return false
	}
	for i := range len(path) {
		if path[i] == '/' {
			if _, out := m.Match(path[:i], true); out {
				return true
			}
		}
	}
	_, out := m.Match(path, false)
	return out
}

// toldLacking says what an incomplete snapshot lacks, after everything in it was restored.
func (o *restoreOptions) toldLacking(a *app, s *openSnapshot, l *lackingInSnapshot) {
	if l.Count == 0 {
		return
	}
	if len(l.Failed) == 0 {
		why := l.why
		if why == "" {
			why = "the run report does not name them"
		}
		a.term.errorf("Snapshot %s of %s is incomplete: %s could not be read, or not completely, when it was taken. "+
			"Whether any of that was asked for is not known: %s.", s.Name, name(s.archive.Path), counted(l.unnamed, "entry", "entries"), why)
		return
	}
	a.term.errorf("Snapshot %s of %s is incomplete: %s could not be read, or not completely, when it was taken. "+
		"An earlier one may have them (snapcopy versions):", s.Name, name(s.archive.Path), counted(l.Count, "entry", "entries"))
	o.some(a, len(l.Failed), l.Count, func(i int) string {
		return name(l.Failed[i].Path) + ": " + printable(l.Failed[i].Error)
	})
}
