// The command prune is in three files: its flags and its steps are here, the values of the flags in pruneflags.go, all that it
// prints in prunetell.go.

package main

import (
	"context"
	"errors"
	"time"
	_ "time/tzdata" // for --tz on systems without time zones: containers, Windows

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
	"snapcopy/prune"
)

type pruneOptions struct {
	last, hourly, daily, weekly, monthly, yearly                         countFlag
	within                                                               spanFlag
	withinHourly, withinDaily, withinWeekly, withinMonthly, withinYearly spanFlag

	tz              string
	groupBy         groupFlag
	countIncomplete bool

	keepFree       amountFlag
	keepFreeInodes inodesFlag
	maxSize        sizeFlag
	thinAnyway     bool

	allowRemoveAll bool
	dryRun         bool
	simulate       bool
	background     bool
	progress       progressFlag
	rate           int
	threads        int
	json           bool
	quiet          bool
}

func pruneCommand(a *app) *cobra.Command {
	c := command(a, &cobra.Command{
		Use:   "prune [ARCHIVE]",
		Short: "Remove the snapshots that no rule keeps",
		Long: `Remove the snapshots of ARCHIVE that no rule keeps. A snapshot is kept if any rule wants it; each rule counts by
itself. --keep-daily 7 keeps the last snapshot of each of the 7 newest days that have one, and the oldest
snapshot of all as long as there are fewer than 7. --keep-within 30d keeps the snapshots less than 30 days older
than the newest one. Hours, days, weeks (from Monday), months and years are those of the local clock; --tz names
another zone. N is a number or "unlimited"; DURATION is written 36h, 90d or 1y6m (m: months). These are the
rules of restic's forget. --dry-run lists each snapshot with the decision and the reason.

If an archive has snapshots of several sources, the rules apply to each source separately. A source is a host
and a path; with --group-by path the path alone counts, and with --group-by none the rules apply to all
snapshots together.

A pinned snapshot is always kept. An incomplete snapshot counts for no rule, and goes when a newer one is
complete; --count-incomplete treats it as complete. A snapshot that lacks most of the files of older ones counts
for no rule either, even with --count-incomplete, and goes when a newer one is good. A snapshot from the future
counts for no rule, is kept, and is reported. The newest complete snapshot is always kept.

--keep-free, --keep-free-inodes and --max-size then thin out the snapshots that the rules keep, until there is
that much room: the snapshot goes that costs the least history for each byte that it frees. Its cost is the gap
that it leaves between the snapshots before and after it, divided by its age, so that old history is thinned out
before recent history; the oldest snapshot counts as if it left a gap as long as its age. Space beyond the goal
counts nothing. For a goal that cannot be reached no snapshot is removed, and the goal is reported. Without
--keep rules, thinning out begins with all snapshots.

--simulate tries the rules on made-up snapshots, whose times it reads from stdin, one a line, as in
2026-11-20T18:00:00Z; it opens no archive.`,
		Example: `  snapcopy prune /backup/documents --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run
  snapcopy prune /backup/documents --keep-within 30d --keep-yearly unlimited --keep-free 10%
  seq 0 365 | xargs -I{} date -d '2026-01-01 {} days' -Iseconds | snapcopy prune --simulate --keep-monthly 12`,
	}, new(pruneOptions), mayBeDone, mayFail, mayBeInUse, status{statusDamage, "done, but damaged or lost catalogs were found"},
		mayBeLocked, mayLookWrong,
		status{statusNoSpace, "done, but a goal for space cannot be reached"})
	for _, f := range []string{"last", "hourly", "daily", "weekly", "monthly", "yearly"} {
		completeFlag(c, "keep-"+f, []string{unlimited})
	}
	for _, f := range []string{"keep-within", "keep-within-hourly", "keep-within-daily", "keep-within-weekly",
		"keep-within-monthly", "keep-within-yearly", "keep-free", "keep-free-inodes", "max-size", "tz"} {
		completeFlag(c, f, nil) // nor is it a file
	}
	completeFlag(c, "group-by", groupings)
	return c
}

