package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
	"snapcopy/internal/verify"
)

type verifyOptions struct {
	metadata bool
	threads  int
	quiet    bool
	json     bool
}

func verifyCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "verify ARCHIVE[@SNAPSHOT]",
		Short: "Prove that snapshots are still as they were stored",
		Long: `Compare a snapshot, or all if none is named, with its catalog: every recorded entry has to exist with its
metadata, no other entry may exist, and every content is read again and hashed. A stored file is read once,
however many names and snapshots share it. The catalogs and the content-hash index are checked, too. Nothing is
changed.

An entry is damaged if it is missing, differs, or cannot be read because the disk reports an error. An entry
that cannot be looked at for another reason, such as missing permission or a stale mount, is listed and ends
with exit status 3. So does a forget-path that is not finished: the names that it has taken away already are no
damage.`,
		Example: `  snapcopy verify /backup/documents
  snapcopy verify --metadata /backup/documents@latest`,
	}, new(verifyOptions), mayBeDone, mayFail, mayBeIncomplete, mayFindDamage)
}

func (o *verifyOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.metadata, "metadata", false, "compare metadata only; do not read contents")
	addThreads(f, &o.threads)
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print damage and errors only")
	f.BoolVar(&o.json, "json", false, "print one JSON object a finding, and one for the summary")
}

// Run verifies the snapshots.
func (o *verifyOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	if err := checkThreads(o.threads); err != nil {
		return err
	}
	arch, list, err := a.openSome(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, arch.Close()) }()

	var writeErr error
	opt := verify.Options{Threads: o.threads, MetadataOnly: o.metadata, Progress: new(archive.Progress)}
	opt.Damage = func(d verify.Damage) {
		if err := o.finding(a, arch.Path, d); writeErr == nil {
			writeErr = err
		}
	}
	begin := time.Now()
	bar := startProgress(a, verifyMeter(opt.Progress), o.quiet)
	report, err := verify.Run(ctx, arch, list, opt)
	bar.stop()
	if err = errors.Join(err, writeErr); err != nil {
		return err
	}
	forgetting, unfinished := arch.Forgetting()
	if unfinished {
		a.term.errorf("Forgetting %s is not finished: %s gone already. If the command was cut short, give it again: "+
			"snapcopy forget-path %s %s", name(forgetting), counted(report.Forgotten, "name is", "names are"),
			shellWord(arch.Path), shellWord(forgetting))
	}
	if err := o.summary(a, report, time.Since(begin)); err != nil {
		return err
	}
	switch {
	case report.Damaged > 0:
		return told{statusDamage}
	case report.Unreadable > 0 || unfinished:
		return told{statusIncomplete}
	}
	return nil
}

// openSome opens the archive of ARCHIVE[@SNAPSHOT], and returns the named snapshot, or all.
func (a *app) openSome(arg string) (*archive.Archive, []archive.Snapshot, error) {
	where, selector, err := splitPlace(arg)
	if err != nil {
		return nil, nil, err
	}
	arch, err := a.openArchive(where)
	if err != nil {
		return nil, nil, err
	}
	if selector == "" {
		list, err := arch.Snapshots()
		if err != nil {
			err = errors.Join(err, arch.Close())
		}
		return arch, list, err
	}
	s, err := arch.Select(selector, a.now(), a.loc)
	if err != nil {
		return nil, nil, errors.Join(err, arch.Close())
	}
	return arch, []archive.Snapshot{s}, nil
}

func verifyMeter(p *archive.Progress) meter {
	m := runMeter(p)
	m.phase = func() string { return "Verifying" }
	return m
}

func (o *verifyOptions) finding(a *app, archive string, d verify.Damage) error {
	what := ""
	if d.Path == "" {
		what = remedy(d.Err, archive, d.Snapshot)
	}
	if o.json {
		return a.printJSON("finding", findingObject{d.Snapshot, d.Path, d.Err.Error(), what})
	}
	if what != "" {
		what = ". " + what + "."
	}
	where := "archive"
	if d.Snapshot != "" {
		where = d.Snapshot
	}
	if d.Path != "" {
		where += "/" + d.Path
	}
	return a.printf("%s: %s%s\n", name(where), printable(d.Err.Error()), what)
}

func (o *verifyOptions) summary(a *app, r *verify.Report, took time.Duration) error {
	if o.json {
		return a.printJSON("verify", verifyJSON(r))
	}
	if o.quiet {
		return nil
	}
	what := fmt.Sprintf("%s with %s", counted(r.Snapshots, "snapshot", "snapshots"), counted(r.Files, "file", "files"))
	read := fmt.Sprintf("%s read", size(r.BytesRead))
	if o.metadata {
		read = "contents not read"
	}
	if err := a.printf("Verified %s, %s, in %s.\n", what, read, duration(took)); err != nil {
		return err
	}
	if r.Unreadable > 0 {
		err := a.printf("%s could not be looked at.\n", counted(r.Unreadable, "entry", "entries"))
		if err != nil {
			return err
		}
	}
	if r.Damaged > 0 {
		return a.printf("DAMAGE FOUND: %s.\n", counted(r.Damaged, "finding", "findings"))
	}
	if r.Unreadable > 0 {
		return a.printf("No damage in the rest.\n")
	}
	return a.printf("No damage.\n")
}
