package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
)

// tripwireOptions are the options of a run by which it looks wrong, or is refused.
type tripwireOptions struct {
	maxDeleted, maxChanged limitFlag
	sourceIsMount          bool
}

func (o *tripwireOptions) addFlags(f *pflag.FlagSet) {
	usual := archive.DefaultLimits()
	o.maxDeleted, o.maxChanged = limitFlag(usual.MaxDeleted), limitFlag(usual.MaxChanged)
	f.Var(&o.maxDeleted, "max-deleted", "it looks wrong if more than `SHARE` of the files are gone or left out")
	f.Var(&o.maxChanged, "max-changed", "it looks wrong if more than `SHARE` of the files have changed")
	f.BoolVar(&o.sourceIsMount, "source-is-mount", false, "fail, and publish nothing, if nothing is mounted at SOURCE")
}

func (o *tripwireOptions) limits() *archive.Limits {
	l := archive.DefaultLimits()
	l.MaxDeleted, l.MaxChanged = float64(o.maxDeleted), float64(o.maxChanged)
	return &l
}

// limitFlag is the value of a flag that takes the share of files up to which a run does not look wrong: 50%, 0, or off,
// which is 100%.
type limitFlag float64

func (v *limitFlag) Set(s string) error {
	if s == "off" {
		*v = 1
		return nil
	}
	var share shareFlag
	if share.Set(s) != nil {
		return fmt.Errorf("%q is not a share like 50%%, 0 or off", s)
	}
	*v = limitFlag(share)
	return nil
}

func (v *limitFlag) String() string {
	if *v == 1 {
		return "off"
	}
	return (*shareFlag)(v).String()
}

func (v *limitFlag) Type() string { return "SHARE" }

// tripwires says what looks wrong in a run, since when, and what to type. If nothing does, it says which earlier
// snapshots still wait to be acknowledged.
func (t *teller) tripwires(r *archive.Report) {
	where, w := name(r.Archive), r.Waiting
	accept := "`snapcopy acknowledge " + shellWord(r.Archive) + "`"
	switch {
	case len(r.Tripwires) > 0:
		what := &archive.Tripped{Source: r.Source, Tripwires: r.Tripwires, Coverage: coverageOf(r),
			Place: archive.PlaceChange{Was: r.PlaceWas, Is: r.Place}}
		if t.dryRun {
			t.errorf("Warning: %s. A snapshot taken now in %s would be marked \"%s\", and until somebody acknowledges it, "+
				"nothing there would be pruned.", trippedText(what), where, r.State)
			return
		}
		t.errorf("Warning: %s. Snapshot %s in %s is marked \"%s\"%s. Until somebody acknowledges that, nothing in %s is pruned. "+
			"To look: %s. If all is as it should be: %s. %s.", trippedText(what), r.Snapshot, where, r.State, sinceText(w), where,
			lookCommand(r), accept, wrongSourceText(r.Archive, waitingWith(w), r.Snapshot))
	case w != nil:
		t.warnf("Warning: %s in %s %s to be acknowledged (%s), so nothing there is pruned. If all is as it should be: %s. "+
			"`snapcopy acknowledge --dry-run %s` shows what that accepts. %s.", waitingText(w), where,
			agree(w.Count, "still waits", "still wait"), tripwireList(w.Tripwires), accept, shellWord(r.Archive),
			wrongSourceText(r.Archive, w.Count, w.First))
	}
}

// waitingWith returns the number of snapshots that wait, with that of the run itself.
func waitingWith(w *archive.Waiting) uint64 {
	if w == nil {
		return 1
	}
	return w.Count + 1
}

// coverageOf returns the comparison of a run with its base line; zero: there was none.
func coverageOf(r *archive.Report) archive.Coverage {
	return *cmp.Or(r.Baseline, new(archive.Coverage))
}

// lookCommand returns the command that shows what looks wrong in a run.
func lookCommand(r *archive.Report) string {
	place, c := shellWord(r.Archive), r.Baseline
	if c == nil || c.Source != "" {
		return fmt.Sprintf("`snapcopy list %s`", place)
	}
	return fmt.Sprintf("`snapcopy diff %s %s %s`", place, c.Snapshot, r.Snapshot)
}

