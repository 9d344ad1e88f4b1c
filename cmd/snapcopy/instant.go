package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/fsat"
	"snapcopy/restore"
	"snapcopy/snapshot"
)

// instantOptions are the two further ways of the restore command: a tree that is there at once, and making it last.
type instantOptions struct {
	instant string
	settle  string
}

const instantHelp = `

--instant MOUNTPOINT makes the whole snapshot usable at once, however large it is: it is mounted at MOUNTPOINT, a new
or empty folder, and can be changed there. The archive is not changed; what is changed goes into a folder beside it,
.NAME.snapcopy-instant. It needs Linux 5.8, the right to mount (root, or a user namespace with a mount namespace, as
` + "`unshare -Urm`" + ` makes it), and a target file system with extended attributes. Contents are not checked at that time,
and the archive has to stay where it is.
--settle MOUNTPOINT makes an ordinary folder of that, while it is used: it copies what is in the archive only, checks
it, keeps every change, and at the end puts the folder into its place, for which nobody may use it for a moment. It can
be interrupted and started again at any time. After a reboot nothing is mounted, and nothing is lost: --instant with
the same snapshot mounts it again, with the changes; so does --settle, which then goes on.`

func (o *instantOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.instant, "instant", "", "mount the snapshot at `MOUNTPOINT`, writable, at once")
	f.StringVar(&o.settle, "settle", "", "make an ordinary folder of what --instant has mounted at `MOUNTPOINT`")
}

func (o *instantOptions) wanted() bool { return o.instant != "" || o.settle != "" }

// settleTakesNoArchive lets --settle be used without the arguments that the command needs otherwise, and keeps both flags
// from being used with those that have no meaning then.
func settleTakesNoArchive(c *cobra.Command, o *instantOptions) *cobra.Command {
	check := c.Args
	c.Args = func(cmd *cobra.Command, args []string) error {
		for flag, goesWith := range map[string][]string{
			"instant": {"instant", "at", "verbose", "quiet", "json", "help"},
			"settle":  {"settle", "threads", "verbose", "quiet", "json", "help"},
		} {
			if err := checkAlone(cmd, flag, goesWith); err != nil {
				return &usageError{c.CommandPath(), err}
			}
		}
		switch {
		case o.settle == "":
			return check(cmd, args)
		case len(args) > 0:
			return &usageError{c.CommandPath(), fmt.Errorf("--settle takes the mountpoint only, not %s", name(args[0]))}
		}
		return nil
	}
	for _, flag := range []string{"instant", "settle"} {
		completeFolder(c, flag)
	}
	return c
}

// checkAlone makes sure of a flag, if it is given, that it has a value and that all others given go with it.
func checkAlone(c *cobra.Command, flag string, goesWith []string) (err error) {
	if !c.Flags().Changed(flag) {
		return nil
	}
	if c.Flags().Lookup(flag).Value.String() == "" {
		return fmt.Errorf("--%s is empty; is a variable in the script unset?", flag)
	}
	c.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(goesWith, f.Name) {
			err = fmt.Errorf("--%s and --%s exclude each other", flag, f.Name)
		}
	})
	return err
}

// runInstant does what --instant or --settle asks for.
func (o *restoreOptions) runInstant(ctx context.Context, a *app, args []string) error {
	if o.quiet && o.verbose {
		return wrongUsage("--quiet and --verbose exclude each other")
	}
	if o.settle != "" {
		if err := checkThreads(o.threads); err != nil {
			return err
		}
		return o.runSettle(ctx, a)
	}
	place := args[0]
	switch {
	case len(args) > 1:
		return wrongUsage("--instant mounts a whole snapshot, not %s", name(args[1]))
	case o.at != "" && strings.Contains(place, "@") && !isFolder(place):
		return wrongUsage("--at and @SNAPSHOT exclude each other")
	case o.at != "":
		place += "@" + o.at
	}
	return o.mountInstant(ctx, a, place)
}

