package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"snapcopy/internal/archive"
	"snapcopy/internal/exclude"
	"snapcopy/restore"
)

// lackingInSnapshot describes the entries that were asked for and that the snapshot lacks, because they could not be
// read when it was taken.
type lackingInSnapshot struct {
	Count  uint64 // at most, if some are not named
	Failed []archive.FailedItem

	unnamed uint64 // of Count: entries that may or may not have been asked for
	why     string // why they are not named, if for an unusual reason
}

// lacks finds the entries that the snapshot lacks at or below the paths, or as a whole.
func (s *openSnapshot) lacks(paths []string, without *exclude.Matcher) lackingInSnapshot {
	var l lackingInSnapshot
	total := s.Catalog.Summary().Counts.Failed
	if total == 0 {
		return l
	}
	report, err := s.archive.Reports.Read(s.Name)
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

// asked reports whether a path is at, in or above a path to restore.
func asked(paths []string, failed string) bool {
	for _, p := range paths {
		p = strings.Trim(p, "/")
		if p == "" || p == failed || strings.HasPrefix(failed, p+"/") || strings.HasPrefix(p, failed+"/") {
			return true
		}
	}
	return len(paths) == 0
}

// notAsked reports whether patterns leave out a path, or a folder above it.
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

// guard tells restore --delete which entries the snapshot's run left out or could not read, by the report of that run.
// If the report is incomplete, no entry that the snapshot lacks is taken for deleted.
func (s *openSnapshot) guard() *restore.Guard {
	counts := s.Catalog.Summary().Counts
	g := &restore.Guard{Named: make(map[string]string), Folders: make(map[string]string)}
	report, err := s.archive.Reports.Read(s.Name)
	if err != nil {
		if n := counts.Excluded + counts.Failed; n > 0 {
			g.Unnamed = fmt.Sprintf("the snapshot lacks %s, and it is not known which: %s",
				counted(n, "entry of its source", "entries of its source"), whyNoReport(s.Name, err))
		}
		return g
	}
	g.Filter = report.Filters
	for _, l := range report.LeftOut {
		g.Named[l.Path] = l.Rule
	}
	if report.SelfExcluded != "" {
		g.Named[report.SelfExcluded] = "it was the archive"
	}
	for _, f := range report.ForgottenIn {
		g.Folders[f.Path] = "forget-path may have taken it out of this folder"
	}
	for _, f := range report.Failed {
		g.Named[f.Path] = "it could not be read: " + f.Error
	}
	switch more := counts.Failed - min(counts.Failed, uint64(len(report.Failed))); {
	case report.Filters == nil && counts.Excluded > 0:
		g.Unnamed = fmt.Sprintf("the snapshot left out %s, and its run report, written by an older version, does not name them",
			counted(counts.Excluded, "entry", "entries"))
	case more > 0:
		g.Unnamed = fmt.Sprintf("%s more could not be read, and the run report does not name them",
			counted(more, "entry", "entries"))
	case report.LeftOutCount > uint64(len(report.LeftOut)):
		g.Unnamed = fmt.Sprintf("%s more were left out for their size or a mark, and the run report does not name them",
			counted(report.LeftOutCount-uint64(len(report.LeftOut)), "entry", "entries"))
	}
	return g
}

func whyNoReport(snapshot string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("the run report .snapcopy/runs/%s.json is gone", snapshot)
	}
	return err.Error()
}
