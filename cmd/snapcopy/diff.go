package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/index"
	"snapcopy/internal/history"
)

type diffOptions struct {
	json        bool
	summary     bool
	depth       int
	threads     int
	ignoreInode bool
	ignoreCtime bool
	patterns    patternFlags
}

func diffCommand(a *app) *cobra.Command {
	o := new(diffOptions)
	c := command(a, &cobra.Command{
		Use:   "diff ARCHIVE A B [PATH]",
		Short: "List how two snapshots differ, or a snapshot and a folder",
		Long: `List the differences from snapshot A to snapshot B, below PATH if one is named. They come from the catalogs, and
the time it takes depends on the number of changes, not on the size of the snapshots. The exit status does not
tell whether there are differences.

  snapcopy diff ARCHIVE[@SNAPSHOT] SOURCE [PATH]

lists the differences from a snapshot, the latest if none is named, to the folder SOURCE as it is now. Files
with the recorded size, times and inode number are not read. If the archive lies in SOURCE, it is left out.`,
		Example: `  snapcopy diff /backup/documents latest~1 latest
  snapcopy diff /backup/documents 7d latest letters
  snapcopy diff --json /backup/documents 2026-11-20 2026-11-23
  snapcopy diff --summary --depth 2 /backup/documents 30d latest
  snapcopy diff /backup/documents@latest ~/Documents`,
	}, o, mayBeDone, mayFail, mayNotCompare, mayFindDamage)
	c.Args = func(_ *cobra.Command, args []string) error {
		a.json = wantsJSON(c)
		args, err := a.withJobs(c, args)
		if err != nil {
			return err
		}
		if err := a.checkForm(c, args); err != nil {
			return err
		}
		if !isLive(args) {
			return checkArgs(c, args)
		}
		if len(args) > 3 {
			return oneTooMany(c, args, 3)
		}
		return checkArgs(c, append(slices.Clone(args), "B")) // which it does without
	}
	snapshots := c.ValidArgsFunction
	c.ValidArgsFunction = func(c *cobra.Command, args []string, begun string) (
		[]cobra.Completion, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return a.completePlace(begun)
		case !strings.Contains(args[0], "@") || isArchive(args[0]):
			return snapshots(c, args, begun)
		case len(args) == 1:
			return nil, cobra.ShellCompDirectiveFilterDirs
		case len(args) == 2:
			return a.completePath(args[0], begun)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c
}

var mayNotCompare = status{statusIncomplete, "done, but some entries of SOURCE could not be compared and are listed"}

func (o *diffOptions) AddFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.BoolVar(&o.summary, "summary", false, "counts and sizes by folder, instead of a line for each change")
	f.IntVar(&o.depth, "depth", 1, "with --summary: tell apart folders down to level `N`; 0 for one sum")
	o.patterns.addTo(f, "with SOURCE: ")
	f.BoolVar(&o.ignoreInode, "ignore-inode", false, "with SOURCE: inode numbers are not stable there")
	f.BoolVar(&o.ignoreCtime, "ignore-ctime", false, "with SOURCE: change times are not stable there")
	addThreads(f, &o.threads)
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
}

// isLive reports whether the arguments are a snapshot and a folder: either a snapshot is named after an @, or there is
// only a second argument and it is a folder.
func isLive(args []string) bool {
	if len(args) < 2 {
		return false
	}
	if _, selector, err := splitPlace(args[0]); err != nil || selector != "" {
		return true
	}
	info, err := os.Stat(args[1])
	return len(args) == 2 && err == nil && info.IsDir()
}

// Run compares the snapshots, or the snapshot and the folder.
func (o *diffOptions) Run(ctx context.Context, a *app, args []string) error {
	if o.depth < 0 {
		return wrongUsage("--depth must not be negative")
	}
	if err := checkThreads(o.threads); err != nil {
		return err
	}
	if isLive(args) {
		return o.live(ctx, a, args)
	}
	if o.patterns != nil || o.ignoreInode || o.ignoreCtime {
		return wrongUsage("--exclude, --exclude-from, --iexclude, --iexclude-from, --ignore-inode and --ignore-ctime go with SOURCE")
	}
	return o.snapshots(ctx, a, args)
}

// snapshots compares two snapshots.
func (o *diffOptions) snapshots(ctx context.Context, a *app, args []string) (err error) {
	archive, err := a.openArchive(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	old, err := a.openIn(archive, args[1])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	young, err := a.openIn(archive, args[2])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, young.Close()) }()
	path := ""
	if len(args) > 3 {
		if path, err = pathInEither(args[3], young, old); err != nil {
			return err
		}
	}
	p := changePrinter{ctx: ctx, a: a, o: o}
	p.tally.Depth = o.depth
	if err = history.Compare(old.Catalog, young.Catalog, path, p.visit); err == nil {
		err = p.end(old.Name, young.Name)
	}
	return err
}

