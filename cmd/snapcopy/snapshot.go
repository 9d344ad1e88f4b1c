package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
	"snapcopy/snapshot"
)

type snapshotOptions struct {
	patterns       patternFlags
	excludeCaches  bool
	excludePresent []string
	excludeLarger  sizeFlag
	oneFileSystem  bool
	respectNoDump  bool

	dryRun         bool
	requireArchive bool
	allowCopies    bool
	allowClockBack bool
	ignoreInode    bool
	ignoreCtime    bool
	recheck        shareFlag
	noResume       bool
	timeLimit      time.Duration
	tripwire       tripwireOptions
	rehash         shareFlag
	retries        int
	retryWait      time.Duration

	threads int
	verbose int
	quiet   bool
	json    bool
	log     logFlags

	progress progressFlag
}

// defaultRecheck costs one call more for every twentieth file, and finds altered stored files within 20 runs.
const defaultRecheck = 0.05

// Three tries within a quarter of a minute outlast a file in use, or a bus or a server that starts anew, and keep nobody
// waiting where a disk is broken.
const (
	defaultRetries   = 3
	defaultRetryWait = 5 * time.Second
)

func snapshotCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "snapshot SOURCE ARCHIVE",
		Short: "Take a snapshot of a folder",
		Long: `Take a snapshot of the folder SOURCE and publish it in ARCHIVE as a new folder named after the time. Files that
did not change since the previous snapshot are shared with it. ARCHIVE is made if it is missing or empty. If the
run fails, nothing is published and every earlier snapshot stays as it was.

A stored file that was altered in the archive - cut short, replaced, given another mode or owner - is not shared
but stored anew, and reported. Each run checks a share of the unchanged files for that, in turn: with --recheck
5% each file is checked once in 20 runs; after the archive was copied, all are. Only verify reads the contents: a
stored file that it has found damaged is not shared either.

A run looks wrong if the source is empty, if more than half of 100 or more files of the last good snapshot are gone,
left out (--max-deleted) or changed (--max-changed), or if the source is on another file system than then, or is no
mount point any more. Such a snapshot is published and marked "suspect"; the run ends with exit status 6, and so does
each later one that looks wrong. Until "snapcopy acknowledge ARCHIVE", nothing in ARCHIVE is pruned.

With --rehash 2% a run also reads a share of the unchanged files of SOURCE, so that each is read once in 50 runs. A
file whose content is not the recorded one, although its size and times are, is damaged in SOURCE: the snapshot
keeps the stored version, the earlier snapshot that has it is pinned, and each run says so until the file is
restored or changed.

Progress is a bar on a terminal, and otherwise a line each 30 seconds; --progress=10s prints a line each 10 seconds
instead, and --progress=never none. The signal SIGUSR1 asks for one line at once.

--log keeps what a run says in a file, whatever the terminal shows: with --quiet -v --log FILE the terminal has errors
and warnings only, and the log a line for each entry that changed. A log that cannot be written is a warning.

What cannot be read for an error that may pass - a failing disk or server, a file in use, no memory - is tried
again when everything else is done, --retries times, with one wait of --retry-wait before each round for all of
it. At most 1000 entries wait for that, and no longer than 15 minutes or twice the waits asked for, whichever is
longer; what else fails is not tried again.

An entry that exists and cannot be read is carried along from the previous snapshot of the same source, if that has
it, and so is a folder with everything below it: linked, and marked in list, ls, versions and restore with the date
of the last snapshot that read it. It stays listed as failed, and the snapshot is incomplete. If nothing at all could
be read, nothing is published.

A run that is interrupted (a signal, a power cut, a full disk, --time-limit) leaves what it has stored to the next
snapshot of SOURCE, which looks at every entry again but neither reads nor copies these files again.

On ext4, xfs and tmpfs a run foresees in part that a snapshot cannot fit, and ends with exit status 7: the first
snapshot as soon as more of SOURCE was counted than bytes or inodes are free, a later one before it begins if fewer
inodes are free than SOURCE has folders. How much new content a later one takes is not foreseen (but by --dry-run):
then, as on other file systems, the run ends with status 7 when the disk is full. What is stored stays for the next
snapshot of SOURCE.

With --dry-run a run also compares what the snapshot would take with what is free (bytes and inodes), counting the
space of removed snapshots as free, and ends with exit status 7 if it does not fit.

Patterns are written as in .gitignore files, and begin at SOURCE: /cache is the folder of that name in SOURCE.
--iexclude and --iexclude-from do not tell A-Z from a-z: '*.jpg' also matches IMG_1.JPG there. --exclude and --iexclude
win over --exclude-from and --iexclude-from; if several patterns match, the last one decides. Patterns that matched
no entry that the run has seen are named at the end.`,
		Example: `  snapcopy snapshot ~/Documents /backup/documents
  snapcopy snapshot --exclude '*.o' --exclude-caches --one-file-system / /backup/system
  snapcopy snapshot --source-is-mount --max-changed 80% /mnt/share /backup/share
  snapcopy snapshot --quiet --log '/var/log/snapcopy/home_{time}.log' --log-level verbose /home /backup/home
  snapcopy snapshot --rehash 2% /srv/photos /backup/photos
  snapcopy snapshot --dry-run --exclude-from patterns.txt ~/src /backup/src`,
	}, new(snapshotOptions), mayBeDone, mayNotPublish, mayPublishInPart, mayFindAltered, mayTrip, mayBeLocked, mayLackSpace)
}

