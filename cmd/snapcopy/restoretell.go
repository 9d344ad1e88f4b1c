package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"snapcopy/index"
	"snapcopy/restore"
)

// guard tells restore --delete what the snapshot was told to leave out, and what could not be read when it was taken: by
// the report of its run. Where that does not say it all, nothing that the snapshot lacks is taken for deleted.
func (s *openSnapshot) guard() *restore.Guard {
	counts := s.catalog.Summary().Counts
	g := &restore.Guard{Named: make(map[string]string), Folders: make(map[string]string)}
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
	for _, f := range report.ForgottenIn {
		g.Folders[f.Path] = "it may be what was taken out of this folder by forget-path"
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
func (o *restoreOptions) notDeleted(a *app, s *openSnapshot, r *restore.Report) {
	if r.UnsavedCount == 0 {
		return
	}
	a.term.errorf("Not deleted: %s of which snapshot %s of %s has no copy, because it was told to leave them out, to "+
		"forget them, or could not read them. With --exclude they are left alone without this, with --delete-unsaved they are deleted:",
		counted(r.UnsavedCount, "entry", "entries"), r.Snapshot, name(s.archive.Path))
	o.some(a, len(r.Unsaved), r.UnsavedCount, func(i int) string {
		u := &r.Unsaved[i]
		if i > 0 && r.Unsaved[i-1].Why == u.Why {
			return name(u.Path) + ": likewise"
		}
		return name(u.Path) + ": " + printable(u.Why)
	})
}

// some prints a line for each of the first items of a list, for all with --verbose, and how many there are beside them.
func (o *restoreOptions) some(a *app, named int, total uint64, line func(i int) string) {
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

// leftAsTheyAre tells of folders that existed and differ, and are no failures for that.
func (o *restoreOptions) leftAsTheyAre(a *app, r *restore.Report) {
	if r.Unfinished {
		a.term.errorf("Some folders in %s have not got their metadata: the same command goes on with them.", name(r.Target))
	}
	if o.quiet {
		return
	}
	if len(r.TargetDiffers) > 0 {
		a.term.errorf("%s existed and differs from the snapshot's top folder in its %s: left as it is. "+
			"--overwrite=changed would set that.", name(r.Target), strings.Join(r.TargetDiffers, ", "))
	}
	if len(r.TargetSet) > 0 {
		a.term.errorf("%s existed, empty or as a restore leaves it that was cut short: it gets the snapshot's %s.",
			name(r.Target), strings.Join(r.TargetSet, ", "))
	}
	if r.OtherTimesCount == 0 {
		return
	}
	a.term.errorf("%s with another time than in the snapshot, left as it is (--overwrite=changed sets it):",
		counted(r.OtherTimesCount, "folder exists", "folders exist"))
	o.some(a, len(r.OtherTimes), r.OtherTimesCount, func(i int) string { return entryName(r.OtherTimes[i], index.Dir) })
}
