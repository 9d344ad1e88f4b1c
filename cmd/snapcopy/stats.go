package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
	"snapcopy/prune"
)

type statsOptions struct {
	json   bool
	top    int
	tables int // printed so far
}

func statsCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "stats ARCHIVE [SNAPSHOT...]",
		Short: "Show how much space the snapshots take",
		Long: `Show how much space the snapshots of ARCHIVE take, alone and together, and the archive as a whole:

  ADDED    space that the snapshot took when it was made: new files, and its folders
  UNIQUE   space that removing this snapshot alone would free, everything of it included
  SHARED   stored files that other snapshots have as well
  FOLDERS  the folders themselves, which no snapshots share

If snapshots are named, the command shows the space that removing exactly these would free. With --top it lists
the files and folders that take the most space over all snapshots (or over those named), and those that grew in
the last run.

Sizes are of allocated blocks, as du counts them. They come from the catalogs: the snapshots themselves are not
looked at, nor the parts of a catalog without figures. The counts are remembered in the archive, if it can be written
to. Snapshots with a catalog that is lost, is found damaged, or was found so by verify are left out and named, with
exit status 4.`,
		Example: `  snapcopy stats /backup/documents
  snapcopy stats /backup/documents 2026-11-20 2026-11-21
  snapcopy stats --top=20 /backup/documents`,
	}, new(statsOptions), mayBeDone, mayFail, mayLeaveOutDamaged)
}

func (o *statsOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
	f.IntVar(&o.top, "top", 0, "list the `N` files and the N folders that take the most (default 10)")
	f.Lookup("top").NoOptDefVal = "10"
}

// Run prints the figures.
func (o *statsOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	if o.top < 0 {
		return wrongUsage("--top takes a number of files")
	}
	arch, err := a.openArchive(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, arch.Close()) }()
	all, err := arch.Snapshots()
	if err != nil {
		return err
	}
	var chosen []int // positions in all
	for _, selector := range args[1:] {
		s, err := arch.Select(selector, a.now(), a.loc)
		if err != nil {
			return err
		}
		for i := range all {
			if all[i].Name == s.Name {
				chosen = append(chosen, i)
			}
		}
	}
	sound := soundStats{archive: arch, all: all, chosen: chosen}
	if err := errors.Join(sound.leaveOutLost(), sound.leaveOutKnown()); err != nil {
		return err
	}
	if len(all) == 0 && len(sound.leftOut) == 0 {
		a.term.errorf("There are no snapshots yet.")
		return a.tellUnfinishedRuns(arch, o.json)
	}
	err = sound.measure(func(all []archive.Snapshot, chosen []int) error {
		switch {
		case len(all) == 0:
			return nil
		case o.top > 0:
			return o.largest(ctx, a, arch, all, chosen)
		case len(chosen) > 0:
			return o.together(ctx, a, arch, all, chosen)
		}
		return o.each(ctx, a, arch, all)
	})
	return errors.Join(err, sound.tell(a, o.json))
}

// each prints a line about every snapshot, and one about the archive.
func (o *statsOptions) each(ctx context.Context, a *app, archive *archive.Archive, all []archive.Snapshot) error {
	space, err := prune.Measure(ctx, archive, all)
	if err != nil {
		return err
	}
	lines := make([]statsLine, len(all))
	for i := range all {
		if err := describeSpace(&lines[i], archive, all[i]); err != nil {
			return err
		}
		freed := space.Freed(i)
		lines[i].Unique, lines[i].UniqueIno = freed.Bytes, freed.Inodes
	}
	for _, i := range space.Doubtful {
		lines[i].Doubtful = true
	}
	for _, share := range space.Shared {
		if len(share.Sharers) > 1 {
			for _, i := range share.Sharers {
				lines[i].Shared += share.Size.Bytes
			}
		}
	}
	whole, err := describeArchive(archive, space, lines)
	if err != nil {
		return err
	}
	if !o.json {
		return a.printStats(lines, whole)
	}
	for i := range lines {
		if err := a.printJSON("usage", &lines[i]); err != nil {
			return err
		}
	}
	return a.printJSON("archive", whole)
}