// changePrinter prints changes one by one, or sums them up.
type changePrinter struct {
	ctx    context.Context
	a      *app
	o      *diffOptions
	counts map[history.Kind]uint64
	tally  history.Tally
}

func (p *changePrinter) visit(c history.Change) error {
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	if p.counts == nil {
		p.counts = make(map[history.Kind]uint64)
	}
	p.counts[c.Kind]++
	switch {
	case p.o.summary:
		p.tally.Add(&c)
		return nil
	case p.o.json:
		return p.a.printJSON("change", changeJSON(&c))
	}
	return p.a.printf("%s\n", p.a.changeLine(&c))
}

func (p *changePrinter) end(from, to string) error {
	var err error
	switch {
	case p.o.summary && p.o.json:
		err = p.a.printTallyJSON(&p.tally)
	case p.o.summary:
		err = p.a.printTally(&p.tally)
	}
	if err == nil {
		p.a.term.errorf("From %s to %s: %s.", from, to, changeCounts(p.counts))
	}
	return err
}

// pathInEither returns the path that a PATH of the command line means in the first snapshot that has it. It returns a
// path that neither has unchanged, so that the comparison reports the nearest names.
func pathInEither(arg string, snapshots ...*openSnapshot) (string, error) {
	for _, s := range snapshots {
		path, _, err := s.find(arg)
		if !errors.Is(err, errNotInSnapshot) {
			return path, err
		}
	}
	return arg, nil
}

// kinds lists the kinds of change with the words for people, in the order of the summary.
var kinds = []struct {
	kind    history.Kind
	word    string // begins a line
	counted string // in the summary
}{
	{history.Added, "added", "added"}, {history.Removed, "removed", "removed"}, {history.Changed, "changed", "changed"},
	{history.Metadata, "metadata", "with other metadata only"}, {history.Moved, "moved", "moved"},
	{history.TypeChanged, "type", "of another type"},
}

func changeCounts(counts map[history.Kind]uint64) string {
	var parts []string
	for _, k := range kinds {
		if n := counts[k.kind]; n > 0 {
			parts = append(parts, count(n)+" "+k.counted)
		}
	}
	if parts == nil {
		return "no difference"
	}
	return strings.Join(parts, ", ")
}

func (a *app) changeLine(c *history.Change) string {
	word := ""
	for _, k := range kinds {
		if k.kind == c.Kind {
			word = k.word
		}
	}
	e := c.New
	if e == nil {
		e = c.Old
	}
	line := fmt.Sprintf("%-8s  %s", word, entryName(c.Path, e.Type))
	if details := a.changeDetails(c); len(details) > 0 {
		line += "  (" + strings.Join(details, ", ") + ")"
	}
	return line
}

func (a *app) changeDetails(c *history.Change) (details []string) {
	switch {
	case c.Kind == history.Moved:
		details = append(details, "was "+name(c.From))
	case c.Kind == history.TypeChanged:
		details = append(details, typeNames[c.Old.Type]+" -> "+typeNames[c.New.Type])
	case c.Kind == history.Added && c.New.Type == index.File:
		details = append(details, size(c.New.Size))
	case c.Kind == history.Changed:
		details = append(details, contentChange(c.Old, c.New))
	}
	for _, f := range c.Fields {
		details = append(details, a.fieldChange(f, c.Old, c.New))
	}
	return details
}

func contentChange(old, young *index.Entry) string {
	switch {
	case young.Type == index.Symlink:
		return name(old.Target) + " -> " + name(young.Target)
	case young.Type == index.CharDevice || young.Type == index.BlockDevice:
		return fmt.Sprintf("device %d, %d -> %d, %d", old.Major, old.Minor, young.Major, young.Minor)
	case old.Size == young.Size:
		return "content, still " + size(young.Size)
	case size(old.Size) == size(young.Size):
		return fmt.Sprintf("%s -> %s bytes", count(old.Size), count(young.Size))
	}
	return size(old.Size) + " -> " + size(young.Size)
}

