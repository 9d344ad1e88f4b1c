package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"snapcopy/restore"
)

// tarOptions are the flags of a restore that writes a tar archive.
type tarOptions struct {
	tar  bool
	zstd bool
}

const tarHelp = `--tar writes a tar archive (POSIX pax) to stdout, with extended attributes, ACLs, hard links and holes as GNU tar and
bsdtar read them. Contents are checked before they are written: what is damaged is left out and listed. Sockets have
no form in tar and are listed, too. Everything else that is printed, the JSON of --json among it, goes to stderr.`

func (t *tarOptions) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&t.tar, "tar", false, "write a tar archive to stdout instead of restoring into a folder")
	f.BoolVar(&t.zstd, "zstd", false, "with --tar: compress the archive with zstd")
}

func (o *restoreOptions) checkTar() error {
	switch {
	case o.tar.zstd && !o.tar.tar:
		return wrongUsage("--zstd has a meaning with --tar only")
	case !o.tar.tar:
		return nil
	case o.flags:
		return wrongUsage("--tar and --flags exclude each other: a tar archive does not hold file attributes")
	case o.overwrite != "never" || o.delete || o.backupSuffix != "" || o.verify || o.ignoreSpace || o.dryRun ||
		o.threads != 0:
		return wrongUsage("--tar writes one stream: it takes no --overwrite, --delete, --backup-suffix, --verify, " +
			"--ignore-space, --dry-run or --threads")
	}
	return nil
}

// runTar writes the archive to stdout, and all else to stderr.
func (o *restoreOptions) runTar(ctx context.Context, a *app, s *openSnapshot, paths []string,
	how *restore.Options) error {
	if a.term.shared {
		return wrongUsage("--tar writes to stdout, which is a terminal: pipe it into a program or redirect it to a file")
	}
	a.term.needReader()
	opt := restore.TarOptions{Zstd: o.tar.zstd, Exclude: how.Exclude, Progress: how.Progress}
	var itemErr error
	if o.verbose {
		opt.Item = func(i restore.Item) {
			if err := o.tarItem(a, &i); itemErr == nil {
				itemErr = err
			}
		}
	}
	begin := time.Now()
	bar := startProgress(a, restoreMeter(opt.Progress), o.quiet)
	report, err := restore.WriteTar(ctx, restore.Source{Catalog: s.catalog, Dir: s.dir()}, paths, a.term, opt)
	if flushErr := a.term.flush(); flushErr != nil && err == nil {
		err = fmt.Errorf("write archive: %w", flushErr)
	}
	bar.stop()
	if report != nil {
		o.failed(a, &restore.Report{Failed: report.Failed, FailedCount: report.FailedCount})
		lacks := s.lacks(paths, opt.Exclude)
		o.toldLacking(a, s, &lacks)
	}
	if err != nil {
		if report != nil {
			err = fmt.Errorf("%w; the archive is incomplete", err)
		}
		return err
	}
	if err := errors.Join(itemErr, o.tarSummary(a, report, time.Since(begin))); err != nil {
		return err
	}
	switch {
	case report.Damaged > 0:
		return told{statusDamage}
	case report.FailedCount > 0:
		return told{statusIncomplete}
	}
	return nil
}

func (o *restoreOptions) tarItem(a *app, i *restore.Item) error {
	if o.json {
		return a.tellJSON(restoredItem(i))
	}
	if i.Action != restore.Failed { // that is told of at the end
		a.term.errorf("%-8s  %s", i.Action, entryName(i.Path, i.Type))
	}
	return nil
}

func (o *restoreOptions) tarSummary(a *app, r *restore.TarReport, took time.Duration) error {
	if !o.quiet {
		text := join(lacking(r.XattrsNotHeld, "extended attributes of"), lacking(r.HolesNotHeld, "some holes of"))
		if text != "" {
			a.term.errorf("The archive cannot hold everything. Not in it: %s.", text)
		}
	}
	switch {
	case o.json:
		return a.tellJSON(r)
	case o.quiet:
		return nil
	}
	text := fmt.Sprintf("Wrote %s and %s from %s to a tar archive in %s: %s", counted(r.Files, "file", "files"),
		counted(r.Dirs, "folder", "folders"), r.Snapshot, duration(took), size(r.BytesArchive))
	if o.tar.zstd {
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

// tellJSON prints an object on a line of stderr, where stdout is taken.
func (a *app) tellJSON(v any) error {
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	a.term.errorf("%s", bytes.TrimSuffix(line.Bytes(), []byte("\n")))
	return nil
}
