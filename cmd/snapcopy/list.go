package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/index"
	"snapcopy/internal/archive"
)

type listOptions struct{ json bool }

func listCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "list ARCHIVE",
		Short: "List the snapshots of an archive",
		Long: `List the snapshots of ARCHIVE, the oldest first: the local time of each, the number and size of its files, the
changes since the previous snapshot of the same source, the bytes that it added, its source if the archive has
several, its state, and whether it is pinned.`,
		Example: `  snapcopy list /backup/documents
  snapcopy list --json /backup/documents`,
	}, new(listOptions), mayBeDone, mayFail, mayFindDamage)
}

func (o *listOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
}

const (
	stateDamaged    = "damaged"
	stateNewer      = "newer"
	stateUnreadable = "unreadable"
	stateNoCatalog  = "no catalog"
	stateNoFolder   = "no folder"
)

// Run lists the snapshots.
func (o *listOptions) Run(_ context.Context, a *app, args []string) (err error) {
	arch, err := a.openArchive(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, arch.Close()) }()
	lines, err := snapshotLines(arch)
	if err != nil {
		return err
	}
	// What cannot be read beside the snapshots must not hide the list.
	suspectErr := addSuspects(arch, lines)
	pins, pinErr := arch.Pins()
	for i := range lines {
		var pin archive.Pin
		pin, lines[i].Pinned = pins[lines[i].Name]
		lines[i].Label = pin.Label
	}
	if o.json {
		for i := range lines {
			if err := a.printJSON("snapshot", &lines[i]); err != nil {
				return err
			}
		}
	} else if err := a.printSnapshots(lines); err != nil {
		return err
	}
	a.tellSuspects(arch.Path, lines)
	err = a.tellDamage(arch.Path, lines)
	if suspectErr != nil {
		a.term.errorf("snapcopy: %s: which snapshots wait to be acknowledged is not known: %s", name(arch.Path), printable(suspectErr.Error()))
	}
	if pinErr != nil {
		a.term.errorf("snapcopy: %s", printable(pinErr.Error()))
		a.tellFindings(arch)
	}
	if err == nil && (suspectErr != nil || pinErr != nil) {
		err = told{statusFailed}
	}
	return err
}