func (o *pruneOptions) AddFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.Var(&o.last, "keep-last", "keep the `N` newest snapshots")
	f.Var(&o.hourly, "keep-hourly", "keep the last snapshot of each of the `N` newest hours that have one")
	f.Var(&o.daily, "keep-daily", "the same for `N` days")
	f.Var(&o.weekly, "keep-weekly", "the same for `N` weeks (ISO 8601: they begin on Monday)")
	f.Var(&o.monthly, "keep-monthly", "the same for `N` months")
	f.Var(&o.yearly, "keep-yearly", "the same for `N` years")
	f.Var(&o.within, "keep-within", "keep snapshots less than `DURATION` older than the newest one")
	f.Var(&o.withinHourly, "keep-within-hourly", "of those, keep the last of each hour only")
	f.Var(&o.withinDaily, "keep-within-daily", "the same for days")
	f.Var(&o.withinWeekly, "keep-within-weekly", "the same for weeks")
	f.Var(&o.withinMonthly, "keep-within-monthly", "the same for months")
	f.Var(&o.withinYearly, "keep-within-yearly", "the same for years")
	f.StringVar(&o.tz, "tz", "", "count in the time zone `ZONE`, as in Europe/Berlin (default: the local one)")
	o.groupBy.Grouping = prune.BySource
	f.Var(&o.groupBy, "group-by", "apply the rules to each `GROUP` separately: source, path, none")
	f.BoolVar(&o.countIncomplete, "count-incomplete", false,
		"treat incomplete snapshots as complete, where some files can never be read")
	f.Var(&o.keepFree, "keep-free", "thin out until `AMOUNT` of the file system is free: 10% or 50GiB")
	f.Var(&o.keepFreeInodes, "keep-free-inodes", "thin out until `AMOUNT` of its inodes are free: 5% or 100000")
	f.Var(&o.maxSize, "max-size", "thin out until all snapshots together take no more than `SIZE`")
	f.BoolVar(&o.thinAnyway, "thin-anyway", false, "remove every snapshot that may go even if that does not reach the goal")
	f.BoolVar(&o.allowRemoveAll, "allow-remove-all", false, "without any rule, remove every snapshot instead of refusing")
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "say which snapshots would be removed, and why; change nothing")
	f.BoolVar(&o.simulate, "simulate", false, "read times of made-up snapshots from stdin, and say which would be removed")
	addRemoving(f, &o.background, &o.rate)
	addThreads(f, &o.threads)
	o.progress.addTo(f)
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print errors and warnings only")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line: each snapshot, then the sum")
}

// Run makes the plan, prints it, and carries it out.
func (o *pruneOptions) Run(ctx context.Context, a *app, args []string) error {
	if err := errors.Join(checkThreads(o.threads), checkRate(o.rate), o.setZone(a)); err != nil {
		return err
	}
	if len(args) == 0 && !o.simulate {
		return wrongUsage("ARCHIVE is missing")
	}
	if policy := o.policy(a.loc); policy.IsEmpty() && !o.allowRemoveAll {
		return wrongUsage("there is no rule, so no snapshot would be kept (--allow-remove-all, if that is intended)")
	}
	if o.simulate {
		return o.simulated(ctx, a)
	}
	return o.archive(ctx, a, args[0])
}

func (o *pruneOptions) archive(ctx context.Context, a *app, path string) (err error) {
	a.makesRoom = true
	arch, err := a.openToChange(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, arch.Close()) }()
	a.tellFindings(arch)
	if err := a.tellUnfinishedRuns(arch, o.quiet || o.json); err != nil {
		return err
	}
	return o.run(ctx, a, arch)
}