func describeSpace(l *statsLine, archive *archive.Archive, s archive.Snapshot) (err error) {
	c, err := s.OpenCatalog()
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", s.Name, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	root, sum := c.Root(), c.Summary()
	records, err := archive.RecordsOf(s.Name)
	*l = statsLine{Snapshot: s.Name, Time: timeOf(sum.Start), Files: root.Below.Files, Folders: root.Below.Dirs + 1,
		Logical: root.Below.Bytes, Added: sum.Counts.BytesAllocated, Structure: (root.Blocks + root.Below.Structure) * 512,
		Records: records.Bytes}
	return err
}

func describeArchive(archive *archive.Archive, space *prune.Space, lines []statsLine) (*archiveLine, error) {
	fs, err := archive.FileSystem()
	if err != nil {
		return nil, err
	}
	overhead, err := archive.Overhead()
	if err != nil {
		return nil, err
	}
	total := space.Total()
	whole := archiveLine{Archive: archive.Path, Snapshots: len(lines), Stored: total.Bytes,
		Inodes: total.Inodes, Overhead: overhead.Bytes, OverheadIno: overhead.Inodes, Free: fs.Free, Total: fs.Total,
		FreeInodes: fs.FreeInodes, TotalInodes: fs.Inodes, Doubts: doubts(archive, space)}
	notCounted, err := leftOut(archive)
	if err != nil {
		return nil, err
	}
	whole.Doubts = append(whole.Doubts, notCounted...)
	if whole.Unfinished, err = archive.UnfinishedRuns(); err != nil {
		return nil, err
	}
	for i := range lines {
		whole.Logical += lines[i].Logical
		whole.Records += lines[i].Records
	}
	if whole.Stored > 0 {
		whole.Ratio = float64(whole.Logical) / float64(whole.Stored)
	}
	if perDay, ok := growth(lines, space); ok {
		whole.GrowthPerDay = &perDay
		if perDay > 0 {
			days := float64(fs.Free) / perDay
			whole.DaysLeft = &days
		}
	}
	return &whole, nil
}

// growthSpan is the time for measuring growth.
const growthSpan = 30 * 24 * time.Hour

// growth returns the bytes a day that were added in the last growthSpan and still exist: the space that removing all
// snapshots after the first of that time would free. It does not matter whether the snapshots that added them still
// exist. ok is false if the snapshots span less than a day.
func growth(lines []statsLine, space *prune.Space) (perDay float64, ok bool) {
	last := lines[len(lines)-1].Time
	first := last
	var later []int
	for i := len(lines) - 1; i > 0 && last.Sub(lines[i-1].Time) <= growthSpan; i-- {
		later = append(later, i)
		first = lines[i-1].Time
	}
	span := last.Sub(first)
	if span < 24*time.Hour {
		return 0, false
	}
	return float64(space.Freed(later...).Bytes) / (span.Hours() / 24), true
}

func (a *app) printStats(lines []statsLine, whole *archiveLine) error {
	rows := [][]string{{"SNAPSHOT", "LOCAL TIME", "FILES", "SIZE", "ADDED", "UNIQUE", "SHARED", "FOLDERS"}}
	for i := range lines {
		l := &lines[i]
		rows = append(rows, []string{l.Snapshot, a.local(l.Time), count(l.Files), size(l.Logical), size(l.Added),
			size(l.Unique), size(l.Shared), size(l.Structure)})
	}
	if err := a.printTable(rows, []string{"FOLDERS", "SHARED", "ADDED"}, false, false, true, true, true, true, true,
		true); err != nil {
		return err
	}
	if err := a.printf("\n"); err != nil {
		return err
	}
	summary := [][]string{
		{"stored", fmt.Sprintf("%s in %s", size(whole.Stored), counted(whole.Inodes, "file or folder", "files and folders"))},
		{"of that", size(whole.Records) + " for catalogs and run reports"},
		{"besides", size(whole.Overhead) + " for the content-hash index and the like"},
	}
	for i := range whole.Unfinished {
		summary = append(summary, []string{"unfinished", a.unfinishedText(&whole.Unfinished[i])})
	}
	summary = append(summary, [][]string{
		{"logical", fmt.Sprintf("%s, %.1f times the stored size", size(whole.Logical), whole.Ratio)},
		{"free", fmt.Sprintf("%s of %s", size(whole.Free), size(whole.Total))},
	}...)
	if whole.TotalInodes > 0 {
		summary[len(summary)-1][1] += fmt.Sprintf(", %s of %s inodes", count(whole.FreeInodes), count(whole.TotalInodes))
	}
	if whole.GrowthPerDay != nil {
		text := size(uint64(*whole.GrowthPerDay)) + " a day lately"
		if whole.DaysLeft != nil {
			text += ": full in " + days(*whole.DaysLeft)
		}
		summary = append(summary, []string{"growth", text})
	}
	if err := a.printf("%s", table(summary)); err != nil {
		return err
	}
	for _, doubt := range whole.Doubts {
		a.term.errorf("Note: %s", doubt)
	}
	for i := range whole.Unfinished {
		a.term.errorf("Hint: %s gives up what that run has stored.", giveUpText(whole.Archive, &whole.Unfinished[i]))
	}
	return nil
}

