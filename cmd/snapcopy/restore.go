package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/exclude"
	"snapcopy/restore"
)

type restoreOptions struct {
	to      string
	inPlace bool
	swapDir string
	tar     tarOptions
	at      string

	exclude       []string
	overwrite     string
	delete        bool
	deleteUnsaved bool
	backupSuffix  string
	flags         bool
	verify        bool
	ignoreSpace   bool
	dryRun        bool

	threads int
	verbose bool
	quiet   bool
	json    bool
	instantOptions
}

// overwrites are the values of --overwrite.
var overwrites = map[string]restore.Overwrite{
	"never": restore.OverwriteNever, "changed": restore.OverwriteChanged, "always": restore.OverwriteAlways,
}

func restoreCommand(a *app) *cobra.Command {
	o := new(restoreOptions)
	c := command(a, &cobra.Command{
		Use:   "restore ARCHIVE[@SNAPSHOT] [PATH...]",
		Short: "Bring back a snapshot, or parts of it",
		Long: `Restore a snapshot, the latest if none is named: everything or each PATH, which may be a pattern with *, ? and **.

  --to DIR    into a folder: without PATH the snapshot's contents, otherwise each PATH under its own name, as cp does
  --in-place  to where it came from
  --tar       as a tar archive to stdout, for another machine
  --instant   mounted at a folder, at once and writable; --settle makes an ordinary folder of that

Everything is as it was in the source: types, owners, modes, times, extended attributes, ACLs, hard links, holes.
Contents are compared with their hashes on the way; what is damaged is never restored.

What exists and differs, folders as well, is left alone and listed as failed, unless --overwrite=changed (or always)
says otherwise; what is as in the snapshot is not written again. DIR itself, if it existed, keeps its own mode and owner
without that. --delete makes the restored folders an exact mirror, but for what the
snapshot left out or could not read: that has no copy, stays, and is listed. A restore that was interrupted goes on
when it is started again.

--swap DIR restores everything beside DIR and exchanges the two in one step; the old tree is kept beside it.
A DIR in which a file system is mounted is refused: that would be moved along.

` + tarHelp + instantHelp,
		Example: `  snapcopy restore /backup/documents@3d letters/draft.txt --to ~/restored
  snapcopy restore /backup/documents --at '2026-11-20 18:00' letters --in-place --overwrite=changed
  snapcopy restore /backup/site@latest~1 --swap /srv/site
  snapcopy restore /backup/site --tar | ssh root@web 'tar -xp --xattrs --xattrs-include="*" --acls -C /srv/site'
  snapcopy restore /backup/documents --instant /srv/documents
  snapcopy restore --settle /srv/documents`,
	}, o, mayBeDone, mayFail, mayBeIncomplete, mayFindDamage, mayLackSpace)
	completeFolder(c, "to")
	completeFolder(c, "swap")
	completeFlag(c, "overwrite", []string{"never", "changed", "always"})
	return settleTakesNoArchive(c, &o.instantOptions)
}

func (o *restoreOptions) AddFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.to, "to", "", "restore into `DIR`, which is made if it is missing")
	f.BoolVar(&o.inPlace, "in-place", false, "restore to where the snapshot was taken of")
	f.StringVar(&o.swapDir, "swap", "", "restore everything beside `DIR`, and then exchange the two in one step")
	o.tar.addFlags(f)
	o.instantOptions.AddFlags(f)
	f.StringVar(&o.at, "at", "", "restore the last snapshot at or before `TIME` (a date, a time or an age)")
	f.StringArrayVar(&o.exclude, "exclude", nil, "leave out what matches `PATTERN`, as in .gitignore (can be repeated)")
	f.StringVar(&o.overwrite, "overwrite", "never", "what exists and differs: `WHEN` is never, changed or always")
	f.BoolVar(&o.delete, "delete", false, "delete from the restored folders what the snapshot does not have")
	f.BoolVar(&o.deleteUnsaved, "delete-unsaved", false, "with --delete: also what the snapshot left out or could not read")
	f.StringVar(&o.backupSuffix, "backup-suffix", "", "keep what is replaced or deleted, with `SUFFIX` added to its name")
	f.BoolVar(&o.flags, "flags", false, "set file attributes (chattr) too: immutable, append-only, no dump and so on")
	f.BoolVar(&o.verify, "verify", false, "read every file back from the disk after it was written")
	f.BoolVar(&o.ignoreSpace, "ignore-space", false, "begin even if the target seems to have too little room")
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "say what would be done; change nothing")
	addThreads(f, &o.threads)
	f.BoolVarP(&o.verbose, "verbose", "v", false, "a line for each entry")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print errors only")
	f.BoolVar(&o.json, "json", false, "print the summary as a JSON object, and with -v one for each entry before it")
}