func (o *snapshotOptions) AddFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	o.patterns.addTo(f, "")
	f.BoolVar(&o.excludeCaches, "exclude-caches", false, "leave out folders that a CACHEDIR.TAG marks as caches")
	f.StringArrayVar(&o.excludePresent, "exclude-if-present", nil, "leave out folders that contain `NAME` (can be repeated)")
	f.Var(&o.excludeLarger, "exclude-larger-than", "leave out files larger than `SIZE` (4096; 100M is 100,000,000; 1.5GiB)")
	f.BoolVarP(&o.oneFileSystem, "one-file-system", "x", false, "do not enter other file systems mounted below SOURCE")
	f.BoolVar(&o.respectNoDump, "respect-nodump", false, "leave out entries with the attribute d (chattr +d), with all below them")
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "say what would be done; change nothing")
	f.BoolVar(&o.requireArchive, "require-archive", false, "fail if there is no archive, instead of making one")
	f.BoolVar(&o.allowCopies, "allow-copies", false, "go on where hard links cannot be made: every snapshot is a full copy")
	f.BoolVar(&o.allowClockBack, "allow-clock-back", false, "go on when the clock is behind all snapshots")
	f.BoolVar(&o.ignoreInode, "ignore-inode", false, "for sources whose inode numbers are not stable")
	f.BoolVar(&o.ignoreCtime, "ignore-ctime", false, "for sources whose change times are not stable")
	f.BoolVar(&o.noResume, "no-resume", false, "begin anew, and remove what an interrupted run of SOURCE has stored")
	f.DurationVar(&o.timeLimit, "time-limit", 0, "stop after `DURATION`, such as 4h; the next snapshot goes on from there")
	o.recheck = defaultRecheck
	f.Var(&o.recheck, "recheck", "check the stored files of this `SHARE` of the unchanged files, in turn")
	o.tripwire.addFlags(f)
	f.Var(&o.rehash, "rehash", "read this `SHARE` of the unchanged files, in turn: finds damage in SOURCE")
	f.Lookup("rehash").DefValue = "" // none

	f.IntVar(&o.retries, "retries", defaultRetries, "read `N` times more what could not be read for an error that may pass")
	f.DurationVar(&o.retryWait, "retry-wait", defaultRetryWait, "wait this `TIME` before trying again (5s, 2m)")
	addThreads(f, &o.threads)
	f.CountVarP(&o.verbose, "verbose", "v", "``a line for each entry that changed or is left out; -vv: for all")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print errors and warnings only")
	f.BoolVar(&o.json, "json", false, "print the summary as a JSON object, and with -v or -n one for each entry before it")
	o.progress.addTo(f)
	o.log.addTo(f)
}

