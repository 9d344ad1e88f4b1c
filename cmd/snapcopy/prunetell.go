package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/workers"
	"snapcopy/prune"
)

// simulated makes and prints a plan for snapshots whose times come from stdin.
func (o *pruneOptions) simulated(ctx context.Context, a *app) error {
	var list []prune.Snapshot
	err := workers.UntilDone(ctx, func() (err error) {
		list, err = readTimes(os.Stdin)
		return err
	})
	if err != nil {
		return err
	}
	now := a.now()
	if _, isSet := os.LookupEnv(clockVariable); !isSet {
		for i := range list {
			if list[i].Time.After(now) {
				now = list[i].Time
			}
		}
		if now.After(a.now().Add(prune.Slack)) {
			a.term.errorf("The last of these times, %s, is taken as the present.", a.local(now))
		}
	}
	plan, err := o.plan(a, list, now, nil)
	if err != nil {
		return err
	}
	return o.tell(a, plan, new(prune.Facts))
}

// readTimes reads RFC 3339 times, one a line, and skips empty lines.
func readTimes(r io.Reader) (list []prune.Snapshot, err error) {
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, wrongUsage("stdin, line %d: %s is not a time like 2006-01-02T15:04:05Z", number, name(text))
		}
		list = append(list, prune.Snapshot{Name: archive.NameAt(t), Time: t, Complete: true})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read stdin: %w", err)
	}
	return list, nil
}

// tell prints a plan, and everything odd about it. If the plan is carried out, it omits the kept snapshots.
func (o *pruneOptions) tell(a *app, plan *prune.Plan, f *prune.Facts) (err error) {
	sources := newSources(f.Sources)
	switch {
	case o.json:
		err = o.printPlanJSON(a, plan, f)
	case !o.quiet:
		err = o.printPlan(a, plan, f, &sources)
	}
	if err != nil {
		return err
	}
	a.warnOfPlan(plan, o.thinAnyway)
	o.warnOfSources(a, &sources)
	if o.dryRun && !o.quiet && len(plan.Removed()) > 0 {
		a.term.errorf("Nothing was removed: this is a dry run.")
	}
	return nil
}

func (o *pruneOptions) printPlan(a *app, plan *prune.Plan, f *prune.Facts, sources *sources) error {
	if len(plan.Decisions) == 0 {
		a.term.errorf("There are no snapshots yet.")
		return nil
	}
	timeHeader := "LOCAL TIME"
	if o.tz != "" {
		timeHeader = "TIME IN " + o.tz
	}
	carriedOut := !o.dryRun && !o.simulate
	rows := [][]string{{"SNAPSHOT", timeHeader, "PLAN", "FREES", "WHY"}}
	if sources.vary() {
		rows[0] = slices.Insert(rows[0], 4, "SOURCE")
	}
	for i := range plan.Decisions {
		d := &plan.Decisions[i]
		if carriedOut && d.Keep {
			continue
		}
		row := []string{d.Name, a.local(d.Time), planWord(d), "", reasonTexts(d.Name, d.Reasons, f)}
		if d.Freed != nil {
			row[3] = size(d.Freed.Bytes)
		}
		if sources.vary() {
			row = slices.Insert(row, 4, sources.name(d.Name))
		}
		rows = append(rows, row)
	}
	if plan.Freed == nil { // nobody knows: no column
		for i, row := range rows {
			rows[i] = append(row[:3:3], row[4:]...)
		}
	}
	if len(rows) > 1 {
		if err := a.printf("%s", table(rows, false, false, false, plan.Freed != nil)); err != nil {
			return err
		}
	}
	return a.printf("%s\n", planSum(plan, carriedOut && len(f.Tripped) == 0))
}

func planWord(d *prune.Decision) string {
	if d.Keep {
		return "keep"
	}
	return "remove"
}

// planSum returns the last line of a plan.
func planSum(plan *prune.Plan, carriedOut bool) string {
	all, gone := len(plan.Decisions), len(plan.Removed())
	remove, frees := "remove", "frees"
	if !carriedOut && gone > 0 {
		remove, frees = "would remove", "would free"
	}
	text := fmt.Sprintf("%s: keep %s, %s %s", counted(uint64(all), "snapshot", "snapshots"), count(uint64(all-gone)),
		remove, count(uint64(gone)))
	if plan.Freed != nil && gone > 0 {
		text += fmt.Sprintf(", which "+frees+" %s and %s", size(plan.Freed.Bytes), counted(plan.Freed.Inodes, "inode", "inodes"))
	}
	return text + "."
}

func (a *app) warnOfPlan(plan *prune.Plan, thinAnyway bool) {
	waiting := uint64(0)
	for i := range plan.Decisions {
		d := &plan.Decisions[i]
		for _, r := range d.Reasons {
			switch r.Kind {
			case prune.InFuture:
				a.term.errorf("Warning: %s is in the future; it is kept, and counts for no rule. Was a clock wrong?", d.Name)
			case prune.NewestIncomplete:
				waiting++
			}
		}
	}
	if waiting > 1 {
		a.term.errorf("Warning: %s incomplete snapshots are kept until a newer one is complete. If some files can never be "+
			"read, use --count-incomplete.", count(waiting))
	}
	for _, n := range plan.Unmeasured {
		a.term.errorf("Warning: the content of %s is not known; more may be freed than shown.", n)
	}
	for _, m := range plan.Missed {
		how := "Nothing is removed for this goal"
		if thinAnyway {
			how = "Every snapshot that may go is removed anyway"
		}
		a.term.errorf("snapcopy: --%s: cannot reach %s; removing every snapshot that may go would still fall short by %s. %s.", m.Goal,
			goalAmount(&m, m.Wanted), goalAmount(&m, m.By), how)
	}
}

