package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
)

type statusOptions struct {
	maxAge spanFlag
	source string
	json   bool
}

func statusCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "status ARCHIVE",
		Short: "Show how an archive is, and whether its newest snapshot is new enough",
		Long: `Show the latest snapshot of each source of ARCHIVE with its age and state, the runs since then that published
nothing, runs that can be resumed, snapshots that wait to be acknowledged, the content that was not read back
for the longest time, the damage that is known, and the free space. The command reads the archive's records
only, so that it is fast; ` + "`snapcopy verify`" + ` looks for damage.

With --max-age, the exit status is 8 if the latest snapshot of a source began earlier than that, or its time is
in the future, or there is none although a run was tried within that time. A source of which no snapshots are
taken any more counts, too, until the last of them is removed; --source chooses one source.

Of several reasons for an exit status, known damage (4) comes first, then snapshots that wait to be acknowledged
(6), then the age (8), and then what could not be looked at (1).`,
		Example: `  snapcopy status /backup/documents
  snapcopy status --max-age=28h /backup/documents
  snapcopy status --max-age=28h --source=/home/ada --json /backup/documents`,
	}, new(statusOptions), mayBeDone, mayFail, mayKnowDamage, mayLookWrong, mayBeTooOld)
}

func (o *statusOptions) AddFlags(f *pflag.FlagSet) {
	f.Var(&o.maxAge, "max-age", "exit with 8 if the latest snapshot of a source is older, like 28h or 8d")
	f.StringVar(&o.source, "source", "", "show the snapshots of the source `DIR` only")
	f.BoolVar(&o.json, "json", false, "print a JSON object for each damaged stored file, and one for the archive")
}

// Run prints the status.
func (o *statusOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	arch, err := a.openArchive(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, arch.Close()) }()
	s := archiveStatus{archive: arch, now: a.now(), source: o.source}
	if o.source != "" {
		if s.source, err = filepath.Abs(o.source); err != nil {
			return err
		}
	}
	if err := s.collect(ctx); err != nil {
		return err
	}
	if err := s.checkSource(); err != nil {
		return err
	}
	if !o.maxAge.IsZero() {
		s.checkAge(o.maxAge.Before(s.now))
	}
	s.conclude()
	if o.json {
		err = s.printJSON(a)
	} else {
		err = s.print(a)
	}
	if err != nil {
		return err
	}
	s.tell(a)
	if s.Status != statusDone {
		return told{s.Status}
	}
	return nil
}

// checkSource makes sure that the archive knows the source that was named.
func (s *archiveStatus) checkSource() error {
	if s.source == "" || len(s.Sources) > 0 {
		return nil
	}
	return fmt.Errorf("the archive %s has no snapshot of %s, and no record of a run; `snapcopy list %s` shows the sources",
		name(s.archive.Path), name(s.source), shellWord(s.archive.Path))
}

// checkAge marks the sources without a snapshot since a time. A source of which there is no snapshot at all counts as long
// as runs are tried, and if it was named: a run of a mistyped source must not count for ever.
func (s *archiveStatus) checkAge(since time.Time) {
	none := s.source != "" || s.Snapshots == 0
	for i := range s.Sources {
		l := &s.Sources[i]
		if l.Time == nil {
			l.TooOld = none || l.triedSince(since)
		} else {
			l.TooOld = l.InFuture || l.Time.Before(since)
		}
	}
	s.TooOld = len(s.Sources) == 0 || slices.ContainsFunc(s.Sources, func(l sourceStatus) bool { return l.TooOld })
}

// triedSince reports whether a run that published nothing began since then, or can be resumed.
func (l *sourceStatus) triedSince(since time.Time) bool {
	return l.Resumable != nil || len(l.Runs) > 0 && !l.Runs[len(l.Runs)-1].Time.Before(since)
}

// conclude chooses the exit status.
func (s *archiveStatus) conclude() {
	isDamaged := func(l unusableObject) bool {
		return slices.Contains([]string{stateDamaged, stateNoCatalog, stateNoFolder}, l.State)
	}
	switch {
	case s.DamageKnown > 0, slices.ContainsFunc(s.Unusable, isDamaged),
		slices.ContainsFunc(s.findings, func(f archive.Finding) bool { return f.Seen }):
		s.Status = statusDamage
	case len(s.Waiting) > 0:
		s.Status = statusTripwire
	case s.TooOld:
		s.Status = statusTooOld
	case len(s.unknown) > 0, len(s.findings) > 0,
		slices.ContainsFunc(s.Unusable, func(l unusableObject) bool { return l.State == stateUnreadable }):
		s.Status = statusFailed
	}
}

// tell prints the next steps.
func (s *archiveStatus) tell(a *app) {
	a.tellSuspects(s.archive.Path, s.lines)
	_ = a.tellDamage(s.archive.Path, s.lines) // conclude has chosen the exit status
	for _, f := range s.findings {
		a.term.errorf("%s", findingLine(s.archive.Path, f))
	}
	for _, err := range s.unknown {
		a.term.errorf("snapcopy: %s: %s", name(s.archive.Path), printable(err.Error()))
		if hint := hintFor(err); hint != "" {
			a.term.errorf("Hint: %s.", a.term.subject.typed(hint))
		}
	}
}