// run makes the plan, prints it, and carries it out.
func (o *pruneOptions) run(ctx context.Context, a *app, arch *archive.Archive) error {
	opt := prune.Options{Grouping: o.groupBy.Grouping, DryRun: o.dryRun, Remove: o.removing(a)}
	earlier, stopEarlier := a.earlier(o.quiet, o.progress)
	opt.Earlier = earlier
	begin, stopBar := time.Now(), startProgress(a, planMeter(), progressFlag{never: true}).stop
	opt.Earlier.Finishing = func(p *archive.Progress) {
		stopBar()
		earlier.Finishing(p)
	}
	told := false
	opt.Planned = func(f *prune.Facts, plan *prune.Plan) error {
		told = true
		o.tellUnfinished(a, f)
		a.tellFacts(arch, f)
		a.warnOfDamage(ctx, arch)
		if err := o.tell(a, plan, f); err != nil {
			return err
		}
		stopBar()
		begin = time.Now()
		stopBar = startProgress(a, removeMeter(opt.Remove.Progress), o.progress.quietly(o.quiet || o.dryRun || len(plan.Removed()) == 0)).stop
		return nil
	}
	out, err := prune.Run(ctx, arch, o.policy(a.loc), opt)
	stopEarlier()
	stopBar()
	if !told {
		facts := *out.Facts
		facts.NoRoom = nil // it is err, if it matters
		o.tellUnfinished(a, &facts)
		a.tellFacts(arch, &facts)
	}
	return o.tellOutcome(a, arch, out, err, time.Since(begin))
}

// planMeter is that of the time before anything is removed.
func planMeter() meter {
	m := removeMeter(new(archive.Progress))
	m.phase = func() string { return "Looking at the snapshots" }
	return m
}

// tellOutcome prints the removed snapshots. cause is the error that ended pruning early, if any.
func (o *pruneOptions) tellOutcome(a *app, arch *archive.Archive, out *prune.Outcome, cause error, took time.Duration) error {
	if r := out.Removal; r != nil && (cause == nil || len(r.Removed) > 0) {
		rm := removeOptions{quiet: o.quiet, json: o.json, brief: true}
		if tellErr := rm.tell(a, r, cause, took); cause == nil {
			cause = tellErr
		}
	}
	if cause != nil {
		return a.whyFrozen(arch, out.Facts, cause)
	}
	return outcomeOf(out.Plan, out.Facts.Damaged())
}

// thins reports whether the policy has a goal for space.
func (o *pruneOptions) thins() bool {
	return o.keepFree.Amount != prune.Amount{} || o.keepFreeInodes.Amount != prune.Amount{} || o.maxSize > 0
}

// setZone makes --tz the zone of periods and of times in output.
func (o *pruneOptions) setZone(a *app) error {
	if o.tz == "" {
		return nil
	}
	loc, err := parseZone(o.tz)
	if err != nil {
		return wrongUsage("--tz %s: %w", name(o.tz), err)
	}
	a.loc = loc
	return nil
}

// plan makes the plan, and puts a refusal into words.
func (o *pruneOptions) plan(a *app, list []prune.Snapshot, now time.Time, room *prune.Room) (*prune.Plan, error) {
	plan, err := prune.Make(list, o.policy(a.loc), now, room)
	if errors.Is(err, prune.ErrUnknownSpace) {
		return nil, wrongUsage("--keep-free, --keep-free-inodes and --max-size need the size of each snapshot, which --simulate does not know")
	}
	return plan, err
}

func (o *pruneOptions) policy(zone *time.Location) prune.Policy {
	return prune.Policy{
		Last: o.last.Count, Hourly: o.hourly.Count, Daily: o.daily.Count, Weekly: o.weekly.Count,
		Monthly: o.monthly.Count, Yearly: o.yearly.Count,
		Within: o.within.Span, WithinHourly: o.withinHourly.Span, WithinDaily: o.withinDaily.Span,
		WithinWeekly: o.withinWeekly.Span, WithinMonthly: o.withinMonthly.Span, WithinYearly: o.withinYearly.Span,
		Zone: zone, CountIncomplete: o.countIncomplete,
		KeepFree: o.keepFree.Amount, KeepFreeInodes: o.keepFreeInodes.Amount, MaxSize: uint64(o.maxSize),
		ThinAnyway: o.thinAnyway, AllowRemoveAll: o.allowRemoveAll,
	}
}