// warnOfSources says how the rules treat an archive with snapshots of several sources.
func (o *pruneOptions) warnOfSources(a *app, sources *sources) {
	n := counted(uint64(len(sources.known)), "source", "sources")
	switch {
	case !sources.vary():
	case o.groupBy.Grouping == prune.Together:
		a.term.errorf("Warning: the snapshots are of %s, and the rules apply to all together: a snapshot of one source can "+
			"take the place of one of another source (--group-by source keeps them apart).", n)
	case o.groupBy.Grouping == prune.BySource && !sources.sameHost:
		a.term.errorf("Note: the snapshots are of %s, and the rules apply to each source separately. Some have the same "+
			"path on several hosts: if that is one machine whose name changes, use --group-by path.", n)
	case !o.quiet:
		a.term.errorf("Note: the snapshots are of %s, and the rules apply to each source separately.", n)
	}
}

func goalAmount(m *prune.Missed, n uint64) string {
	if m.Goal == "keep-free-inodes" {
		return counted(n, "inode", "inodes")
	}
	return size(n)
}

func (o *pruneOptions) printPlanJSON(a *app, plan *prune.Plan, f *prune.Facts) error {
	for i := range plan.Decisions {
		d := &plan.Decisions[i]
		v := decisionObject{Snapshot: d.Name, Time: d.Time.UTC(), Plan: planWord(d), Pinned: d.Pinned, Label: d.Label,
			Freed: sizeJSON(d.Freed)}
		id := f.Sources[d.Name]
		v.Source, v.Host = id.Path, id.Host
		for _, r := range d.Reasons {
			v.Reasons = append(v.Reasons, reasonText(d.Name, r, f))
		}
		if err := a.printJSON("decision", &v); err != nil {
			return err
		}
	}
	gone := len(plan.Removed())
	sum := planObject{Snapshots: len(plan.Decisions), Kept: len(plan.Decisions) - gone, Removed: gone, Freed: sizeJSON(plan.Freed),
		Unmeasured: plan.Unmeasured}
	for _, m := range plan.Missed {
		sum.Missed = append(sum.Missed, missedObject{m.Goal, m.Wanted, m.By})
	}
	return a.printJSON("plan", &sum)
}

// keepWords has the words for each kind of reason without further values.
var keepWords = map[prune.Kind]string{
	prune.InFuture:         "in the future",
	prune.NewestIncomplete: "incomplete, and no newer one is complete",
	prune.NewestHollow:     "lacks most files of older snapshots, and no newer one is good",
	prune.NoRule:           "no rule is given",
	prune.Unwanted:         "no rule wants it",
	prune.Incomplete:       "incomplete, and a newer one is complete",
	prune.Hollow:           "lacks most files of other snapshots, and a newer one is good",
	prune.Everything:       "the policy keeps nothing",
}

// reasonTexts returns the words for the reasons to keep or remove a snapshot.
func reasonTexts(snapshot string, list []prune.Reason, f *prune.Facts) string {
	texts := make([]string, len(list))
	for i, r := range list {
		texts[i] = reasonText(snapshot, r, f)
	}
	return strings.Join(texts, "; ")
}

// reasonText returns the words for a reason of a snapshot: "daily 3 of 7", "weekly 2 of 5, oldest", "pinned: before the upgrade".
func reasonText(snapshot string, r prune.Reason, f *prune.Facts) string {
	if words, ok := keepWords[r.Kind]; ok {
		return words
	}
	switch r.Kind {
	case prune.Pinned:
		if r.Label == "" {
			return "pinned"
		}
		return printable("pinned: " + r.Label)
	case prune.Suspect:
		return suspectText(snapshot, f)
	case prune.Needed:
		return neededText(snapshot, f)
	case prune.Unusable:
		return "its content is not known: " + stateText(&snapshotLine{State: stateOf(f.Unknown[snapshot])})
	case prune.Thinned:
		return "to make room; otherwise " + reasonTexts(snapshot, r.Otherwise, f)
	}
	return ruleText(r)
}

// suspectText names the tripwires for which a snapshot stays.
func suspectText(snapshot string, f *prune.Facts) string {
	for i := range f.Tripped {
		if f.Tripped[i].Snapshot == snapshot {
			return archive.StateOf(false, f.Tripped[i].Tripwires) + ", not acknowledged"
		}
	}
	return "looks wrong, and is not acknowledged"
}

// neededText names the reader that needs a snapshot.
func neededText(snapshot string, f *prune.Facts) string {
	reader := f.NeededBy[snapshot]
	if reader.Damage != nil {
		return "needed according to a note that cannot be read: " + name(reader.Path)
	}
	return "needed by " + name(cmp.Or(string(reader.PlaceRaw), reader.Place)) + " on " + name(reader.Host)
}

// ruleText names the rule that keeps a snapshot.
func ruleText(r prune.Reason) string {
	text := string(r.Kind)
	switch {
	case !r.Within.IsZero():
		text += " " + r.Within.String()
	case r.Of == prune.Unlimited:
		text += fmt.Sprintf(" %d, no limit", r.Number)
	default:
		text += fmt.Sprintf(" %d of %d", r.Number, r.Of)
	}
	if r.Oldest {
		text += ", oldest"
	}
	return text
}
