package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/snapshot"
)

// teller puts a run into words: on the terminal, as JSON, and in the log.
type teller struct {
	app      *app
	quiet    bool
	json     bool
	dryRun   bool
	verbose  int
	log      *logFile // nil: none
	logs     level    // what it takes
	writeErr error    // the first failure to write an item
}

func newTeller(ctx context.Context, a *app, o *snapshotOptions) (*teller, error) {
	t := &teller{app: a, quiet: o.quiet, json: o.json, dryRun: o.dryRun, verbose: o.verbose}
	if o.dryRun && t.verbose == 0 && !o.quiet {
		t.verbose = 1
	}
	t.logs = o.log.takes(t.verbose)
	if o.quiet {
		t.verbose = 0 // it was for the log
	}
	var err error
	t.log, err = o.log.open(ctx, a)
	if errors.Is(err, archive.ErrInsideOther) || err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("--log: %w", err)
	}
	if err != nil { // the snapshot is worth more than its log
		t.unlogged(err)
	}
	return t, nil
}

// unlogged warns of a log that cannot be written.
func (t *teller) unlogged(err error) {
	t.app.term.errorf("Warning: the log could not be written: %s", printable(err.Error()))
}

// begin writes the head of the log, and warns of patterns that never match.
func (t *teller) begin(source, archive string, warnings []string) {
	t.log.printf("snapcopy %s: snapshot of %s in %s", thisVersion().Version, name(source), name(archive))
	for _, w := range warnings {
		t.notef("Warning: %s", printable(w))
	}
}

// taker is that of the app, whose wait the log has, too.
func (t *teller) taker() archive.Taker {
	taker, logged := t.app.taker, false
	ask := taker.Held
	taker.Held = func(held *archive.LockedError) error {
		if !logged {
			logged = true
			t.log.printf("%s", printable(lockedError{held, t.app, 0}.Error()))
		}
		return ask(held)
	}
	return taker
}

// end writes the end of the run to the log and closes it.
func (t *teller) end(err error) error {
	var told told
	if err != nil && !errors.As(err, &told) {
		for _, line := range errorLines(err) {
			t.log.printf("Error: %s", line)
		}
	}
	t.log.printf("ended with status %d", statusOf(err))
	if logErr := t.log.close(); logErr != nil {
		t.unlogged(logErr)
	}
	return err
}

var toldIncomplete = told{statusIncomplete}

// warnf prints a line even if the run is to be quiet.
func (t *teller) warnf(format string, args ...any) {
	t.app.term.errorf(format, args...)
	t.log.printf(format, args...)
}

// unrecorded warns that the archive has no record of a run that published nothing.
func (t *teller) unrecorded(err error) {
	t.warnf("Warning: the record of this run could not be written: %s", printable(err.Error()))
}

// notef writes a line that is not a result.
func (t *teller) notef(format string, args ...any) {
	if !t.quiet {
		t.app.term.errorf(format, args...)
	}
	if t.logs >= levelNormal {
		t.log.printf(format, args...)
	}
}

// itemHook returns the function that a run calls for each entry; nil if no output needs it.
func (t *teller) itemHook() func(snapshot.Item) {
	if t.verbose == 0 && (t.log == nil || t.logs < levelVerbose) {
		return nil
	}
	return t.item
}

// item prints the outcome for one entry. Failed entries are listed again at the end.
func (t *teller) item(i snapshot.Item) {
	level := levelVerbose
	if i.Action == snapshot.Unchanged {
		level = levelAll
	}
	line := itemLine(&i) + t.app.keptFailure(i.AsOf)
	if t.logs >= level {
		t.log.printf("%s", line)
	}
	if level > asLevel(t.verbose) {
		return
	}
	var err error
	if t.json {
		err = t.app.printJSON("item", itemJSON(&i))
	} else {
		err = t.app.printf("%s\n", line)
	}
	if t.writeErr == nil {
		t.writeErr = err
	}
}

func itemLine(i *snapshot.Item) string {
	text := fmt.Sprintf("%-9s  %s", i.Action, entryName(i.Path, i.Type))
	switch {
	case i.Err != nil:
		return text + ": " + printable(i.Err.Error())
	case i.Rule != "":
		return text + "  (" + printable(i.Rule) + ")"
	case i.Was != "":
		return text + "  (was " + name(i.Was) + ")"
	case i.Type == index.File && (i.Action == snapshot.New || i.Action == snapshot.Changed):
		return text + "  (" + size(i.Size) + ")"
	}
	return text
}

