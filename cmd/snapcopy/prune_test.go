package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"snapcopy/internal/archive"
	"snapcopy/prune"
)

// Guards: what is freed stands beside what is removed and adds up, in the table and for programs; a goal out of reach
// is told, with an exit status of its own.
func TestPlanWithBytes(t *testing.T) {
	at := time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	var list []prune.Snapshot
	space := new(prune.Space)
	for day := range 4 {
		when := at.AddDate(0, 0, day)
		list = append(list, prune.Snapshot{Name: archive.NameAt(when), Time: when, Complete: true})
		space.Snapshots = append(space.Snapshots, list[day].Name)
		space.Own = append(space.Own, prune.Size{Bytes: 1 << 20, Inodes: 10})
	}
	list = append(list, prune.Snapshot{Name: "2026-11-20T030000Z", Time: at.Add(time.Hour)})
	space.Shared = []prune.Share{{Sharers: []int{0, 1}, Size: prune.Size{Bytes: 3 << 20, Inodes: 5}}}
	room := &prune.Room{Space: space, Total: prune.Size{Bytes: 1 << 30, Inodes: 1000}, Free: prune.Size{Bytes: 1 << 29}}
	o := pruneOptions{last: countFlag{prune.Count(2)}, keepFree: amountFlag{prune.Amount{Percent: 90}}, dryRun: true}

	a, out, errOut := testApp(t)
	a.loc = time.UTC
	plan, err := o.plan(a, list, at.AddDate(0, 0, 5), room)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(o.tell(a, plan, new(prune.Facts)), a.term.flush()); err != nil {
		t.Fatal(err)
	}
	want := `SNAPSHOT            LOCAL TIME           PLAN      FREES  WHY
2026-11-20T020000Z  2026-11-20 02:00:00  remove  1.0 MiB  no rule wants it
2026-11-20T030000Z  2026-11-20 03:00:00  remove      0 B  incomplete, and a newer one is complete
2026-11-21T020000Z  2026-11-21 02:00:00  remove  4.0 MiB  no rule wants it
2026-11-22T020000Z  2026-11-22 02:00:00  keep             last 2 of 2
2026-11-23T020000Z  2026-11-23 02:00:00  keep             last 1 of 2
5 snapshots: keep 2, would remove 3, which would free 5.0 MiB and 25 inodes.
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	for _, line := range []string{
		"snapcopy: --keep-free: cannot reach 922 MiB; removing every snapshot that may go would still fall short by 404 MiB. " +
			"Nothing is removed for this goal.",
		"Warning: the content of 2026-11-20T030000Z is not known; more may be freed than shown.",
	} {
		if !strings.Contains(errOut.String(), line+"\n") {
			t.Errorf("stderr lacks %q: %s", line, errOut)
		}
	}
	if status := statusOf(outcomeOf(plan, false)); status != statusNoSpace {
		t.Errorf("exit status %d", status)
	}
	if status := statusOf(outcomeOf(plan, true)); status != statusDamage {
		t.Errorf("exit status %d with damage", status)
	}

	out.Reset()
	o.dryRun = false
	if err := errors.Join(o.tell(a, plan, new(prune.Facts)), a.term.flush()); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Contains(got, "keep  ") || !strings.Contains(got, "2026-11-21T020000Z") {
		t.Errorf("to be carried out: %s", got)
	}

	out.Reset()
	o.json = true
	if err := errors.Join(o.tell(a, plan, new(prune.Facts)), a.term.flush()); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`{"type":"decision","snapshot":"2026-11-21T020000Z","time":"2026-11-21T02:00:00Z","plan":"remove","reasons":["no rule wants it"],` +
			`"freed":{"bytes":4194304,"inodes":15}}`,
		`{"type":"plan","snapshots":5,"kept":2,"removed":3,"freed":{"bytes":5242880,"inodes":25},` +
			`"missed":[{"goal":"keep-free","wanted":966367642,"lacking":423205274}],"unmeasured":["2026-11-20T030000Z"]}`,
	} {
		if !strings.Contains(out.String(), line+"\n") {
			t.Errorf("JSON lacks %s: %s", line, out)
		}
	}
}

// Guards: where no run is ever complete, nothing would ever go, and that does not go unsaid.
func TestNothingIsEverComplete(t *testing.T) {
	at := time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	list := []prune.Snapshot{{Name: "a", Time: at}, {Name: "b", Time: at.Add(time.Hour)}}
	for _, o := range []pruneOptions{{last: countFlag{1}}, {last: countFlag{1}, countIncomplete: true}} {
		a, out, errOut := testApp(t)
		plan, err := o.plan(a, list, at.AddDate(0, 0, 5), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(o.tell(a, plan, new(prune.Facts)), a.term.flush()); err != nil {
			t.Fatal(err)
		}
		warned := strings.Contains(errOut.String(), "Warning: 2 incomplete snapshots are kept until a newer one is complete.")
		if warned == o.countIncomplete || strings.Contains(out.String(), "remove 1") != o.countIncomplete {
			t.Errorf("%v: %s%s", o.countIncomplete, out, errOut)
		}
	}
}

// Guards: flags read what people write and nothing else, and show it again.
func TestPruneFlags(t *testing.T) {
	type value interface {
		Set(string) error
		String() string
	}
	for _, c := range []struct {
		v    func() value
		good map[string]string
		bad  []string
	}{
		{func() value { return new(countFlag) }, map[string]string{"0": "", "7": "7", "unlimited": "unlimited"},
			[]string{"", "-1", "+7", "1.5", "7d", "Unlimited", "99999999999"}},
		{func() value { return new(spanFlag) }, map[string]string{"90d": "90d", "1y6mo": "1y6m", "2w": "14d"},
			[]string{"", "0d", "90", "-1d", "1d 2h"}},
		{func() value { return new(amountFlag) },
			map[string]string{"10%": "10%", "0.5%": "0.5%", "1KiB": "1024", "100": "100"},
			[]string{"", "%", "0%", "-1%", "100.1%", "NaN%", "Inf%", "ten", "0", "-5GiB"}},
		{func() value { return new(inodesFlag) }, map[string]string{"5%": "5%", "100000": "100000"},
			[]string{"", "0", "0%", "1k", "1.5", "-1"}},
	} {
		for text, want := range c.good {
			v := c.v()
			if err := v.Set(text); err != nil || v.String() != want {
				t.Errorf("%T %q: %q, %v; want %q", v, text, v.String(), err, want)
			}
		}
		for _, text := range c.bad {
			v := c.v()
			if err := v.Set(text); err == nil {
				t.Errorf("%T %q: %q", v, text, v.String())
			}
		}
	}
}
