package main

import (
	"errors"
	"fmt"
	"io/fs"

	"snapcopy/restore"
)

// guard tells restore --delete what the snapshot was told to leave out, and what could not be read when it was taken: by
// the report of its run. Where that does not say it all, nothing that the snapshot lacks is taken for deleted.
func (s *openSnapshot) guard() *restore.Guard {
	counts := s.catalog.Summary().Counts
	g := &restore.Guard{Named: make(map[string]string)}
	report, err := s.archive.ReadReport(s.Name)
	if err != nil {
		if n := counts.Excluded + counts.Failed; n > 0 {
			g.Unnamed = fmt.Sprintf("the snapshot lacks %s, and which is not known: %s",
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
	for _, f := range report.Failed {
		g.Named[f.Path] = "it could not be read: " + f.Error
	}
	switch more := counts.Failed - min(counts.Failed, uint64(len(report.Failed))); {
	case report.Filters == nil && counts.Excluded > 0:
		g.Unnamed = fmt.Sprintf("the snapshot left out %s, and its run report is of a version that does not say which",
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

// notDeleted names what --delete has spared.
func (o *restoreOptions) notDeleted(a *app, r *restore.Report) {
	if r.UnsavedCount == 0 {
		return
	}
	a.term.errorf("Not deleted: %s without a copy in snapshot %s, which left them out or could not read them. "+
		"--exclude leaves them alone without this, --delete-unsaved deletes them:",
		counted(r.UnsavedCount, "entry", "entries"), r.Snapshot)
	shown := r.Unsaved
	if !o.verbose && len(shown) > maxFailedShown {
		shown = shown[:maxFailedShown]
	}
	for i, u := range shown {
		why := printable(u.Why)
		if i > 0 && shown[i-1].Why == u.Why {
			why = "likewise"
		}
		a.term.errorf("  %s: %s", name(u.Path), why)
	}
	if more := r.UnsavedCount - uint64(len(shown)); more > 0 {
		hint := ""
		if !o.verbose {
			hint = "; --verbose names more"
		}
		a.term.errorf("  ... and %s more%s", count(more), hint)
	}
}
