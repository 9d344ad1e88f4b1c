package prune

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"snapcopy/internal/calendar"
)

// minute is how tests write a time.
const minute = "2006-01-02 15:04"

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func span(t *testing.T, text string) calendar.Span {
	t.Helper()
	s, err := calendar.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// at reads a time in loc, or in RFC 3339.
func at(t *testing.T, loc *time.Location, text string) time.Time {
	t.Helper()
	if when, err := time.Parse(time.RFC3339, text); err == nil {
		return when
	}
	when, err := time.ParseInLocation(minute, text, loc)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// complete makes complete snapshots, whose names are the texts of their times.
func complete(t *testing.T, loc *time.Location, times ...string) (list []Snapshot) {
	t.Helper()
	for _, text := range times {
		list = append(list, Snapshot{Name: text, Time: at(t, loc, text), Complete: true})
	}
	return list
}

// every makes complete snapshots from one time to another, one for each step of days at the same time of day.
func every(days int, from, to time.Time) (list []Snapshot) {
	for when, n := from, 0; !when.After(to); when = from.AddDate(0, 0, n) {
		n += days
		list = append(list, Snapshot{Name: when.Format(minute), Time: when, Complete: true})
	}
	return list
}

// late is after every time of these tests.
var late = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

func mustMake(t *testing.T, list []Snapshot, p Policy, now time.Time) *Plan {
	t.Helper()
	plan, err := Make(list, p, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// why returns the reasons of a decision as "daily 3 of 7; pinned: before the upgrade".
func why(d *Decision) string { return texts(d.Reasons) }

func texts(list []Reason) string {
	all := make([]string, len(list))
	for i, r := range list {
		all[i] = string(r.Kind)
		switch {
		case r.Label != "":
			all[i] += ": " + r.Label
		case r.Otherwise != nil:
			all[i] += ": " + texts(r.Otherwise)
		case !r.Within.IsZero():
			all[i] += " " + r.Within.String()
		case r.Of == Unlimited:
			all[i] += fmt.Sprintf(" %d, no limit", r.Number)
		case r.Of > 0:
			all[i] += fmt.Sprintf(" %d of %d", r.Number, r.Of)
		}
		if r.Oldest {
			all[i] += ", oldest"
		}
	}
	return strings.Join(all, "; ")
}

// kept lists what a plan keeps as "name: reasons", oldest first.
func kept(p *Plan) (list []string) {
	for _, d := range p.Decisions {
		if d.Keep {
			list = append(list, d.Name+": "+why(&d))
		}
	}
	return list
}

func keptNames(p *Plan) (list []string) {
	for _, d := range p.Decisions {
		if d.Keep {
			list = append(list, d.Name)
		}
	}
	return list
}

func equalLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}