// report prints a finished run and returns its outcome.
func (t *teller) report(r *archive.Report) error {
	t.notes(r)
	t.failed(r)
	err := t.writeErr
	if t.json {
		err = errors.Join(err, t.app.printJSON("run", r))
	}
	for line := range strings.Lines(summary(t.app, r)) {
		if !t.json && !t.quiet {
			err = errors.Join(err, t.app.printf("%s", line))
		}
		if t.logs >= levelNormal {
			t.log.printf("%s", strings.TrimSuffix(line, "\n"))
		}
	}
	if err = errors.Join(err, t.app.term.flush()); err != nil {
		t.notef("Warning: the output could not be written: %s", printable(errorLines(err)[0]))
		return toldIncomplete
	}
	switch {
	case r.Needs.Lacks():
		t.doesNotFit(r)
		return told{statusNoSpace}
	case len(r.Tripwires) > 0 && !r.DryRun:
		return told{statusTripwire}
	case r.AlteredCount > 0 || r.RottenCount > 0:
		return told{statusDamage}
	case r.Incomplete || len(r.Unfinished) > 0:
		return toldIncomplete
	}
	return nil
}

// maxFailedShown is the number of failed entries to list without --verbose; it leaves the summary in sight.
const maxFailedShown = 20

func (t *teller) failed(r *archive.Report) {
	total := r.Counts.Failed
	if total == 0 {
		return
	}
	shown := r.Failed
	if t.verbose == 0 && len(shown) > maxFailedShown {
		shown = shown[:maxFailedShown]
	}
	t.alertf("%s could not be stored:", counted(total, "entry", "entries"))
	for _, f := range shown {
		t.errorf("  %s: %s%s%s", name(cmp.Or(f.Path, ".")), printable(f.Error), triesText(f.Tries), t.app.keptFailure(f.KeptAsOf))
	}
	t.more(r, total-uint64(len(shown)))
}

// triesText says how often an entry was tried, if more than once.
func triesText(tries int) string {
	if tries <= 1 {
		return ""
	}
	return fmt.Sprintf(" (%d tries)", tries)
}

// more prints the number of list items not shown, and where to find them.
func (t *teller) more(r *archive.Report, left uint64) {
	if left == 0 {
		return
	}
	where := ""
	if !t.dryRun && r.Counts.Files > 0 { // otherwise there is no snapshot and no report
		where = ", see " + name(r.Path())
	}
	t.errorf("  ... and %s more%s", count(left), where)
}

// altered lists stored files that were altered. It cannot say that the rest of this snapshot is sound: a run looks at
// a share of the stored files that it links.
func (t *teller) altered(r *archive.Report) {
	if r.AlteredCount == 0 {
		return
	}
	shown := r.Altered[:min(len(r.Altered), maxFailedShown)]
	if t.verbose > 0 {
		shown = r.Altered
	}
	what := "has been altered since it was stored"
	if r.Copied {
		what = "was copied here, and the copy is not exact"
	}
	has := "This snapshot has fresh copies from the source"
	if t.dryRun {
		has = "A snapshot would have fresh copies from the source"
	}
	t.errorf("DAMAGE FOUND: the archive %s %s. %s not as recorded:", name(r.Archive), what,
		counted(r.AlteredCount, "entry of an earlier snapshot is", "entries of earlier snapshots are"))
	for _, a := range shown {
		t.errorf("  %s: %s", name(a.Snapshot+"/"+a.Path), printable(a.Found))
	}
	t.more(r, r.AlteredCount-uint64(len(shown)))
	t.errorf("%s; earlier snapshots stay damaged. `snapcopy verify %s` finds all damage.", has, name(r.Archive))
}

// errorf prints a line about a failure, even with --quiet.
func (t *teller) errorf(format string, args ...any) {
	t.app.term.errorf(format, args...)
	t.log.printf(format, args...)
}

// alertf is errorf for a line that can be all that a person gets to read.
func (t *teller) alertf(format string, args ...any) {
	t.app.term.alertf(format, args...)
	t.log.printf(format, args...)
}
