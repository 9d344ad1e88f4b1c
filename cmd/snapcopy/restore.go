package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/restore"
)

type restoreOptions struct {
	to      string
	flags   bool
	threads int
	verbose bool
	quiet   bool
	json    bool
}

func restoreCommand(a *app) *cobra.Command {
	c := command(a, &cobra.Command{
		Use:   "restore ARCHIVE[@SNAPSHOT] [PATH...] --to DIR",
		Short: "Bring back a snapshot, or parts of it",
		Long: `Restore a snapshot, the latest if none is named, into the folder DIR: without PATH its contents, otherwise each
PATH under its own name, as cp does. Everything is as it was in the source: types, owners, modes, times, extended
attributes, ACLs, hard links, holes. Contents are compared with their hashes on the way; what is damaged is never
restored. What exists in DIR is never changed: a name that is taken is told of as failed.`,
		Example: `  snapcopy restore /backup/documents@3d letters/draft.txt --to ~/restored
  snapcopy restore '/backup/documents@2026-11-20 18:00' --to /srv/documents`,
	}, new(restoreOptions), mayBeDone, mayFail, mayBeIncomplete, mayFindDamage, mayLackSpace)
	completeFolder(c, "to")
	return c
}

func (o *restoreOptions) AddFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.to, "to", "", "restore into `DIR`, which is made if it is missing")
	f.BoolVar(&o.flags, "flags", false, "set file attributes (chattr) too: immutable, append-only, no dump and so on")
	addThreads(f, &o.threads)
	f.BoolVarP(&o.verbose, "verbose", "v", false, "a line for each entry")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print errors only")
	f.BoolVar(&o.json, "json", false, "print the summary as a JSON object, and with -v one for each entry before it")
}

// Run restores.
func (o *restoreOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	s, err := a.open(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	paths, err := s.pathsMeant(args[1:])
	if err != nil {
		return err
	}

	var writeErr error
	opt := restore.Options{Threads: o.threads, Attrs: o.flags, Progress: new(restore.Progress)}
	if o.verbose {
		opt.Item = func(i restore.Item) {
			if err := o.item(a, &i); writeErr == nil {
				writeErr = err
			}
		}
	}
	begin := time.Now()
	bar := startProgress(a, restoreMeter(opt.Progress), o.quiet)
	report, err := restore.Run(ctx, restore.Source{Catalog: s.catalog, Dir: s.dir()}, paths, o.to, opt)
	bar.stop()
	if report != nil {
		o.failed(a, report)
	}
	if err != nil {
		if report != nil {
			err = fmt.Errorf("%w; what was restored until then is left in %s", err, report.Target)
		}
		return err
	}
	if err := errors.Join(writeErr, o.summary(a, report, time.Since(begin))); err != nil {
		return fmt.Errorf("everything was restored, but the output could not be written: %w", err)
	}
	switch {
	case report.Damaged > 0:
		return told{statusDamage}
	case report.FailedCount > 0:
		return told{statusIncomplete}
	}
	return nil
}

func (o *restoreOptions) check() error {
	if o.to == "" {
		return wrongUsage("--to DIR is missing: where to restore to")
	}
	if o.quiet && o.verbose {
		return wrongUsage("--quiet and --verbose exclude each other")
	}
	return checkThreads(o.threads)
}

// pathsMeant turns each PATH of the command line into one of the snapshot. One that is in neither form it may have is
// passed on, for the restore to say what there is instead.
func (s *openSnapshot) pathsMeant(args []string) ([]string, error) {
	var paths []string
	for _, arg := range args {
		path, _, err := s.find(arg)
		if errors.Is(err, errNotInSnapshot) {
			path, err = strings.TrimSuffix(arg, "/"), nil
		}
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func restoreMeter(p *restore.Progress) meter {
	return meter{
		phase: func() string { return "Restoring" },
		files: p.Files.Load, bytes: p.Bytes.Load,
		expectFiles: p.ExpectFiles.Load, expectBytes: p.ExpectBytes.Load,
	}
}

type restoredObject struct {
	Action  restore.Action `json:"action"`
	Path    string         `json:"path"`
	PathRaw []byte         `json:"path_base64,omitempty"`
	Type    string         `json:"type"`
	Error   string         `json:"error,omitempty"`
}

func (o *restoreOptions) item(a *app, i *restore.Item) error {
	if o.json {
		v := restoredObject{i.Action, i.Path, raw(i.Path), typeNames[i.Type], ""}
		if i.Err != nil {
			v.Error = i.Err.Error()
		}
		return a.printJSON(v)
	}
	if i.Action == restore.Failed {
		return nil // told of at the end
	}
	return a.printf("%-8s  %s\n", i.Action, entryName(i.Path, i.Type))
}

// failed names what could not be restored.
func (o *restoreOptions) failed(a *app, r *restore.Report) {
	if r.FailedCount == 0 {
		return
	}
	a.term.errorf("%s could not be restored:", counted(r.FailedCount, "entry", "entries"))
	shown := r.Failed
	if !o.verbose && len(shown) > maxFailedShown {
		shown = shown[:maxFailedShown]
	}
	named := uint64(0)
	for _, f := range shown {
		below := f.Below.Files + f.Below.Dirs
		named += 1 + below
		text := name(f.Path) + ": " + printable(f.Err.Error())
		if below > 0 {
			text += ", with " + counted(below, "entry", "entries") + " below it"
		}
		a.term.errorf("  %s", text)
	}
	if more := r.FailedCount - named; more > 0 {
		hint := ""
		if !o.verbose {
			hint = "; --verbose names more"
		}
		a.term.errorf("  ... and %s more%s", count(more), hint)
	}
}

type restoreReport struct {
	*restore.Report
	TargetRaw []byte `json:"target_base64,omitempty"`
}

func (o *restoreOptions) summary(a *app, r *restore.Report, took time.Duration) error {
	if !o.quiet {
		if text := notRestored(&r.NotHeld); text != "" {
			a.term.errorf("%s cannot set everything there. Not restored: %s.", whoMayNot("The file system"), text)
		}
	}
	switch {
	case o.json:
		return a.printJSON(restoreReport{r, raw(r.Target)})
	case o.quiet:
		return nil
	}
	text := fmt.Sprintf("Restored %s and %s from %s to %s in %s", counted(r.Files, "file", "files"),
		counted(r.Dirs, "folder", "folders"), r.Snapshot, name(r.Target), duration(took))
	text += ": " + size(r.BytesWritten) + " written"
	if r.BytesCloned > 0 {
		text += ", " + size(r.BytesCloned) + " shared with the archive by reflinks"
	}
	if r.Linked > 0 {
		text += ", " + counted(r.Linked, "hard link", "hard links")
	}
	return a.printf("%s.\n", text)
}

// notRestored says what restored entries lack.
func notRestored(n *restore.NotHeld) string {
	return join(
		lacking(n.Owners, "owners of"),
		lacking(n.Modes, "modes of"),
		lacking(n.Times, "times of"),
		lacking(n.Xattrs, "extended attributes of"),
		lacking(n.Links, "hard links of"),
		lacking(n.Attrs, "file attributes of"),
		lacking(n.Space, "preallocated space of"),
	)
}