// tellFacts prints everything odd about the snapshots of an archive, before the plan.
func (a *app) tellFacts(arch *archive.Archive, f *prune.Facts) {
	a.tellTripwires(arch, f.Tripped)
	for _, lost := range []struct {
		why   error
		names []string
	}{{archive.ErrNoCatalog, f.WithoutCatalog}, {archive.ErrNoFolder, f.WithoutFolder}} {
		for _, n := range lost.names {
			a.term.errorf("snapcopy: %s: %s; it is left as it is, and counts for no rule. %s.", n, lost.why, remedy(lost.why, arch.Path, n))
		}
	}
	if f.NoRoom != nil {
		a.term.errorf("Warning: the space that removing snapshots frees is not known: %s", printable(f.NoRoom.Error()))
	}
	if f.Room != nil {
		for _, doubt := range doubts(arch, f.Room.Space) {
			a.term.errorf("Warning: %s", doubt)
		}
	}
}

// warnOfDamage warns that stored files are known to be damaged: another snapshot may have what repairs them.
func (a *app) warnOfDamage(ctx context.Context, arch *archive.Archive) {
	note, err := arch.Damage(ctx)
	if err != nil {
		a.term.errorf("Warning: which damage is known in %s cannot be found out: %s", name(arch.Path), printable(err.Error()))
	} else if damaged := damagedContents(note); damaged.Files > 0 {
		a.term.errorf("Warning: the content of %s in %s is known to be damaged. `snapcopy repair %s` may need snapshots that this "+
			"removes; repair first.", counted(damaged.Files, "stored file", "stored files"), name(arch.Path), shellWord(arch.Path))
	}
}

// tellTripwires says that no snapshot is removed because of runs that look wrong.
func (a *app) tellTripwires(arch *archive.Archive, list []archive.Tripped) {
	where := name(arch.Path)
	for i := range list {
		if i == maxNamed {
			a.term.errorf("snapcopy: ... and %s in %s, to %s.", counted(uint64(len(list)-i), "more snapshot", "more snapshots"), where,
				list[len(list)-1].Snapshot)
			break
		}
		a.term.errorf("snapcopy: snapshot %s in %s: %s", list[i].Snapshot, where, trippedText(&list[i]))
	}
	if len(list) > 0 {
		a.term.errorf("snapcopy: nothing is removed from %s, because the snapshots before that run may be needed", where)
		a.term.errorf("Hint: `snapcopy acknowledge --dry-run %s` shows what waits; if all is well, `snapcopy acknowledge %s` accepts that. %s.",
			shellWord(arch.Path), shellWord(arch.Path), wrongSourceText(arch.Path, uint64(len(list)), list[0].Snapshot))
	}
}

// whyFrozen puts the error about runs that look wrong into words, unless tellFacts has already done so.
func (a *app) whyFrozen(arch *archive.Archive, f *prune.Facts, err error) error {
	var frozen *prune.FrozenError
	if !errors.As(err, &frozen) {
		return err
	}
	if len(f.Tripped) == 0 {
		a.tellTripwires(arch, frozen.Tripped)
	}
	return told{statusTripwire}
}

// tellUnfinished warns, in a dry run, of space that an earlier removal has not given back yet.
func (o *pruneOptions) tellUnfinished(a *app, f *prune.Facts) {
	switch {
	case !f.Unfinished:
	case o.thins():
		a.term.errorf("Warning: an earlier removal has not given its space back yet. Without --dry-run that comes first, and " +
			"fewer snapshots may have to go than shown.")
	case !o.quiet:
		a.term.errorf("Note: an earlier removal has not given its space back yet. Without --dry-run that comes first.")
	}
}

// removing returns the options for removing snapshots.
func (o *pruneOptions) removing(a *app) archive.RemoveOptions {
	return archive.RemoveOptions{Threads: o.threads, BackgroundIO: o.background, Rate: o.rate,
		AllowLast: o.allowRemoveAll, CountIncomplete: o.countIncomplete, Progress: new(archive.Progress), Now: a.now}
}

// outcomeOf returns the exit status of a plan that was printed, and carried out if wanted.
func outcomeOf(plan *prune.Plan, damaged bool) error {
	switch {
	case damaged:
		return told{statusDamage}
	case len(plan.Missed) > 0:
		return told{statusNoSpace}
	}
	return nil
}
