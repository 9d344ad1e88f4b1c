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
	budget   budgetFlag
	wholeIn  spanFlag
	spot     spotOptions
	threads  int
	quiet    bool
	progress progressFlag
	json     bool
}

func verifyCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "verify ARCHIVE[@SNAPSHOT]",
		Short: "Prove that snapshots are still as they were stored",
		Long: `Compare a snapshot, or all if none is named, with its catalog: every recorded entry has to exist with its
metadata, no other entry may exist, and every content is read again and hashed. A stored file is read once,
however many names and snapshots share it. The catalogs and the content-hash index are checked, too. No snapshot
is changed.

The archive remembers when each stored file was last read and found right, and what was found damaged:
` + "`snapcopy status`" + ` shows both. With --budget, the command reads a share of the stored files, those not read
for the longest time first, so that a share every night covers everything: so much time, so many bytes, or such a
part of all bytes. It does not exceed a time or a size, except that the first file is read to its end however
large it is; a file that does not fit the rest comes first in the next night. A part is reached at least. A share
of the snapshots, at least one, has its catalog, its folders and all metadata compared.

--whole-in=30d reads what is needed every day for reading the whole archive in 30 days. Together with --budget, it
says whether the budget suffices, and warns if not; the exit status is then that of the check.

--spot compares a sample of the newest snapshot of each source, or of the named snapshot, with the source. A file whose
size, times, inode and other stat data are as recorded has to have the recorded content; if not, the stored file is
read, too, to tell which of the two is damaged. Files changed since are no errors.

An entry is damaged if it is missing, differs, or cannot be read because the disk reports an error. An entry
that cannot be looked at for another reason, such as missing permission or a stale mount, is listed and ends
with exit status 3. So does a forget-path that is not finished: the names that it has taken away already are no
damage. With --budget, --whole-in and --metadata, damage that an earlier check has found and none has found right
since ends with exit status 4, too.`,
		Example: `  snapcopy verify /backup/documents
  snapcopy verify --metadata /backup/documents@latest
  snapcopy verify --budget=30m /backup/documents
  snapcopy verify --budget=50GiB --whole-in=30d /backup/documents
  snapcopy verify --spot=1% /backup/documents`,
	}, new(verifyOptions), mayBeDone, mayFail, mayBeIncomplete, mayFindDamage)
}

func (o *verifyOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.metadata, "metadata", false, "compare metadata only; do not read contents")
	f.Var(&o.budget, "budget", "read a share of the stored files: a time like 30m, a size like 50GiB, or a part like 5%")
	f.Var(&o.wholeIn, "whole-in", "read a share a day, so that all is read within this time, like 30d")
	o.spot.addFlags(f)
	addThreads(f, &o.threads)
	o.progress.addTo(f)
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print damage and errors only")
	f.BoolVar(&o.json, "json", false, "print one JSON object a finding, and one for the summary")
}

// Run verifies the snapshots.
func (o *verifyOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	if err := checkThreads(o.threads); err != nil {
		return err
	}
	if err := o.check(args[0]); err != nil {
		return err
	}
	arch, list, err := a.openSome(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, arch.Close()) }()

	if o.spot.share > 0 {
		return o.compareSample(ctx, a, arch, list, args[0])
	}
	begin := time.Now()
	report, err := o.verify(ctx, a, arch, list)
	if err != nil {
		return err
	}
	return o.tell(a, arch, report, time.Since(begin))
}

// verify verifies the snapshots, and prints each finding as it comes.
func (o *verifyOptions) verify(ctx context.Context, a *app, arch *archive.Archive, list []archive.Snapshot) (*verify.Report, error) {
	var writeErr error
	opt := verify.Options{Remember: true, Share: o.share(a), Now: a.now, Threads: o.threads, MetadataOnly: o.metadata, Progress: new(archive.Progress)}
	opt.Damage = func(d verify.Damage) {
		if err := o.finding(a, arch.Path, d); writeErr == nil {
			writeErr = err
		}
	}
	bar := startProgress(a, verifyMeter(opt.Progress), o.progress.quietly(o.quiet))
	report, err := verify.Run(ctx, arch, list, opt)
	bar.stop()
	return report, errors.Join(err, writeErr)
}