// Run takes the snapshot and prints the outcome.
func (o *snapshotOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	if err := checkLocal(args...); err != nil {
		return err
	}
	opt, err := o.options(ctx, a)
	if err != nil {
		return err
	}
	misplaced, err := checkPatternsOf(opt.Exclude, args[0])
	if err != nil {
		return err
	}
	if err := checkOrder(args[0], args[1]); err != nil {
		return err
	}
	a.archive = args[1]
	if ctx, err = o.limited(ctx); err != nil {
		return err
	}
	t, err := newTeller(ctx, a, o)
	if err != nil {
		return err
	}
	defer func() { err = t.end(err) }()
	t.begin(args[0], args[1], append(opt.Exclude.Warnings(), misplaced...))

	opt.Item, opt.Unrecorded = t.itemHook(), t.unrecorded
	opt.Taker = t.taker()
	opt.Progress = new(archive.Progress)
	bar := startProgress(a, runMeter(opt.Progress), o.progress.quietly(o.quiet))
	report, err := snapshot.Run(ctx, args[0], args[1], opt)
	bar.stop()
	if errors.Is(err, snapshot.ErrNothingStored) {
		t.failed(report)
	}
	if err != nil {
		return notPublished(ctx, sayNoRoom(err, opt.Progress), report)
	}
	return t.report(report)
}

// notPublished adds to an interruption that no snapshot was published, and to any failure what the next run goes on from.
func notPublished(ctx context.Context, err error, report *archive.Report) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.Join(fmt.Errorf("%w: nothing was published, and every earlier snapshot is as it was",
			context.Cause(ctx)), besideCancel(err))
	}
	if report == nil || report.Left == nil || report.Left.Bytes == 0 {
		return err
	}
	stored := counted(report.Left.Files, "file", "files") + " and " + size(report.Left.Bytes)
	if errors.Is(err, archive.ErrUnreachable) || errors.Is(err, archive.ErrReadOnly) {
		return errors.Join(err, fmt.Errorf("%s had been stored in %s: the next snapshot of %s goes on from the last checkpoint, if that is there",
			stored, name(report.Left.Path), name(report.Source)))
	}
	return errors.Join(err, fmt.Errorf("%s are stored already in %s: the next snapshot of %s goes on from there, "+
		"and `snapcopy snapshot --no-resume` begins anew and frees their space",
		stored, name(report.Left.Path), name(report.Source)))
}

// timeIsUp is the cause of a context that --time-limit has ended.
type timeIsUp struct{ after time.Duration }

func (e timeIsUp) Error() string            { return fmt.Sprintf("stopped by --time-limit %s", e.after) }
func (e timeIsUp) Unwrap() error            { return context.Canceled }
func (e timeIsUp) Outcome() archive.Outcome { return archive.OutcomeTimeLimit }

// limited returns a context that ends with the time limit.
func (o *snapshotOptions) limited(ctx context.Context) (context.Context, error) {
	if o.timeLimit < 0 {
		return nil, wrongUsage("--time-limit must not be negative")
	}
	if o.timeLimit == 0 {
		return ctx, nil
	}
	limited, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(o.timeLimit, func() { cancel(timeIsUp{o.timeLimit}) })
	context.AfterFunc(ctx, func() { timer.Stop() }) // the command has ended
	return limited, nil
}

func (o *snapshotOptions) options(ctx context.Context, a *app) (snapshot.Options, error) {
	opt := snapshot.Options{
		Threads:          o.threads,
		ExcludeCaches:    o.excludeCaches,
		ExcludeIfPresent: o.excludePresent,
		OneFileSystem:    o.oneFileSystem,
		RespectNoDump:    o.respectNoDump,
		IgnoreInode:      o.ignoreInode,
		IgnoreCtime:      o.ignoreCtime,
		Recheck:          float64(o.recheck),
		NoResume:         o.noResume,
		Limits:           o.tripwire.limits(),
		SourceIsMount:    o.tripwire.sourceIsMount,
		Rehash:           float64(o.rehash),
		Retries:          o.retries,
		RetryWait:        o.retryWait,
		DryRun:           o.dryRun,
		RequireArchive:   o.requireArchive,
		AllowCopies:      o.allowCopies,
		AllowClockBack:   o.allowClockBack,
		Wait:             !a.clockStands,
		Now:              a.now,
	}
	if err := o.log.check(o.verbose, o.quiet); err != nil {
		return opt, err
	}
	if err := checkThreads(o.threads); err != nil {
		return opt, err
	}
	if o.retries < 0 || o.retryWait < 0 {
		return opt, wrongUsage("--retries and --retry-wait cannot be negative")
	}
	if err := checkLeafNames(o.excludePresent); err != nil {
		return opt, err
	}
	var err error
	opt.ExcludeLarger = int64(o.excludeLarger)
	opt.Exclude, err = o.patterns.matcher(ctx)
	return opt, err
}
