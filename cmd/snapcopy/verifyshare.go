package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"snapcopy/internal/verified"
	"snapcopy/internal/verify"
)

// budgetFlag is the value of --budget: a time, a size or a part.
type budgetFlag struct{ verify.Share }

func (v *budgetFlag) Set(s string) error {
	s = strings.TrimSpace(s)
	if strings.HasSuffix(s, "%") {
		var part shareFlag
		if err := part.Set(s); err != nil || part == 0 {
			return badBudget(s)
		}
		v.Share = verify.Share{Part: float64(part)}
		return nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		if d <= 0 {
			return badBudget(s)
		}
		v.Share = verify.Share{Time: d}
		return nil
	}
	n, err := parseSize(s)
	if err != nil {
		return badBudget(s)
	}
	v.Share = verify.Share{Bytes: uint64(n)}
	return nil
}

func badBudget(s string) error {
	return fmt.Errorf("%q is not a time like 30m or 1h30m, a size like 50GiB, or a part like 5%%", s)
}

func (v *budgetFlag) String() string {
	switch {
	case v.Time > 0:
		return v.Time.String()
	case v.Bytes > 0:
		return size(v.Bytes)
	case v.Part > 0:
		part := shareFlag(v.Part)
		return part.String()
	}
	return ""
}

func (v *budgetFlag) Type() string { return "BUDGET" }

func (v *budgetFlag) given() bool { return v.Share != verify.Share{} }

// check refuses flags that do not fit together.
func (o *verifyOptions) check(place string) error {
	partial := o.budget.given() || !o.wholeIn.IsZero()
	_, selector, err := splitPlace(place)
	switch {
	case err != nil:
		return err
	case partial && o.metadata:
		return wrongUsage("--metadata reads no contents: leave out --budget and --whole-in")
	case partial && o.spot.share > 0, o.metadata && o.spot.share > 0:
		return wrongUsage("--spot is a check of its own: leave out --budget, --whole-in and --metadata")
	case partial && selector != "":
		return wrongUsage("--budget and --whole-in are for the stored files of all snapshots: give the archive without @%s", selector)
	case o.spot.share == 0 && o.spot.given():
		return wrongUsage("--source and --seed belong to --spot")
	}
	return nil
}

// share returns the share to read; nil: everything.
func (o *verifyOptions) share(a *app) *verify.Share {
	if o.budget.given() {
		return &o.budget.Share
	}
	if o.wholeIn.IsZero() {
		return nil
	}
	return &verify.Share{Part: min(1/o.wholeDays(a), 1)}
}

func (o *verifyOptions) wholeDays(a *app) float64 {
	now := a.now()
	return max(now.Sub(o.wholeIn.Before(now)).Hours()/24, 1e-6)
}

// foresee says how long reading the whole archive takes with such shares, and warns if that is too long for --whole-in.
func (o *verifyOptions) foresee(a *app, path string, v *verifyObject, r *verify.Report) string {
	if r.Share == nil || r.Dates == nil {
		return ""
	}
	whole := o.daysForAll(a, r)
	endless := math.IsInf(whole, 1)
	if v != nil && !endless {
		v.Share.WholeDays = &whole
	}
	if !o.wholeIn.IsZero() && o.budget.given() {
		suffices := o.suffices(a, path, whole, r)
		if v != nil {
			v.Share.Suffices = &suffices
		}
	}
	if endless {
		return "Nothing was read: the budget is too small."
	}
	return fmt.Sprintf("With a run like this every day, the whole archive is read in %s.", counted(uint64(math.Ceil(whole-1e-9)), "day", "days"))
}

// daysForAll returns the days in which runs like this one, one a day, read the whole archive; infinite if this one has read
// nothing.
func (o *verifyOptions) daysForAll(a *app, r *verify.Report) float64 {
	total, pace := r.Dates.Total().Bytes, float64(r.BytesRead)
	if o.budget.Bytes > 0 && r.Share.Deferred == 0 {
		pace = max(pace, float64(o.budget.Bytes))
	}
	switch {
	case r.Share.All || total == 0:
		return 1
	case o.budget.Part > 0 || !o.budget.given():
		return max(1/o.share(a).Part, 1)
	case pace > 0:
		return max(float64(total)/pace, 1)
	}
	return math.Inf(1)
}

