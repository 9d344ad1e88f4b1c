package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
	"snapcopy/internal/verify"
	"snapcopy/repair"
)

type repairOptions struct {
	from     []string
	source   string
	dryRun   bool
	threads  int
	quiet    bool
	progress progressFlag
	json     bool

	strange    uint64 // findings that only a person can resolve
	unreadable uint64
}

func repairCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "repair ARCHIVE",
		Short: "Mend damaged snapshots from sound copies of their files",
		Long: `Find all damage in ARCHIVE, as verify does, and mend it. Content comes from another stored file of the archive,
from the archives named with --from, or from the source, if that was on this host or is named with --source.
Nothing is put anywhere that does not have the hash recorded in the catalog: it is computed while the content is
copied. Metadata, folders, symbolic links and special files come from the catalog.

No stored file is written to: a new file takes the place of a damaged one in every snapshot that has it. A name
that a snapshot does not contain is moved to .snapcopy/extra. A lost or damaged catalog comes
from OTHER, if that is a copy of ARCHIVE (cp -a); otherwise it is made anew from the snapshot's folder, as by "snapcopy
catalog rebuild", and damage of that folder may stay unnoticed. The content-hash index is made anew, too.

What cannot be repaired is listed, with the snapshots that have it and the nearest sound version of the file.
A repair that is interrupted goes on with the next command that writes to the archive. --dry-run lists what would
be done, and where the content would come from.`,
		Example: `  snapcopy repair --dry-run /backup/documents
  snapcopy repair /backup/documents --from /mnt/second/documents
  snapcopy repair /backup/documents --source /mnt/old-disk/home/ann/Documents`,
	}, new(repairOptions), mayBeDone, mayFail, mayNotLook, mayStayDamaged, mayBeLocked, mayLackSpace)
}

// errFrom precedes an error about another archive to take content from.
var errFrom = errors.New("--from")

var (
	mayNotLook     = status{statusIncomplete, "done, but some entries could not be looked at; they are listed"}
	mayStayDamaged = status{statusDamage, "damage that could not be repaired is left; it is listed"}
)

func (o *repairOptions) AddFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringArrayVar(&o.from, "from", nil, "take content from the archive `OTHER`, too; may be given several times")
	f.StringVar(&o.source, "source", "", "take content from the folder `DIR`, where the source is now")
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "say what would be repaired, and from where; change nothing")
	addThreads(f, &o.threads)
	o.progress.addTo(f)
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print what is not repaired, and errors, only")
	f.BoolVar(&o.json, "json", false, "print one JSON object an item, and one for the summary")
}

// Run finds damage and repairs it.
func (o *repairOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	if err := checkThreads(o.threads); err != nil {
		return err
	}
	arch, err := a.openToChange(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, arch.Close()) }()
	opt := repair.Options{DryRun: o.dryRun, Source: o.source, Now: a.now, Progress: new(archive.Progress)}
	for _, path := range o.from {
		other, err := a.openArchive(path)
		if errors.Is(err, archive.ErrNoArchive) || errors.Is(err, archive.ErrNotArchive) {
			return fmt.Errorf("%w: %w", errFrom, err)
		}
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, other.Close()) }()
		opt.From = append(opt.From, other)
	}
	if n := arch.Repairing(); n > 0 && o.dryRun {
		a.term.errorf("Note: a repair of %s was begun and cut short. Without --dry-run that is finished first.",
			counted(uint64(n), "name", "names"))
	}
	opt.Tell = func(item *repair.Item) error { return o.tell(a, arch.Path, item) }
	report, err := o.repair(ctx, a, arch, &opt)
	if err != nil {
		if arch.Repairing() > 0 {
			a.term.errorf("The repair is not finished. The same command goes on with it, and so does the next command that writes to %s.",
				name(arch.Path))
		}
		return err
	}
	return o.summary(a, arch.Path, report)
}

// repair puts catalogs back, finds damage, and repairs it. In a dry run the catalogs are told of as they are found.
func (o *repairOptions) repair(ctx context.Context, a *app, arch *archive.Archive, opt *repair.Options) (*repair.Report, error) {
	report := &repair.Report{DryRun: o.dryRun}
	part := func(do func(context.Context, *archive.Archive, repair.Options) (*repair.Report, error)) error {
		bar := startProgress(a, repairMeter(opt.Progress), o.progress.quietly(o.quiet))
		defer bar.stop()
		r, err := do(ctx, arch, *opt)
		report.Add(r)
		return err
	}
	if !o.dryRun {
		if err := part(repair.Catalogs); err != nil {
			return report, err
		}
	}
	if err := o.find(ctx, a, arch, opt); err != nil {
		return report, err
	}
	return report, part(repair.Run)
}

