package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/restore/instant"
)

type instantOptions struct {
	telling
	at         atFlag
	mountpoint string // the argument
}

func instantCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "instant ARCHIVE[@SNAPSHOT] MOUNTPOINT",
		Short: "Make a snapshot usable at once, and writable",
		Long: `Mount a whole snapshot, the latest if none is named, at MOUNTPOINT, a new or empty folder. The tree is usable at
once, however large it is, and can be changed. The archive stays as it is; changes are kept in a folder beside
MOUNTPOINT, .NAME.snapcopy-instant. Contents are not checked yet, and until the tree is settled the archive has
to stay where it is.

"snapcopy settle MOUNTPOINT" turns the tree into an ordinary folder while you keep using it. After a reboot
nothing is mounted, and nothing is lost: the same command with the same snapshot mounts the tree again, with the
changes, and so does settle.

The command needs Linux 5.8 or later, the right to mount (root, or a user namespace with a mount namespace, as
` + "`unshare -Urm`" + ` makes it), and at MOUNTPOINT a file system with extended attributes.`,
		Example: `  snapcopy instant /backup/documents /srv/documents
  snapcopy instant /backup/documents@2026-11-20 /srv/documents
  snapcopy settle /srv/documents`,
	}, new(instantOptions), mayBeDone, mayFail, mayHaveMounted, mayFindDamage, mayBeLocked, mayBeWorkedOn, mayLackSpace)
}

var mayHaveMounted = status{statusIncomplete, "mounted, but then something failed, which is told"}

func (o *instantOptions) AddFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	o.at.addTo(f)
	o.telling.addFlags(f, "print one JSON object")
}

// Run mounts the snapshot and prints how to go on.
func (o *instantOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	if err := o.telling.check(); err != nil {
		return err
	}
	place, err := o.at.place(args[0])
	if err != nil {
		return err
	}
	o.mountpoint = args[1]
	begin := time.Now()
	s, err := a.open(place)
	if err != nil {
		return err
	}
	a.warnOfSuspect(s)
	old, oldErr := instant.Read(o.mountpoint)
	if errors.Is(oldErr, fsat.ErrNoProc) { // mounting is impossible, and the note would stay
		return errors.Join(oldErr, s.close())
	}
	report, err := o.mount(ctx, a, s)
	if err != nil {
		return errors.Join(err, s.close())
	}
	if oldErr == nil && old.Archive != s.archive.Path && !o.quiet {
		a.term.errorf("The archive was in %s before.", name(old.Archive))
	}
	err = o.toldInstant(a, s, report, time.Since(begin))
	return a.doneAnyway(fmt.Sprintf("Snapshot %s is at %s", report.Snapshot, name(report.Mountpoint)), err, report.After, s.close())
}

// doneAnyway tells what failed after a command had done its work, so that giving it again would be refused. It returns the
// exit status: that of an outcome that was told, if any.
func (a *app) doneAnyway(done string, errs ...error) (outcome error) {
	var failed error
	for _, err := range errs {
		if errors.As(err, new(told)) {
			outcome = err
		} else {
			failed = errors.Join(failed, err)
		}
	}
	if failed != nil {
		a.term.alertf("%s, but then something failed: %s.", done, printable(strings.Join(errorLines(failed), "; ")))
		outcome = cmp.Or(outcome, error(toldIncomplete))
	}
	return outcome
}

// mount gives the archive an id, writes a reader's note there, and mounts the snapshot. If that fails, it removes the note,
// unless an earlier instant restore at the mountpoint needs it.
func (o *instantOptions) mount(ctx context.Context, a *app, s *openSnapshot) (*instant.Report, error) {
	if err := giveID(s.archive); err != nil {
		return nil, err
	}
	reader, noted, err := o.noteReader(a, s)
	if err != nil {
		return nil, err
	}
	report, err := instant.Make(ctx, *s.OpenSnapshot, o.mountpoint,
		instant.Options{ArchiveID: s.archive.Info.ID, Now: a.now})
	if err == nil || !noted {
		return report, err
	}
	left, leftErr := instant.Read(o.mountpoint)
	ours := leftErr == nil && left.Snapshot == s.Name && left.ArchiveID == s.archive.Info.ID
	if !ours && (leftErr == nil || errors.Is(leftErr, instant.ErrNotInstant)) {
		err = errors.Join(err, s.archive.Readers.Remove(reader))
	}
	return nil, err
}

// giveID makes sure that an archive has an id, for the state of the instant restore to remember: taking the lock gives
// it one.
func giveID(archive *archive.Archive) error {
	if archive.Info.ID != "" {
		return nil
	}
	lock, err := archive.Lock()
	if err != nil {
		return err
	}
	return lock.Unlock()
}

// noteReader protects the snapshot from removal by a note, unless the archive cannot be written to.
func (o *instantOptions) noteReader(a *app, s *openSnapshot) (r archive.Reader, noted bool, err error) {
	where, err := instant.Path(o.mountpoint)
	if err != nil {
		return r, false, err
	}
	r = archive.NewReader(s.Name, where, a.now())
	_, err = s.archive.Readers.Add(r)
	if err == nil {
		return r, true, nil
	}
	if !fsat.IsRefused(err) && !fsat.IsReadOnly(err) {
		return r, false, err
	}
	a.term.alertf("The archive cannot be written to (%s): it has no note that snapshot %s is needed. "+
		"Do not remove that snapshot before the tree is settled.", printable(err.Error()), s.Name)
	return r, false, nil
}

func (o *instantOptions) toldInstant(a *app, s *openSnapshot, r *instant.Report, took time.Duration) error {
	lacks := s.lacks(nil, nil)
	o.toldLacking(a, s, &lacks)
	if text := notRestored(&r.CatalogOnly); text != "" && !o.quiet {
		a.term.errorf("%s; not restored: %s.", whyCatalogOnly(r.Lacking, r.UserNamespace), text)
	}
	switch {
	case o.json:
		return errors.Join(a.printJSON("instant", instantJSON(r)), a.term.flush())
	case o.quiet:
		return nil
	}
	below := s.Catalog.Root().Below
	text := fmt.Sprintf("Snapshot %s is at %s, after %.2f s: %s in %s, %s.\n", r.Snapshot, name(r.Mountpoint),
		took.Seconds(), counted(below.Files, "file", "files"), counted(below.Dirs+1, "folder", "folders"),
		size(below.Bytes))
	if r.Resumed {
		text += "The changes that were made there before are back.\n"
	}
	if r.Mended > 0 {
		text += counted(r.Mended, "entry", "entries") + " made at once: hard links, or entries that the archive could not store.\n"
	}
	text += "It can be changed; the changes are kept in " + name(r.Folder) + ", the archive stays as it is.\n"
	if r.NoRename {
		text += "Folders of the snapshot cannot be renamed there by rename(2) alone; mv copies them.\n"
	}
	text += "Contents are not checked yet. To check them and turn the tree into an ordinary folder:\n" +
		"  snapcopy settle " + name(r.Mountpoint) + "\n" +
		"Until then the archive is needed. After a reboot, repeat this command, or settle.\n"
	return errors.Join(a.printf("%s", text), a.term.flush())
}