func (o *restoreOptions) mountInstant(ctx context.Context, a *app, place string) (err error) {
	begin := time.Now()
	s, err := a.open(place)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if s.archive.Info.ID == "" { // the tree remembers it
		lock, err := s.archive.Lock()
		if err != nil {
			return err
		}
		if err := lock.Unlock(); err != nil {
			return err
		}
	}
	old, oldErr := restore.ReadInstant(o.instant)
	if errors.Is(oldErr, fsat.ErrNoProc) { // nothing can be mounted, and a note would stay that the snapshot is needed
		return oldErr
	}
	reader, noted, err := o.noteReader(a, s)
	if err != nil {
		return err
	}
	report, err := restore.MakeInstant(ctx, restore.Source{Catalog: s.catalog, Dir: s.dir()}, o.instant,
		restore.InstantOptions{ArchiveID: s.archive.Info.ID, Now: a.now})
	if err != nil {
		left, leftErr := restore.ReadInstant(o.instant)
		ours := leftErr == nil && left.Snapshot == s.Name && left.ArchiveID == s.archive.Info.ID
		if noted && !ours && (leftErr == nil || errors.Is(leftErr, restore.ErrNotInstant)) {
			err = errors.Join(err, s.archive.RemoveReader(reader))
		}
		return err
	}
	if oldErr == nil && old.Archive != s.archive.Path && !o.quiet {
		a.term.errorf("The archive was in %s before.", name(old.Archive))
	}
	return o.toldInstant(a, s, report, time.Since(begin))
}

// noteReader protects the snapshot from being removed, as far as the archive can be written to.
func (o *restoreOptions) noteReader(a *app, s *openSnapshot) (r snapshot.Reader, noted bool, err error) {
	where, err := restore.InstantPath(o.instant)
	if err != nil {
		return r, false, err
	}
	r = snapshot.NewReader(s.Name, where, a.now())
	_, err = s.archive.AddReader(r)
	if err == nil {
		return r, true, nil
	}
	if !fsat.IsRefused(err) && !fsat.IsReadOnly(err) {
		return r, false, err
	}
	a.term.errorf("The archive cannot be written to (%s): it has no note that snapshot %s is needed. "+
		"Do not remove that before it is settled.", printable(err.Error()), s.Name)
	return r, false, nil
}

func (o *restoreOptions) toldInstant(a *app, s *openSnapshot, r *restore.InstantReport, took time.Duration) error {
	lacks := s.lacks(nil, nil)
	o.toldLacking(a, s, &lacks)
	if text := notRestored(&r.NotHeld); text != "" && !o.quiet {
		who := whoMayNot("The file system", r.Lacking, r.UserNamespace)
		a.term.errorf("%s cannot set everything there. Not restored: %s.", who, text)
	}
	switch {
	case o.json:
		return a.printJSON(struct {
			*restore.InstantReport
			MountpointRaw []byte `json:"mountpoint_base64,omitempty"`
		}{r, raw(r.Mountpoint)})
	case o.quiet:
		return nil
	}
	below := s.catalog.Root().Below
	text := fmt.Sprintf("Snapshot %s is at %s, after %.2f s: %s in %s, %s.\n", r.Snapshot, name(r.Mountpoint),
		took.Seconds(), counted(below.Files, "file", "files"), counted(below.Dirs+1, "folder", "folders"),
		size(below.Bytes))
	if r.Resumed {
		text += "The changes that were made there before are there again.\n"
	}
	if r.Mended > 0 {
		text += counted(r.Mended, "entry", "entries") + " made at once: hard links, or what the archive could not hold.\n"
	}
	text += "It can be changed; the changes are kept in " + name(r.Folder) + ", the archive stays as it is.\n"
	if r.NoRename {
		text += "Folders of the snapshot cannot be renamed there by rename(2) alone; mv copies them.\n"
	}
	text += "Contents are not checked yet. To have them checked and an ordinary folder made of it:\n" +
		"  snapcopy restore --settle " + name(r.Mountpoint) + "\n" +
		"Until then the archive is needed. After a reboot, repeat this command, or settle.\n"
	return a.printf("%s", text)
}

func (o *restoreOptions) runSettle(ctx context.Context, a *app) (err error) {
	state, err := restore.ReadInstant(o.settle)
	if err != nil {
		return err
	}
	var from restore.Source
	var archive *snapshot.Archive
	if state.NeedsArchive {
		s, err := a.openSettled(&state)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		from, archive = restore.Source{Catalog: s.catalog, Dir: s.dir()}, s.archive
	} else if archive, err = a.openArchive(state.Archive); err == nil {
		defer func() { err = errors.Join(err, archive.Close()) }()
	} else {
		archive = nil // it is not needed any more, only its note stays
	}
	opt := restore.SettleOptions{Threads: o.threads, Progress: new(restore.Progress)}
	opt.Released = func() error { return o.forgetReader(a, archive, &state) }
	begin := time.Now()
	meter := restoreMeter(opt.Progress)
	meter.phase = func() string { return "Settling" }
	bar := startProgress(a, meter, o.quiet)
	report, err := restore.Settle(ctx, from, o.settle, opt)
	bar.stop()
	return o.toldSettled(a, report, err, time.Since(begin))
}