func snapshotLines(archive *archive.Archive) ([]snapshotLine, error) {
	snapshots, err := archive.Snapshots()
	if err != nil {
		return nil, err
	}
	var lines []snapshotLine
	for _, s := range snapshots {
		line, err := describe(s)
		if errors.Is(err, fs.ErrNotExist) { // removed since it was listed
			continue
		}
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	lost, err := archive.WithoutCatalog()
	if err != nil {
		return nil, err
	}
	for _, n := range lost {
		lines = append(lines, snapshotLine{Name: n, State: stateNoCatalog})
	}
	gone, err := archive.WithoutFolder()
	if err != nil {
		return nil, err
	}
	for _, n := range gone {
		lines = append(lines, snapshotLine{Name: n, State: stateNoFolder})
	}
	slices.SortFunc(lines, func(a, b snapshotLine) int { return strings.Compare(a.Name, b.Name) })
	return lines, nil
}

// describe reads the summary in a catalog; damage of the catalog is part of the answer.
func describe(s archive.Snapshot) (snapshotLine, error) {
	line := snapshotLine{Name: s.Name, Time: s.Time, State: archive.StateComplete}
	c, err := s.OpenCatalog()
	if errors.Is(err, fs.ErrNotExist) {
		return line, err
	}
	if err != nil {
		line.State, line.Error = stateOf(err), err.Error()
		return line, nil
	}
	sum, root := c.Summary(), c.Root()
	line.State, line.Incomplete = archive.StateOf(sum.Incomplete, nil), sum.Incomplete
	end := timeOf(sum.End)
	line.Time, line.End = timeOf(sum.Start), &end
	line.Source, line.Host = sum.Source, sum.Host
	line.Previous, line.RootHash, line.Counts, line.AsOf = sum.Previous, hex(root.Hash), &sum.Counts, c.AsOf()
	return line, c.Close()
}

// stateOf returns the state of a snapshot whose catalog is unusable because of err.
func stateOf(err error) string {
	switch {
	case errors.Is(err, index.ErrDamaged):
		return stateDamaged
	case errors.Is(err, index.ErrNewer):
		return stateNewer
	}
	return stateUnreadable
}

func (a *app) printSnapshots(lines []snapshotLine) error {
	if len(lines) == 0 {
		a.term.errorf("There are no snapshots yet.")
		return nil
	}
	rows := [][]string{{"SNAPSHOT", "LOCAL TIME", "FILES", "SIZE", "NEW", "CHANGED", "MOVED", "DELETED", "ADDED", "STATE"}}
	ids := make(map[string]archive.SourceID)
	for i := range lines {
		ids[lines[i].Name] = archive.SourceID{Host: lines[i].Host, Path: lines[i].Source}
	}
	sources := newSources(ids)
	for i := range lines {
		l := &lines[i]
		row := []string{l.Name, "", "", "", "", "", "", "", "", stateText(l) + a.keptText(l.Counts, l.AsOf) + pinText(l)}
		if !l.Time.IsZero() {
			row[1] = a.local(l.Time)
		}
		if c := l.Counts; c != nil {
			copy(row[2:], []string{count(c.Files), size(c.BytesTotal), count(c.New), count(c.Changed),
				count(c.Moved), count(c.Deleted), size(c.BytesStored)})
		}
		rows = append(rows, row)
	}
	right := []bool{false, false, true, true, true, true, true, true, true}
	if sources.vary() {
		at := len(right) // before the state
		for i := range rows {
			source := "SOURCE"
			if i > 0 {
				source = sources.name(lines[i-1].Name)
			}
			rows[i] = slices.Insert(rows[i], at, source)
		}
		right = append(right, false)
	}
	return a.printTable(rows, []string{"MOVED", "DELETED", "NEW", "CHANGED", "ADDED"}, right...)
}

func stateText(l *snapshotLine) string {
	if len(l.Tripwires) > 0 {
		return suspectState(l)
	}
	switch l.State {
	case archive.StateIncomplete:
		return incompleteText(l)
	case stateDamaged:
		return "catalog damaged"
	case stateNewer:
		return "written by a newer version"
	case stateUnreadable:
		return "catalog cannot be read"
	case stateNoCatalog:
		return "catalog lost"
	case stateNoFolder:
		return "folder missing"
	}
	return l.State
}

func incompleteText(l *snapshotLine) string {
	return "incomplete: " + count(l.Counts.Failed) + " failed"
}

func pinText(l *snapshotLine) string {
	switch {
	case !l.Pinned:
		return ""
	case l.Label == "":
		return ", pinned"
	}
	return ", pinned: " + printable(l.Label)
}

// tellDamage prints the next steps if catalogs are damaged or lost.
func (a *app) tellDamage(arch string, lines []snapshotLine) error {
	var err error
	for i := range lines {
		l := &lines[i]
		switch l.State {
		case stateDamaged:
			a.term.errorf("snapcopy: %s: %s. %s.", l.Name, printable(l.Error), remedy(index.ErrDamaged, arch, l.Name))
			err = told{statusDamage}
		case stateUnreadable:
			a.term.errorf("snapcopy: %s: %s", l.Name, printable(l.Error))
			if err == nil {
				err = told{statusFailed}
			}
		case stateNoCatalog, stateNoFolder:
			why := archive.ErrNoCatalog
			if l.State == stateNoFolder {
				why = archive.ErrNoFolder
			}
			a.term.errorf("snapcopy: %s: %s. %s.", l.Name, why, remedy(why, arch, l.Name))
			err = told{statusDamage}
		}
	}
	return err
}