// find lets verify find all damage. Damage that only a person can resolve is told at once.
func (o *repairOptions) find(ctx context.Context, a *app, arch *archive.Archive, opt *repair.Options) error {
	list, err := arch.Snapshots()
	if err != nil {
		return err
	}
	var writeErr error
	look := verify.Options{Threads: o.threads, Progress: new(archive.Progress), Remember: !o.dryRun, Now: a.now}
	show := verifyOptions{json: o.json}
	look.Damage = func(d verify.Damage) {
		if opt.Found(d.Snapshot, d.Path, d.Err) {
			return
		}
		if isDamage(d.Err) {
			o.strange++
		} else {
			o.unreadable++
		}
		if err := show.finding(a, arch.Path, d); writeErr == nil {
			writeErr = err
		}
	}
	bar := startProgress(a, verifyMeter(look.Progress), o.progress.quietly(o.quiet))
	report, err := verify.Run(ctx, arch, list, look)
	bar.stop()
	if err = errors.Join(err, writeErr); err != nil || report.Unreadable > 0 {
		return err // an entry that could not be looked at may be one more name of a damaged stored file: repair looks again
	}
	for _, s := range list {
		opt.Verified = append(opt.Verified, s.Name)
	}
	return nil
}

func repairMeter(p *archive.Progress) meter {
	m := runMeter(p)
	m.phase = func() string { return "Repairing" }
	return m
}

// tell prints one item.
func (o *repairOptions) tell(a *app, arch string, item *repair.Item) error {
	if o.json {
		return a.printJSON("repair_item", repairItemJSON(item))
	}
	if item.Err == nil && o.quiet {
		return nil
	}
	what := itemName(item)
	if item.Err != nil {
		text := fmt.Sprintf("NOT REPAIRED: %s: %s: %s.", what, printable(item.Found), printable(item.Err.Error()))
		if n := item.Nearest; n != nil {
			text += fmt.Sprintf(" The nearest sound version: snapcopy restore %s@%s %s --to DIR", shellWord(arch), n.Snapshot, shellWord(n.Path))
		}
		return a.printf("%s\n", text)
	}
	word := "Repaired"
	if o.dryRun {
		word = "Would repair"
	}
	return a.printf("%s %s: %s; %s\n", word, what, printable(item.Found), originText(item))
}

// itemName names what an item is about, and the snapshots that have it.
func itemName(item *repair.Item) string {
	switch item.What {
	case repair.OfIndex:
		return "the content-hash index"
	case repair.OfLatest:
		return "\"latest\""
	case repair.OfNote:
		return "the note of a repair that was cut short"
	case repair.OfCatalog:
		return "the catalog of " + item.Names[0].Snapshot
	}
	first := item.Names[0]
	text := first.Snapshot
	if first.Path != "" {
		text = name(first.Path) + " in " + first.Snapshot
	}
	if more := len(item.Names) - 1; more > 0 {
		text += fmt.Sprintf(" and under %s up to %s", counted(uint64(more), "other name", "other names"), item.Names[more].Snapshot)
	}
	return text
}

// originText says where the right content comes from.
func originText(item *repair.Item) string {
	o := item.Origin
	switch item.What {
	case repair.OfExtra:
		return "moved to .snapcopy/" + archive.ExtraDir
	case repair.OfIndex:
		return "made anew from the catalogs"
	case repair.OfLatest:
		return "points to the newest snapshot"
	case repair.OfNote:
		return "removed; all names were looked at again"
	}
	switch o.Kind {
	case repair.FromItself:
		return "its content is sound, and copied"
	case repair.FromStored:
		return "from the stored file " + name(o.Snapshot+"/"+o.Path)
	case repair.FromArchive:
		return "from the archive " + name(o.Archive) + ", " + name(o.Snapshot+"/"+o.Path)
	case repair.FromSource:
		return "from the source, " + name(o.Path)
	case repair.FromCopy:
		return "from " + name(o.Archive) + ", a copy of this archive, with every name that the snapshot had"
	case repair.FromFolder:
		return "made anew from the snapshot's folder, without a copy of the catalog: names that were deleted from the folder are not " +
			"known; the next run reads the source's files again"
	}
	return "as the catalog says"
}

