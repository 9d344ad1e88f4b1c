// The command restore is in three files: its flags and its steps are here, its output in restoretell.go, remarks about what a
// snapshot lacks in restorelacks.go.

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/outcome"
	"snapcopy/restore"
)

type restoreOptions struct {
	wanted
	telling
	progress progressFlag
	to       string
	inPlace  bool
	swapDir  string

	overwrite     string
	delete        bool
	deleteUnsaved bool
	backupSuffix  string
	flags         bool
	verify        bool
	ignoreSpace   bool
	dryRun        bool
	threads       int
}

// overwrites are the values of --overwrite.
var overwrites = map[string]restore.Overwrite{
	"never": restore.OverwriteNever, "changed": restore.OverwriteChanged, "always": restore.OverwriteAlways,
}

func restoreCommand(a *app) *cobra.Command {
	c := command(a, &cobra.Command{
		Use:   "restore ARCHIVE[@SNAPSHOT] [PATH...]",
		Short: "Bring back a snapshot, or parts of it",
		Long: `Restore a snapshot, the latest if none is named: everything, or each PATH. A PATH that the snapshot does not
have is a pattern if it contains * or ?, as in .gitignore files: '*.txt' finds names in all folders, '/*.txt'
only at the top of the snapshot.

  --to DIR    into a folder: without PATH the snapshot's contents, otherwise each PATH under its own name, as cp does
  --in-place  to the original location
  --swap DIR  everything beside DIR, and then the two are exchanged in one step; the old tree is kept beside it

Everything is as it was in the source: types, owners, modes, times, extended attributes, ACLs, hard links,
holes. Contents are compared with their hashes on the way; a damaged file is never restored.

A file or folder that exists and differs from the snapshot is left alone and listed as failed, unless
--overwrite=changed (or always) is given; an equal entry is not written again. Without that flag, a DIR that
existed keeps its own mode and owner. --delete makes the restored folders an exact mirror, except for entries
that the snapshot left out or could not read: these have no copy in the archive, stay, and are listed. A restore
that was interrupted goes on when the same command is given again.

--swap refuses a DIR in which a file system is mounted, because it would be moved along with the old tree.

"snapcopy tar" writes a snapshot as a stream for another machine; "snapcopy instant" makes one usable at once.`,
		Example: `  snapcopy restore /backup/documents@3d letters/draft.txt --to ~/restored
  snapcopy restore /backup/documents --at '2026-11-20 18:00' letters --in-place --overwrite=changed
  snapcopy restore /backup/site@latest~1 --swap /srv/site`,
	}, new(restoreOptions), mayBeDone, mayFail, mayBeIncomplete, mayFindDamage, mayLackSpace)
	completeFolder(c, "to")
	completeFolder(c, "swap")
	completeFlag(c, "overwrite", []string{"never", "changed", "always"})
	return c
}

func (o *restoreOptions) AddFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.to, "to", "", "restore into `DIR`, which is made if it is missing")
	f.BoolVar(&o.inPlace, "in-place", false, "restore to the original location")
	f.StringVar(&o.swapDir, "swap", "", "restore everything beside `DIR`, and then exchange the two in one step")
	o.wanted.addFlags(f)
	f.StringVar(&o.overwrite, "overwrite", "never", "replace existing entries: `WHEN` is never, changed (if different), always")
	f.BoolVar(&o.delete, "delete", false, "delete entries of the restored folders that the snapshot does not have")
	f.BoolVar(&o.deleteUnsaved, "delete-unsaved", false, "with --delete: also entries that the snapshot left out or could not read")
	f.StringVar(&o.backupSuffix, "backup-suffix", "", "keep entries that are replaced or deleted, with `SUFFIX` added to their names")
	f.BoolVar(&o.flags, "flags", false, "set file attributes (chattr) too: immutable, append-only, no dump and so on")
	f.BoolVar(&o.verify, "verify", false, "read every file back from the disk after it was written")
	f.BoolVar(&o.ignoreSpace, "ignore-space", false, "begin even if the target seems to have too little room")
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "say what would be done; change nothing")
	addThreads(f, &o.threads)
	o.progress.addTo(f)
	o.telling.addFlags(f, "print the summary as a JSON object, and with -v one for each entry before it")
}