// sinceText tells since when the runs of a source look wrong; "" if this is the first.
func sinceText(w *archive.Waiting) string {
	if w == nil || w.Since == "" {
		return ""
	}
	return ", as each run since snapshot " + w.Since
}

func waitingText(w *archive.Waiting) string {
	if w.Count == 1 {
		return "the earlier snapshot " + w.First
	}
	return fmt.Sprintf("%s earlier snapshots, %s to %s,", count(w.Count), w.First, w.Last)
}

// agree returns the form of a verb for a number of things.
func agree(n uint64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func tripwireList(list []archive.Tripwire) string {
	texts := make([]string, len(list))
	for i, t := range list {
		texts[i] = string(t)
	}
	return strings.Join(texts, ", ")
}

// trippedText says everything that looks wrong in a run.
func trippedText(t *archive.Tripped) string {
	texts := make([]string, len(t.Tripwires))
	for i, what := range t.Tripwires {
		texts[i] = tripwireText(what, t)
	}
	return strings.Join(texts, "; ")
}

// tripwireText returns the sentence for a tripwire of a run.
func tripwireText(what archive.Tripwire, t *archive.Tripped) string {
	c := &t.Coverage
	if c.Snapshot == "" { // the run was measured against nothing
		return fmt.Sprintf("%s, as in an earlier run of %s: no good snapshot of it is left to compare with", what, name(t.Source))
	}
	before := counted(c.Files, "file", "files")
	switch what {
	case archive.EmptySource:
		return fmt.Sprintf("the source is empty: %s has no file; the last good snapshot, %s, had %s", name(t.Source), c.Snapshot,
			before)
	case archive.MassDeletion, archive.MassExclusion:
		return fmt.Sprintf("%s of the %s of the last good snapshot, %s, are not covered any more: %s",
			count(c.Deleted+c.LeftOut), before, c.Snapshot, join(causeText(c.Deleted, "gone"),
				causeText(c.LeftOut, "left out by "+rulesText(c)), causeText(c.Unread, "could not be read")))
	case archive.MassChange:
		return fmt.Sprintf("%s of the %s of the last good snapshot, %s, have changed", count(c.Changed), before, c.Snapshot)
	case archive.SourceInside:
		if c.LeftOut == 0 {
			return fmt.Sprintf("%s lies in %s, the source of snapshot %s, and its files get other paths than there",
				name(t.Source), name(c.Source), c.Snapshot)
		}
		return fmt.Sprintf("%s lies in %s, the source of snapshot %s; of the %s there, %s outside of it and not covered",
			name(t.Source), name(c.Source), c.Snapshot, before, counted(c.LeftOut, "is", "are"))
	case archive.NotMounted:
		return fmt.Sprintf("nothing is mounted at %s, which was a mount point in the last good snapshot, %s", name(t.Source), c.Snapshot)
	case archive.OtherDevice:
		return fmt.Sprintf("%s is on another file system than in the last good snapshot, %s: %s", name(t.Source), c.Snapshot,
			placesText(&t.Place))
	}
	return string(what)
}

// placesText names the two file systems of a source.
func placesText(c *archive.PlaceChange) string {
	if c.Was == nil || c.Is == nil {
		return "the run report tells no more"
	}
	return placeText(c.Was) + " then, " + placeText(c.Is) + " now"
}

func placeText(p *archive.Place) string {
	if p.ID == "" {
		return printable(p.Kind)
	}
	return printable(p.Kind + " " + p.ID)
}

func causeText(n uint64, what string) string {
	if n == 0 {
		return ""
	}
	return count(n) + " " + what
}

// rulesText lists the rules that left files out, the most effective first.
func rulesText(c *archive.Coverage) string {
	const most = 3
	if len(c.Rules) == 1 && c.Rules[0].Files == c.LeftOut {
		return printable(c.Rules[0].Rule)
	}
	var list []string
	for i, r := range c.Rules {
		if i == most {
			list = append(list, "and others")
			break
		}
		list = append(list, printable(r.Rule)+" ("+count(r.Files)+")")
	}
	return strings.Join(list, ", ")
}