// left returns the number of findings that stay damage. If verify found some in which the repair finds nothing wrong, as with
// names of a link group that a catalog made anew records with different content, the archive is not free of damage.
func (o *repairOptions) left(r *repair.Report) uint64 {
	if r.Repaired == 0 && r.Unrepaired == 0 {
		return r.Sound + o.strange
	}
	return r.Unrepaired + o.strange
}

// summary prints the figures, and returns the exit status.
func (o *repairOptions) summary(a *app, arch string, r *repair.Report) error {
	lost := o.left(r)
	if o.json {
		err := a.printJSON("repair", &repairObject{Archive: arch, DryRun: r.DryRun, Repaired: r.Repaired, Unrepaired: lost,
			Unreadable: o.unreadable, Unexamined: r.Unexamined, NoRoom: r.NoRoom, NoRoomBytes: r.NoRoomBytes, Snapshots: r.Snapshots, Bytes: r.Bytes, Recovered: r.Recovered})
		if err != nil {
			return err
		}
	} else if err := o.printSummary(a, arch, r, lost); err != nil {
		return err
	}
	switch {
	case r.NoRoom > 0:
		return fmt.Errorf("%s not repaired for lack of space; what is repaired stays so, and the same command goes on with the rest, "+
			"which needs %s for content: %w", counted(r.NoRoom, "name is", "names are"), size(r.NoRoomBytes), r.NoRoomErr)
	case lost > 0:
		return told{statusDamage}
	case o.unreadable+r.Unexamined > 0:
		return toldIncomplete
	}
	return nil
}

// tellUnexamined says how many snapshots were not looked at, and how they will be.
func (o *repairOptions) tellUnexamined(a *app, arch string, n uint64) {
	snapshots := counted(n, "snapshot", "snapshots")
	switch {
	case n == 0:
	case o.dryRun:
		a.term.errorf("Not looked at in %s: %s without a sound catalog. What else is damaged there can only be found when the catalog is made anew, "+
			"which repair does first without --dry-run.", name(arch), snapshots)
	default:
		a.term.errorf("Not looked at in %s: %s, because the catalog could not be read at first; now it can. Repeat the command to find "+
			"what is damaged there.", name(arch), snapshots)
	}
}

// printSummary prints what was not looked at, and what is repaired and what is not: lost names are damaged still.
func (o *repairOptions) printSummary(a *app, arch string, r *repair.Report, lost uint64) error {
	for _, text := range r.Recovered {
		a.term.errorf("From before: %s.", printable(text))
	}
	if o.unreadable > 0 {
		a.term.errorf("%s in %s could not be looked at.", counted(o.unreadable, "entry", "entries"), name(arch))
	}
	o.tellUnexamined(a, arch, r.Unexamined)
	if lost > 0 && r.Unrepaired+o.strange == 0 {
		a.term.errorf("In %s repair finds nothing wrong, but verify does. `snapcopy verify --metadata %s` lists what.",
			counted(lost, "entry", "entries"), shellWord(arch))
	}
	if lost > 0 {
		return a.printf("DAMAGE IS LEFT in %s: %s repaired, %s not.\n", name(arch), counted(r.Repaired, "name", "names"), count(lost))
	}
	if o.quiet {
		return nil
	}
	switch {
	case r.Repaired == 0 && o.unreadable+r.Unexamined > 0:
		return a.printf("No damage in what could be looked at in %s.\n", name(arch))
	case r.Repaired == 0:
		return a.printf("No damage in %s.\n", name(arch))
	case o.dryRun && r.Unexamined > 0:
		return a.printf("The damage found so far in %s can be repaired: %s in %s. Without --dry-run that is done.\n", name(arch),
			counted(r.Repaired, "name", "names"), counted(uint64(len(r.Snapshots)), "snapshot", "snapshots"))
	case o.dryRun:
		return a.printf("All damage in %s can be repaired: %s in %s. Without --dry-run that is done.\n", name(arch),
			counted(r.Repaired, "name", "names"), counted(uint64(len(r.Snapshots)), "snapshot", "snapshots"))
	}
	word := "All damage"
	if r.Unexamined > 0 {
		word = "The damage found so far"
	}
	return a.printf("%s in %s is repaired: %s in %s.\n", word, name(arch), counted(r.Repaired, "name", "names"),
		counted(uint64(len(r.Snapshots)), "snapshot", "snapshots"))
}