// tell prints what came out, and returns the exit status.
func (o *verifyOptions) tell(a *app, arch *archive.Archive, report *verify.Report, took time.Duration) error {
	forgetting, unfinished := arch.Forgetting()
	if unfinished {
		a.term.alertf("Forgetting %s is not finished: %s gone already. If the command was cut short, give it again: "+
			"snapcopy forget-path %s %s", name(forgetting), counted(report.Forgotten, "name is", "names are"),
			shellWord(arch.Path), shellWord(forgetting))
	}
	if report.NotRemembered != nil && !o.quiet {
		a.term.errorf("Note: what was read could not be remembered in the archive %s: %s. The check itself was made.",
			name(arch.Path), printable(report.NotRemembered.Error()))
	}
	if err := errors.Join(o.summary(a, arch.Path, report, took), a.tellUnfinishedRuns(arch, o.quiet || o.json)); err != nil {
		return err
	}
	switch {
	case report.Damaged > 0, len(o.damageToTell(report)) > 0:
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

func (o *verifyOptions) summary(a *app, path string, r *verify.Report, took time.Duration) error {
	list := o.damageToTell(r)
	if o.json {
		v := verifyJSON(path, r, took, a.now())
		o.foresee(a, path, v, r)
		for i := range list {
			if err := a.printJSON("damaged", damagedJSON(path, &list[i])); err != nil {
				return err
			}
		}
		return a.printJSON("verify", v)
	}
	if err := a.printf("%s", damagedText(a, path, list)); err != nil {
		return err
	}
	if o.quiet {
		text := unreadableText(path, r)
		if len(list) == 0 { // which would name the archive
			text += damageText(path, r)
		}
		return a.printf("%s", text)
	}
	if err := a.printf("%s", o.sum(r, took)+datesText(a, r.Dates, r.Known)); err != nil {
		return err
	}
	if text := o.foresee(a, path, nil, r); text != "" {
		if err := a.printf("%s\n", text); err != nil {
			return err
		}
	}
	return a.printf("%s", unreadableText(path, r)+o.verdict(path, r, len(list)))
}

// sum says what was read and how fast.
func (o *verifyOptions) sum(r *verify.Report, took time.Duration) string {
	speed := ""
	if r.BytesRead > 0 && took > 0 {
		speed = fmt.Sprintf(" (%s/s)", size(uint64(float64(r.BytesRead)/took.Seconds())))
	}
	read := fmt.Sprintf("%s with %s read", counted(r.FilesRead, "stored file", "stored files"), size(r.BytesRead))
	if r.Share != nil {
		total := r.Dates.Total()
		return fmt.Sprintf("Checked a share: %s of %s with %s, in %s%s; structure compared: %d of %s.\n", read, counted(total.Files, "stored file", "stored files"),
			size(total.Bytes), duration(took), speed, len(r.Share.Compared), counted(uint64(r.Share.Of), "snapshot", "snapshots"))
	}
	if o.metadata {
		read, speed = "contents not read", ""
	}
	return fmt.Sprintf("Verified %s with %s: %s, in %s%s.\n", counted(r.Snapshots, "snapshot", "snapshots"),
		counted(r.Files, "file", "files"), read, duration(took), speed)
}

// unreadableText counts the entries that could not be looked at. Their findings do not name the archive.
func unreadableText(path string, r *verify.Report) string {
	if r.Unreadable == 0 {
		return ""
	}
	return fmt.Sprintf("%s in %s could not be looked at.\n", counted(r.Unreadable, "entry", "entries"), name(path))
}

// damageText counts the findings of damage, which do not name the archive.
func damageText(path string, r *verify.Report) string {
	if r.Damaged == 0 {
		return ""
	}
	return fmt.Sprintf("DAMAGE FOUND: %s in the archive %s.\n", counted(r.Damaged, "finding", "findings"), name(path))
}

// verdict is the last line. known is the number of damaged things that were listed.
func (o *verifyOptions) verdict(path string, r *verify.Report, known int) string {
	switch {
	case r.Damaged > 0:
		return damageText(path, r)
	case known > 0 && o.metadata:
		return fmt.Sprintf("No further damage found; contents were not read. DAMAGE KNOWN from earlier checks: %s, see above.\n",
			counted(uint64(known), "stored file", "stored files"))
	case known > 0:
		return "No further damage found. DAMAGE KNOWN from earlier checks: see above.\n"
	case r.Unreadable > 0:
		return "No damage in the rest.\n"
	}
	return "No damage.\n"
}