// openSettled opens the snapshot that a mountpoint was made from.
func (a *app) openSettled(state *restore.InstantState) (*openSnapshot, error) {
	archive, err := a.openArchive(state.Archive)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errArchiveAway, err)
	}
	if archive.Info.ID != state.ArchiveID {
		return nil, errors.Join(fmt.Errorf("%w: another one is in %s", errArchiveAway, state.Archive), archive.Close())
	}
	s, err := a.openIn(archive, state.Snapshot)
	if err != nil {
		return nil, errors.Join(err, archive.Close())
	}
	return s, nil
}

// errArchiveAway is returned by --settle if the archive is not where it was.
var errArchiveAway = errors.New("the archive is not where it was")

// forgetReader removes the note that the snapshot is needed.
func (o *restoreOptions) forgetReader(a *app, archive *snapshot.Archive, state *restore.InstantState) error {
	r := snapshot.NewReader(state.Snapshot, state.Mountpoint, a.now())
	if archive != nil && archive.Info.ID == state.ArchiveID {
		err := archive.RemoveReader(r)
		if err == nil || !fsat.IsRefused(err) && !fsat.IsReadOnly(err) {
			return err
		}
	}
	a.term.errorf("The archive is away or cannot be written to: a note that snapshot %s is needed may still be there.",
		r.Snapshot)
	return nil
}

// toldSettled tells what came of it.
func (o *restoreOptions) toldSettled(a *app, r *restore.SettleReport, err error, took time.Duration) error {
	var busy *restore.BusyError
	if errors.As(err, &busy) {
		a.term.errorf("Everything is copied, but %s is in use and cannot be put into its place:", name(busy.Mountpoint))
		for _, u := range busy.Users {
			a.term.errorf("  %s", printable(u))
		}
		if len(busy.Users) == 0 {
			a.term.errorf("  nobody that this user can see")
		}
	}
	if r == nil {
		return err
	}
	if r.FailedCount > 0 {
		o.failed(a, &restore.Report{Failed: r.Failed, FailedCount: r.FailedCount})
		a.term.errorf("%s stays mounted. Remove or replace them there and settle again.", name(r.Mountpoint))
	}
	if err != nil {
		if busy == nil {
			a.term.errorf("Nothing is lost: `snapcopy restore --settle %s` goes on from here.", name(r.Mountpoint))
		}
		return err
	}
	if len(r.Damaged) > 0 {
		a.term.errorf("%s damaged; the tree has what is there of %s, as it is:",
			counted(uint64(len(r.Damaged)), "entry of the archive is", "entries of the archive are"),
			map[bool]string{true: "it", false: "them"}[len(r.Damaged) == 1])
		for i, path := range r.Damaged {
			if i == maxFailedShown && !o.verbose {
				a.term.errorf("  ... and %s more; --json names all", count(uint64(len(r.Damaged)-i)))
				break
			}
			a.term.errorf("  %s", name(path))
		}
	}
	if err := o.printSettled(a, r, took); err != nil {
		return fmt.Errorf("the output could not be written: %w", err)
	}
	switch {
	case r.FailedCount > 0:
		return told{statusIncomplete}
	case len(r.Damaged) > 0:
		return told{statusDamage}
	}
	return nil
}

func (o *restoreOptions) printSettled(a *app, r *restore.SettleReport, took time.Duration) error {
	switch {
	case o.json:
		return a.printJSON(struct {
			*restore.SettleReport
			MountpointRaw []byte `json:"mountpoint_base64,omitempty"`
		}{r, raw(r.Mountpoint)})
	case o.quiet || !r.Settled:
		return nil
	}
	parts := []string{counted(r.Copied, "entry", "entries") + " copied", size(r.BytesChecked) + " checked"}
	if r.Changed > 0 {
		parts = append(parts, counted(r.Changed, "file", "files")+" changed before")
	}
	return a.printf("Settled %s in %s: %s.\nIt was away for %.2f s. The archive is not needed any more.\n",
		name(r.Mountpoint), duration(took), strings.Join(parts, ", "), r.Unavailable.Seconds())
}
