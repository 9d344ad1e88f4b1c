package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
)

type forgetPathOptions struct {
	dryRun bool
	yes    bool
	json   bool
}

func forgetPathCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "forget-path ARCHIVE PATH",
		Short: "Take a file or folder out of all snapshots",
		Long: `Take PATH, and all below it, out of every snapshot of ARCHIVE: out of the folders, the catalogs and the run
reports. The command is for content that must not be kept, such as a key or somebody's private files. It cannot
be undone. Nothing else in a snapshot changes.

Other names under which the same content stays are listed. Exclude PATH from now on, or the next snapshot has it
again. Other copies are not touched: the source, restored files, other archives. The blocks of the files are
free afterwards, but not overwritten.

Without a terminal to ask on, --yes is needed.`,
		Example: `  snapcopy forget-path --dry-run /backup/documents letters/key.pem
  snapcopy forget-path /backup/documents ~/Documents/private`,
	}, new(forgetPathOptions), mayBeDone, mayFail, mayKeepPath, mayFindDamage, mayBeLocked, mayLackSpace)
}

var mayKeepPath = status{statusIncomplete, "done, but snapshots that are in use keep it"}

func (o *forgetPathOptions) AddFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "say what would be forgotten; change nothing")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
}

// Run forgets the path.
func (o *forgetPathOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	arch, err := a.openToChange(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, arch.Close()) }()
	if !o.dryRun && !o.yes && !a.canAsk() {
		return wrongUsage("there is no terminal to ask on: --yes says that %s is to be forgotten for good", name(args[1]))
	}
	return o.forget(ctx, a, arch, args[1])
}

func (o *forgetPathOptions) forget(ctx context.Context, a *app, arch *archive.Archive, arg string) error {
	meaning := archive.Meaning{Paths: func(source string) ([]string, error) { return pathsToForget(arg, source) }}
	earlier, stopEarlier := a.earlier(false, progressFlag{})
	meaning.Earlier = earlier
	meaning.Begun = func(path string) {
		a.term.errorf("Note: forgetting %s was begun and cut short. Without --dry-run that is finished first.", name(path))
	}
	if !o.yes {
		meaning.Confirm = func(would *archive.ForgetReport) error { return o.confirm(ctx, a, would) }
	}
	report, err := arch.ForgetMeant(ctx, meaning, archive.ForgetOptions{DryRun: o.dryRun, Elsewhere: o.elsewhere(a), Now: a.now})
	stopEarlier()
	if err != nil {
		if report != nil && report.Unfinished != "" {
			a.term.alertf("Forgetting %s is not finished. The same command goes on with it, and so does the next snapshot, prune or remove.",
				name(report.Unfinished))
		}
		return err
	}
	if report == nil { // the same command was interrupted, and its work has just been finished
		return nil
	}
	return o.tell(a, report)
}

// pathsToForget lists the possible meanings of a PATH, which must not be a whole snapshot.
func pathsToForget(arg, source string) ([]string, error) {
	paths, err := pathCandidates(arg, source)
	if err != nil {
		return nil, err
	}
	paths = slices.DeleteFunc(paths, func(path string) bool { return path == "" })
	if len(paths) == 0 {
		return nil, wrongUsage("PATH %s is a whole snapshot, which `snapcopy remove` removes", name(arg))
	}
	return paths, nil
}

// confirm shows what would be forgotten, and asks.
func (o *forgetPathOptions) confirm(ctx context.Context, a *app, would *archive.ForgetReport) error {
	if err := o.tell(a, would); err != nil && !errors.As(err, new(told)) {
		return err
	}
	if len(would.Forgotten) == 0 {
		return toldIncomplete
	}
	return a.ask(ctx, "Forget "+name(would.Path)+" in "+counted(uint64(len(would.Forgotten)), "snapshot", "snapshots")+
		" for good?")
}

func (o *forgetPathOptions) elsewhere(a *app) func(archive.Elsewhere) error {
	return func(e archive.Elsewhere) error {
		if o.json {
			return a.printJSON("elsewhere", &elsewhereLine{e.Path, e.Snapshot, e.Size, e.Linked})
		}
		return a.printf("Its content stays as %s, in %s and maybe before.\n", name(e.Path), e.Snapshot)
	}
}

// searched reports whether the report already lists the other names of the content: on a terminal, the question listed
// them.
func (o *forgetPathOptions) searched(r *archive.ForgetReport) bool { return r.DryRun || o.yes }

func (o *forgetPathOptions) tell(a *app, r *archive.ForgetReport) error {
	event, word := "forgotten", "Forgotten"
	if r.DryRun {
		event, word = "would forget", "Would forget"
	}
	for _, f := range r.Forgotten {
		var err error
		if o.json {
			err = a.printJSON("forgotten", &forgottenLine{Event: event, Path: r.Path, Snapshot: f.Snapshot,
				Files: f.Below.Files, Dirs: f.Below.Dirs, Bytes: f.Below.Bytes})
		} else {
			err = a.printf("%s in %s: %s, %s\n", word, f.Snapshot, counted(f.Below.Files, "file", "files"), size(f.Below.Bytes))
		}
		if err != nil {
			return err
		}
	}
	if r.Elsewhere == 0 && !o.json && o.searched(r) {
		if err := a.printf("Its content is nowhere else in the archive.\n"); err != nil {
			return err
		}
	}
	for _, s := range r.Skipped {
		if o.json {
			if err := a.printJSON("forgotten", &forgottenLine{Event: "kept", Path: r.Path, Snapshot: s.Name,
				Reason: skippedText(&s)}); err != nil {
				return err
			}
		}
		a.term.alertf("%s", printable(fmt.Sprintf("%s keeps it: %s.", s.Name, skippedText(&s))))
	}
	if len(r.Skipped) > 0 {
		return toldIncomplete
	}
	return nil
}