// suffices reports whether reading the whole archive in so many days is within --whole-in, and warns if it is not.
func (o *verifyOptions) suffices(a *app, path string, days float64, r *verify.Report) bool {
	needed := o.wholeDays(a)
	if days <= needed*1.0001 {
		return true
	}
	total := float64(r.Dates.Total().Bytes)
	a.term.errorf("Warning: the budget %s does not suffice to read the archive %s in %s: that takes %s a day, this run has read %s.",
		o.budget.String(), name(path), o.wholeIn.String(), size(uint64(math.Ceil(total/needed))), size(r.BytesRead))
	return false
}

// datesText says when the stored files were last read. Shares are of bytes.
func datesText(a *app, t *verified.Table, known *verified.Note) string {
	if t == nil || len(t.Days) == 0 {
		return ""
	}
	total, now := t.Total(), a.now()
	damaged := damagedContents(known)
	percent := func(s verified.Sum) string { // what was found damaged since it was found right counts as not right
		s.Files, s.Bytes = min(s.Files, total.Files-min(damaged.Files, total.Files)), min(s.Bytes, total.Bytes-min(damaged.Bytes, total.Bytes))
		if s.Files == total.Files {
			return "all"
		}
		if total.Bytes == 0 {
			return "0 %"
		}
		p := float64(s.Bytes) / float64(total.Bytes) * 100
		return fmt.Sprintf("%.0f %%", min(math.Floor(p), 99))
	}
	ever := total
	never, since := t.NeverRead()
	ever.Files -= never.Files
	ever.Bytes -= never.Bytes
	text := ""
	if damaged.Files > 0 {
		text = "Dates of damaged stored files are those of the last time they were found right.\n"
	}
	text += fmt.Sprintf("Found right within a day: %s; 7 days: %s; 30 days: %s; ever: %s.\n", percent(t.ReadSince(now.AddDate(0, 0, -1))),
		percent(t.ReadSince(now.AddDate(0, 0, -7))), percent(t.ReadSince(now.AddDate(0, 0, -30))), percent(ever))
	if oldest, ok := t.Oldest(); ok {
		text += fmt.Sprintf("The longest unread content is unread since %s%s.\n", a.local(oldest), ago(now.Sub(oldest)))
	}
	if never.Files > 0 {
		text += fmt.Sprintf("Never read back since it was stored: %s with %s, the first of %s.\n", counted(never.Files, "stored file", "stored files"),
			size(never.Bytes), a.local(since))
	}
	return text
}

// damagedContents sums up the stored files whose content is known to be damaged.
func damagedContents(n *verified.Note) (s verified.Sum) {
	if n == nil {
		return s
	}
	for i := range n.Damaged {
		if d := &n.Damaged[i]; d.Kind == verified.Content {
			s.Files++
			s.Bytes += d.Size
		}
	}
	return s
}

// ago writes an age in brackets, if it is a day or more.
func ago(d time.Duration) string {
	if d < 24*time.Hour {
		return ""
	}
	return fmt.Sprintf(" (%s ago)", counted(uint64(d.Hours()/24), "day", "days"))
}

// damageToTell returns the damage to list by stored file: all that is known, or of a check that is none of a share only
// that of contents, since the rest was told by name. A check that reads all contents and finds no damage has none to list.
func (o *verifyOptions) damageToTell(r *verify.Report) (list []verified.Damaged) {
	if r.Known == nil || r.Damaged == 0 && r.Share == nil && !o.metadata {
		return nil
	}
	for _, d := range r.Known.Damaged {
		if d.Kind == verified.Content || r.Share != nil {
			list = append(list, d)
		}
	}
	return list
}

// maxNamesShown is the number of names of one damaged stored file that are listed.
const maxNamesShown = 20

// damagedText lists damaged stored files with all their names.
func damagedText(a *app, path string, list []verified.Damaged) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Damaged in the archive %s:\n", name(path))
	for i := range list {
		d := &list[i]
		what := d.Kind
		if d.Kind == verified.Content {
			what = fmt.Sprintf("stored file %d, %s", d.Stored, size(d.Size))
		}
		fmt.Fprintf(&b, "  %s: %s; seen %s\n", what, printable(d.Found), a.local(d.Seen))
		for _, n := range d.Names[:min(len(d.Names), maxNamesShown)] {
			fmt.Fprintf(&b, "    %s\n", name(strings.TrimSuffix(n.Snapshot+"/"+n.Path, "/")))
		}
		if more := d.More + uint64(len(d.Names)-min(len(d.Names), maxNamesShown)); more > 0 {
			fmt.Fprintf(&b, "    ... and %s\n", counted(more, "more name", "more names"))
		}
	}
	fmt.Fprintf(&b, "`snapcopy repair %s` restores what it can.\n", shellWord(path))
	return b.String()
}