func (a *app) fieldChange(field string, old, young *index.Entry) string {
	switch field {
	case "mode":
		return fmt.Sprintf("mode %04o -> %04o", old.Mode, young.Mode)
	case "owner":
		return fmt.Sprintf("owner %d:%d -> %d:%d", old.UID, old.GID, young.UID, young.GID)
	case "mtime":
		from, to := a.local(timeOf(old.Mtime)), a.local(timeOf(young.Mtime))
		if from == to {
			from, to = fmt.Sprintf("%s.%09d", from, old.Mtime.Nsec), fmt.Sprintf(".%09d", young.Mtime.Nsec)
		}
		return "time " + from + " -> " + to
	case "xattrs":
		return "extended attributes"
	case "attributes":
		return fmt.Sprintf("attributes %s -> %s", cmp.Or(attrLetters(old.Attrs), "-"), cmp.Or(attrLetters(young.Attrs), "-"))
	case "links":
		return "hard links"
	}
	return field
}

// live compares a snapshot with a folder.
func (o *diffOptions) live(ctx context.Context, a *app, args []string) (err error) {
	s, err := a.open(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	opt := history.LiveOptions{Threads: o.threads, Archive: s.archive.Path,
		IgnoreInode: o.ignoreInode, IgnoreCtime: o.ignoreCtime}
	opt.Exclude, err = o.patterns.matcher(ctx)
	if err != nil {
		return err
	}
	misplaced, err := checkPatternsOf(opt.Exclude, args[1])
	if err != nil {
		return err
	}
	for _, w := range append(opt.Exclude.Warnings(), misplaced...) {
		a.term.errorf("Warning: %s.", printable(w))
	}
	path := ""
	if len(args) > 2 {
		if path, err = s.pathInSource(args[2], args[1]); err != nil {
			return err
		}
	}
	p := changePrinter{ctx: ctx, a: a, o: o}
	p.tally.Depth = o.depth
	report, err := history.CompareLive(ctx, s.Catalog, args[1], path, opt, p.visit)
	if err != nil {
		return err
	}
	if err := p.end(s.Name, name(args[1])); err != nil {
		return err
	}
	return o.failed(a, report)
}

// pathInSource returns the path that a PATH of the command line means: a path in the snapshot, or else one in the
// folder.
func (s *openSnapshot) pathInSource(arg, source string) (string, error) {
	path, _, err := s.find(arg)
	if !errors.Is(err, errNotInSnapshot) {
		return path, err
	}
	abs, err := filepath.Abs(source)
	if err != nil {
		return "", err
	}
	candidates, err := pathCandidates(arg, abs)
	if err != nil {
		return "", err
	}
	for _, c := range candidates {
		if _, err := os.Lstat(filepath.Join(abs, filepath.FromSlash(c))); err == nil {
			return c, nil
		}
	}
	return candidates[0], nil
}

// failed lists the entries that could not be compared.
func (o *diffOptions) failed(a *app, r *history.LiveReport) error {
	if r.FailedCount == 0 {
		return nil
	}
	a.term.alertf("%s could not be compared:", counted(r.FailedCount, "entry", "entries"))
	shown := r.Failed[:min(len(r.Failed), maxFailedShown)]
	for _, f := range shown {
		a.term.errorf("  %s: %s", name(f.Path), printable(f.Err.Error()))
	}
	if more := r.FailedCount - uint64(len(shown)); more > 0 {
		a.term.errorf("  ... and %s more", count(more))
	}
	return told{statusIncomplete}
}

// printTally prints the changes by folder.
func (a *app) printTally(t *history.Tally) error {
	header := []string{"FOLDER", "ADDED", "REMOVED", "CHANGED", "METADATA", "MOVED", "TYPE", "+BYTES", "-BYTES", "NET"}
	rows := [][]string{header}
	for _, f := range t.Folders() {
		row := []string{folderName(f.Folder)}
		for _, k := range kinds {
			row = append(row, count(f.Counts[k.kind]))
		}
		rows = append(rows, append(row, size(f.Added), size(f.Removed), netSize(f.Added, f.Removed)))
	}
	if len(rows) == 1 {
		return nil
	}
	return a.printf("%s", table(rows, false, true, true, true, true, true, true, true, true, true))
}

func folderName(path string) string {
	if path == "" {
		return "./"
	}
	return name(path + "/")
}

// netSize writes the change of a size, with its sign.
func netSize(added, removed uint64) string {
	switch {
	case added > removed:
		return "+" + size(added-removed)
	case added < removed:
		return "-" + size(removed-added)
	}
	return size(0)
}

func (a *app) printTallyJSON(t *history.Tally) error {
	for _, f := range t.Folders() {
		path := f.Folder
		if path == "" {
			path = "."
		}
		if err := a.printJSON("folder", tallyObject{path, f.Counts, f.Added, f.Removed}); err != nil {
			return err
		}
	}
	return nil
}