// days writes a long time for people.
func days(n float64) string {
	switch {
	case n < 2:
		return fmt.Sprintf("%.0f hours", n*24)
	case n < 90:
		return fmt.Sprintf("%.0f days", n)
	case n < 730:
		return fmt.Sprintf("%.0f months", n/30.4)
	case n < 36500:
		return fmt.Sprintf("%.0f years", n/365.25)
	}
	return "more than 100 years"
}

// together prints the space that removing exactly these snapshots would free.
func (o *statsOptions) together(ctx context.Context, a *app, archive *archive.Archive, all []archive.Snapshot,
	chosen []int) error {
	space, err := prune.Measure(ctx, archive, all)
	if err != nil {
		return err
	}
	freed := space.Freed(chosen...)
	line := freedLine{Freed: freed.Bytes, Inodes: freed.Inodes, Doubts: doubts(archive, space)}
	seen := make(map[int]bool)
	for _, i := range chosen {
		if !seen[i] {
			line.Snapshots = append(line.Snapshots, all[i].Name)
		}
		seen[i] = true
	}
	if o.json {
		return a.printJSON("freed", &line)
	}
	for _, doubt := range line.Doubts {
		a.term.errorf("Note: %s", doubt)
	}
	return a.printf("Removing %s would free %s and %s.\n",
		counted(uint64(len(line.Snapshots)), "snapshot", "snapshots"), size(line.Freed), counted(line.Inodes, "inode", "inodes"))
}

// largest lists the files and folders that take the most space, and those that grew most in the last run.
func (o *statsOptions) largest(ctx context.Context, a *app, archive *archive.Archive, all []archive.Snapshot,
	chosen []int) error {
	some := all
	if len(chosen) > 0 {
		some = nil
		for _, i := range chosen {
			some = append(some, all[i])
		}
	}
	list, err := prune.Catalogs(archive, some)
	if err != nil {
		return err
	}
	files, folders, err := prune.Top(ctx, list, nil, o.top)
	if err != nil {
		return err
	}
	var grownFiles, grownFolders []prune.Place
	if len(chosen) == 0 && len(list) >= 2 {
		if grownFiles, grownFolders, err = prune.Top(ctx, list[len(list)-1:], &list[len(list)-2], o.top); err != nil {
			return err
		}
	}
	for _, t := range []struct {
		of, what, files string
		list            []prune.Place
	}{
		{"stored", "FILE", "VERSIONS", files}, {"stored", "FOLDER", "STORED FILES", folders},
		{"grown", "FILE, GROWN IN THE LAST RUN", "VERSIONS", grownFiles},
		{"grown", "FOLDER, GROWN IN THE LAST RUN", "STORED FILES", grownFolders},
	} {
		if err := o.printTop(a, t.of, t.what, t.files, t.list); err != nil {
			return err
		}
	}
	return nil
}

func (o *statsOptions) printTop(a *app, of, what, files string, list []prune.Place) error {
	if o.json {
		for i := range list {
			p := &list[i]
			line := topLine{Path: p.Path, Type: "file", Of: of, Bytes: p.Bytes, Files: p.Versions}
			if p.Folder {
				line.Type = "dir"
			}
			if err := a.printJSON("largest", &line); err != nil {
				return err
			}
		}
		return nil
	}
	rows := [][]string{{"SIZE", files, what}}
	for i := range list {
		shown := name(list[i].Path)
		if list[i].Folder {
			shown = folderName(list[i].Path)
		}
		rows = append(rows, []string{size(list[i].Bytes), count(list[i].Versions), shown})
	}
	if len(rows) == 1 {
		return nil
	}
	text := table(rows, true, true)
	if o.tables++; o.tables > 1 {
		text = "\n" + text
	}
	return a.printf("%s", text)
}