// Run restores.
func (o *restoreOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	if o.wanted() {
		return o.runInstant(ctx, a, args)
	}
	if err := o.check(args); err != nil {
		return err
	}
	place := args[0]
	if o.at != "" {
		place += "@" + o.at
	}
	s, err := a.open(place)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	paths, err := s.pathsMeant(ctx, args[1:])
	if err != nil {
		return err
	}
	opt, err := o.options()
	if err != nil {
		return err
	}
	source := s.catalog.Summary().Source
	_, err = checkPatterns(opt.Exclude, source, []string{source}, func(path string) bool {
		_, ok, err := s.catalog.Lookup(strings.Trim(path, "/"))
		return ok || err != nil
	})
	if err != nil {
		return err
	}
	if o.tar.tar {
		return o.runTar(ctx, a, s, paths, &opt)
	}
	lacks := s.lacks(paths, opt.Exclude)
	if o.delete && !o.deleteUnsaved {
		opt.Guard = s.guard()
	}

	var writeErr error
	if o.verbose || o.dryRun {
		opt.Item = func(i restore.Item) {
			if err := o.item(a, &i); writeErr == nil {
				writeErr = err
			}
		}
	}
	begin := time.Now()
	bar := startProgress(a, restoreMeter(opt.Progress), o.quiet)
	report, err := o.restore(ctx, a, s, paths, opt)
	bar.stop()
	if report != nil {
		o.failed(a, report)
		o.notDeleted(a, s, report)
		o.toldLacking(a, s, &lacks)
	}
	if err != nil {
		var space *restore.SpaceError
		switch {
		case errors.As(err, &space):
			return spaceError{space}
		case errors.Is(err, restore.ErrExchanged):
			if report.OldTree != "" {
				err = fmt.Errorf("%w; the old tree is in %s", err, report.OldTree)
			}
		case report != nil && !errors.Is(err, restore.ErrIncomplete):
			err = fmt.Errorf("%w; what was restored until then is left in %s, and the same command goes on from there",
				err, report.Target)
		}
		return err
	}
	if err := errors.Join(writeErr, o.summary(a, report, &lacks, time.Since(begin))); err != nil {
		return fmt.Errorf("everything was restored, but the output could not be written: %w", err)
	}
	switch {
	case report.Damaged > 0:
		return told{statusDamage}
	case report.FailedCount > 0 || report.UnsavedCount > 0:
		return told{statusIncomplete}
	}
	return nil
}

func (o *restoreOptions) restore(ctx context.Context, a *app, s *openSnapshot, paths []string,
	opt restore.Options) (*restore.Report, error) {
	from := restore.Source{Catalog: s.catalog, Dir: s.dir()}
	switch {
	case o.swapDir != "":
		return restore.Swap(ctx, from, o.swapDir, opt, a.now())
	case o.inPlace:
		return restore.Run(ctx, from, paths, s.catalog.Summary().Source, opt)
	}
	return restore.Run(ctx, from, paths, o.to, opt)
}

func (o *restoreOptions) options() (restore.Options, error) {
	opt := restore.Options{
		Threads: o.threads, Progress: new(restore.Progress), Exclude: exclude.New(),
		Overwrite: overwrites[o.overwrite], Delete: o.delete, DeleteUnsaved: o.deleteUnsaved, BackupSuffix: o.backupSuffix, InPlace: o.inPlace,
		Verify: o.verify, IgnoreSpace: o.ignoreSpace, DryRun: o.dryRun, Attrs: o.flags,
	}
	for _, p := range o.exclude {
		if err := opt.Exclude.Add(p, "--exclude", 0); err != nil {
			return opt, &usageError{err: err}
		}
	}
	return opt, nil
}

