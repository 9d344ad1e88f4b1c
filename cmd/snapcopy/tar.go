package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/outcome"
	"snapcopy/restore/tarball"
)

type tarOptions struct {
	wanted
	telling
	progress progressFlag
	zstd     bool
}

func tarCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "tar ARCHIVE[@SNAPSHOT] [PATH...]",
		Short: "Write a snapshot, or parts of it, to stdout as a tar archive",
		Long: `Write a snapshot, the latest if none is named, to stdout as a tar archive: everything, or each PATH. A PATH that
the snapshot does not have is a pattern if it contains * or ?, as in .gitignore files: '*.txt' finds names in
all folders, '/*.txt' only at the top of the snapshot. The machine that unpacks the archive needs nothing but
tar.

The tar archive (POSIX pax) has extended attributes, ACLs, hard links and holes as GNU tar and bsdtar read them.
Contents are compared with their hashes before they are written: a damaged file is left out and listed, and so
is a socket, for which tar has no form. All other output goes to stderr, that of --json as well.`,
		Example: `  snapcopy tar /backup/site | ssh root@web 'tar -xp --xattrs --xattrs-include="*" --acls -C /srv/site'
  snapcopy tar --zstd /backup/documents@2026-11-20 letters > letters.tar.zst`,
	}, new(tarOptions), mayBeDone, mayFail, mayBeIncomplete, mayFindDamage, mayLackSpace)
}

func (o *tarOptions) AddFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.BoolVar(&o.zstd, "zstd", false, "compress the tar archive with zstd")
	o.wanted.addFlags(f)
	o.progress.addTo(f)
	o.telling.addFlags(f, "print the summary as a JSON object to stderr, and with -v one for each entry before it")
}

// Run writes the tar archive to stdout, and all other lines to stderr.
func (o *tarOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	if err := o.telling.check(); err != nil {
		return err
	}
	if a.term.shared {
		return wrongUsage("a tar archive goes to stdout, which is a terminal: pipe it into a program or redirect it to a file")
	}
	w, err := o.find(ctx, a, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	a.warnOfSuspect(w.openSnapshot)
	a.term.needReader()
	opt := tarball.Options{Zstd: o.zstd, Exclude: w.without, Progress: new(outcome.RestoreProgress)}
	var itemErr error
	if o.verbose {
		opt.Item = func(i outcome.Item) {
			if err := o.item(a, &i); itemErr == nil {
				itemErr = err
			}
		}
	}
	begin := time.Now()
	bar := startProgress(a, restoreMeter(opt.Progress), o.progress.quietly(o.quiet))
	report, err := tarball.Write(ctx, *w.OpenSnapshot, w.paths, a.term, opt)
	if flushErr := a.term.flush(); flushErr != nil && err == nil {
		err = fmt.Errorf("write tar archive: %w", flushErr)
	}
	bar.stop()
	if report != nil {
		o.failed(a, report.Failed, report.FailedCount)
		lacks := w.lacks(w.paths, w.without)
		o.toldLacking(a, w.openSnapshot, &lacks)
	}
	if err != nil {
		if report != nil {
			err = fmt.Errorf("%w; the tar archive is incomplete", err)
		}
		return err
	}
	if err := errors.Join(itemErr, o.summary(a, report, time.Since(begin))); err != nil {
		return err
	}
	switch {
	case report.Damaged > 0:
		a.term.errorf("Hint: %s.", repairHint(w.openSnapshot.archive.Path))
		return told{statusDamage}
	case report.FailedCount > 0:
		return told{statusIncomplete}
	}
	return nil
}

func (o *tarOptions) item(a *app, i *outcome.Item) error {
	if o.json {
		return a.tellJSON("item", restoredItem(i))
	}
	if i.Action != outcome.Failed { // that is told of at the end
		a.term.errorf("%-8s  %s", i.Action, entryName(i.Path, i.Type))
	}
	return nil
}

func (o *tarOptions) summary(a *app, r *tarball.Report, took time.Duration) error {
	if !o.quiet {
		text := join(lacking(r.XattrsCatalogOnly, "extended attributes of"), lacking(r.HolesCatalogOnly, "some holes of"))
		if text != "" {
			a.term.errorf("The tar archive has no place for everything. Not in it: %s.", text)
		}
	}
	switch {
	case o.json:
		return a.tellJSON("tar", tarJSON(r))
	case o.quiet:
		return nil
	}
	text := fmt.Sprintf("Wrote %s and %s from %s to a tar archive in %s: %s", counted(r.Files, "file", "files"),
		counted(r.Dirs, "folder", "folders"), r.Snapshot, duration(took), size(r.BytesArchive))
	if o.zstd {
		text += " before compression"
	}
	if r.Linked > 0 {
		text += ", " + counted(r.Linked, "hard link", "hard links")
	}
	if r.Excluded > 0 {
		text += ", " + count(r.Excluded) + " left out"
	}
	a.term.errorf("%s.", text)
	return nil
}