// Run restores the snapshot or the paths.
func (o *restoreOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	if err := o.check(args); err != nil {
		return err
	}
	w, err := o.find(ctx, a, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	a.warnOfSuspect(w.openSnapshot)
	lacks := w.lacks(w.paths, w.without)
	opt := o.options(w)

	var writeErr error
	if o.verbose || o.dryRun && (o.json || !o.quiet) {
		opt.Item = func(i outcome.Item) {
			if err := o.item(a, &i); writeErr == nil {
				writeErr = err
			}
		}
	}
	begin := time.Now()
	bar := startProgress(a, restoreMeter(opt.Progress), o.progress.quietly(o.quiet))
	report, err := o.restore(ctx, a, w, opt)
	bar.stop()
	if report != nil {
		o.failed(a, report.Failed, report.FailedCount)
		o.notDeleted(a, w.openSnapshot, report)
		o.toldLacking(a, w.openSnapshot, &lacks)
	}
	if err != nil {
		return endedEarly(err, report)
	}
	if err := errors.Join(writeErr, o.summary(a, report, &lacks, time.Since(begin))); err != nil {
		return fmt.Errorf("everything was restored, but the output could not be written: %w", err)
	}
	switch {
	case report.Damaged > 0:
		a.term.errorf("Hint: %s.", repairHint(w.openSnapshot.archive.Path))
		return told{statusDamage}
	case report.FailedCount > 0 || report.UnsavedCount > 0:
		return told{statusIncomplete}
	}
	return nil
}

// endedEarly describes what a restore that ended early has left. report is nil if it had not begun.
func endedEarly(err error, report *restore.Report) error {
	var space *restore.SpaceError
	switch {
	case errors.As(err, &space):
		return spaceError{space}
	case errors.Is(err, restore.ErrExchanged):
		if report.OldTree != "" {
			err = fmt.Errorf("%w; the old tree is in %s", err, report.OldTree)
		}
	case report != nil && !errors.Is(err, restore.ErrIncomplete):
		err = fmt.Errorf("%w; the entries restored until then are left in %s, and the same command goes on from there",
			err, report.Target)
	}
	return err
}

func (o *restoreOptions) restore(ctx context.Context, a *app, w *request, opt restore.Options) (*restore.Report, error) {
	switch {
	case o.swapDir != "":
		return restore.Swap(ctx, *w.OpenSnapshot, o.swapDir, opt, a.now())
	case o.inPlace:
		return restore.Run(ctx, *w.OpenSnapshot, w.paths, w.Catalog.Summary().Source, opt)
	}
	return restore.Run(ctx, *w.OpenSnapshot, w.paths, o.to, opt)
}

func (o *restoreOptions) options(w *request) restore.Options {
	opt := restore.Options{
		Threads: o.threads, Progress: new(outcome.RestoreProgress), Exclude: w.without,
		Overwrite: overwrites[o.overwrite], Delete: o.delete, DeleteUnsaved: o.deleteUnsaved, BackupSuffix: o.backupSuffix, InPlace: o.inPlace,
		Verify: o.verify, IgnoreSpace: o.ignoreSpace, DryRun: o.dryRun, Attrs: o.flags,
	}
	if o.delete && !o.deleteUnsaved {
		opt.Guard = w.guard()
	}
	return opt
}

func (o *restoreOptions) check(args []string) error {
	if err := o.checkTarget(len(args) > 1); err != nil {
		return err
	}
	_, known := overwrites[o.overwrite]
	switch {
	case !known:
		return wrongUsage("--overwrite %s: WHEN is never, changed or always", name(o.overwrite))
	case o.deleteUnsaved && !o.delete:
		return wrongUsage("--delete-unsaved goes with --delete")
	case strings.Contains(o.backupSuffix, "/"):
		return wrongUsage("--backup-suffix %s: a name cannot have a slash", name(o.backupSuffix))
	}
	return errors.Join(o.telling.check(), checkThreads(o.threads), checkLocal(o.to, o.swapDir))
}

// checkTarget makes sure that there is exactly one target, and that the other flags go with it.
func (o *restoreOptions) checkTarget(parts bool) error {
	given := 0
	for _, is := range []bool{o.to != "", o.inPlace, o.swapDir != ""} {
		if is {
			given++
		}
	}
	switch {
	case given == 0:
		return wrongUsage("the target is missing: --to DIR, --in-place or --swap DIR")
	case given > 1:
		return wrongUsage("--to, --in-place and --swap exclude each other")
	case o.swapDir != "" && (parts || o.delete || o.dryRun || o.backupSuffix != "" || o.patterns != nil):
		return wrongUsage("--swap restores a whole snapshot: it takes no PATH, --exclude, --exclude-from, --iexclude, " +
			"--iexclude-from, --delete, --backup-suffix or --dry-run")
	}
	return nil
}