func (o *restoreOptions) check(args []string) error {
	places := 0
	for _, given := range []bool{o.to != "", o.inPlace, o.swapDir != "", o.tar.tar} {
		if given {
			places++
		}
	}
	_, known := overwrites[o.overwrite]
	switch {
	case places == 0:
		return wrongUsage("where to restore to is missing: --to DIR, --in-place, --swap DIR, --tar or --instant MOUNTPOINT")
	case places > 1:
		return wrongUsage("--to, --in-place, --swap and --tar exclude each other")
	case !known:
		return wrongUsage("--overwrite %s: there are never, changed and always", name(o.overwrite))
	case o.swapDir != "" && (len(args) > 1 || o.delete || o.dryRun || o.backupSuffix != "" || len(o.exclude) > 0):
		return wrongUsage("--swap restores a whole snapshot: it takes no PATH, --exclude, --delete, --backup-suffix or --dry-run")
	case o.deleteUnsaved && !o.delete:
		return wrongUsage("--delete-unsaved has a meaning with --delete only")
	case strings.Contains(o.backupSuffix, "/"):
		return wrongUsage("--backup-suffix %s: a name cannot have a slash", name(o.backupSuffix))
	case o.at != "" && strings.Contains(args[0], "@") && !isFolder(args[0]):
		return wrongUsage("--at and @SNAPSHOT exclude each other")
	case o.quiet && o.verbose:
		return wrongUsage("--quiet and --verbose exclude each other")
	}
	if err := o.checkTar(); err != nil {
		return err
	}
	return checkThreads(o.threads)
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// pathsMeant turns each PATH of the command line into those of the snapshot: what is no path there may be a pattern. The
// error names all that are neither.
func (s *openSnapshot) pathsMeant(ctx context.Context, args []string) ([]string, error) {
	var paths []string
	var missing []error
	for _, arg := range args {
		if _, _, err := s.find(arg); errors.Is(err, errNotInSnapshot) {
			found, err := restore.Glob(s.catalog, arg)
			if err != nil {
				return nil, err
			}
			if len(found) > 0 {
				paths = append(paths, found...)
				continue
			}
		}
		path, _, err := s.lookUp(ctx, arg)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, err)
		case err != nil:
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, errors.Join(missing...)
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
		return a.printJSON(restoredItem(i))
	}
	if i.Action == restore.Failed {
		return nil // told of at the end
	}
	return a.printf("%-8s  %s\n", i.Action, entryName(i.Path, i.Type))
}

func restoredItem(i *restore.Item) restoredObject {
	v := restoredObject{i.Action, i.Path, raw(i.Path), typeNames[i.Type], ""}
	if i.Err != nil {
		v.Error = i.Err.Error()
	}
	return v
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
		text := name(cmp.Or(f.Path, ".")) + ": " + printable(f.Err.Error())
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
	*lackingInSnapshot
	TargetRaw []byte `json:"target_base64,omitempty"`
}

func (o *restoreOptions) summary(a *app, r *restore.Report, lacks *lackingInSnapshot, took time.Duration) error {
	for _, path := range r.Spared {
		a.term.errorf("Nothing was deleted in %s: another file system is mounted there now, or it is the archive.", name(path))
	}
	o.leftAsTheyAre(a, r)
	if !o.quiet {
		if r.Resumed {
			a.term.errorf("Went on with a restore that was cut short.")
		}
		if text := notRestored(&r.NotHeld); text != "" {
			who := whoMayNot("The file system", r.Lacking, r.UserNamespace)
			a.term.errorf("%s cannot set everything there. Not restored: %s.", who, text)
		}
	}
	switch {
	case o.json:
		return a.printJSON(restoreReport{r, lacks, raw(r.Target)})
	case o.quiet:
		return nil
	}
	verb := "Restored"
	if r.DryRun {
		verb = "Would restore"
	}
	text := fmt.Sprintf(verb+" %s and %s from %s to %s in %s", counted(r.Files, "file", "files"),
		counted(r.Dirs, "folder", "folders"), r.Snapshot, name(r.Target), duration(took))
	text += ": " + size(r.BytesWritten) + " written"
	if r.BytesCloned > 0 {
		text += ", " + size(r.BytesCloned) + " shared with the archive by reflinks"
	}
	if r.Linked > 0 {
		text += ", " + counted(r.Linked, "hard link", "hard links")
	}
	for _, c := range []struct {
		n    uint64
		what string
	}{{r.Replaced, "replaced"}, {r.Metadata, "with other metadata only"}, {r.Unchanged, "unchanged"},
		{r.Deleted, "deleted"}, {r.KeptAside, "kept aside"}, {r.Excluded, "left out"}} {
		if c.n > 0 {
			text += fmt.Sprintf(", %s %s", count(c.n), c.what)
		}
	}
	if r.BytesVerified > 0 {
		text += ", " + size(r.BytesVerified) + " read back"
	}
	if err := a.printf("%s.\n", text); err != nil {
		return err
	}
	if r.OldTree != "" {
		return a.printf("The old tree is kept in %s; remove it when nobody needs it.\n", name(r.OldTree))
	}
	return nil
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
