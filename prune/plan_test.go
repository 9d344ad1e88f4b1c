package prune

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// mixed makes snapshots from lines: a time, then what is special about it.
func mixed(t *testing.T, lines ...[]string) (list []Snapshot) {
	t.Helper()
	for _, l := range lines {
		s := complete(t, time.UTC, l[0])[0]
		for _, word := range l[1:] {
			switch word {
			case "incomplete":
				s.Complete = false
			case "pinned":
				s.Pinned = true
			case "labelled":
				s.Pinned, s.Label = true, "before the upgrade"
			case "needed":
				s.MustStay = Needed
			default:
				t.Fatalf("%q", word)
			}
		}
		list = append(list, s)
	}
	return list
}

func outcome(p *Plan) (list []string) {
	for _, d := range p.Decisions {
		verb := "remove "
		if d.Keep {
			verb = "keep "
		}
		list = append(list, verb+d.Name+": "+why(&d))
	}
	return list
}

// Guards: incomplete snapshots do not count and go when a newer one is complete; what is pinned, needed or in the
// future stays and takes no other's place.
func TestSpecialSnapshots(t *testing.T) {
	now := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		policy Policy
		list   []Snapshot
		want   []string
	}{
		{"incomplete", Policy{Last: 2},
			mixed(t, []string{"2026-01-01 12:00"}, []string{"2026-01-02 12:00", "incomplete"}, []string{"2026-01-03 12:00"},
				[]string{"2026-01-04 12:00", "incomplete"}, []string{"2026-01-05 12:00", "incomplete"}),
			[]string{"keep 2026-01-01 12:00: last 2 of 2",
				"remove 2026-01-02 12:00: incomplete",
				"keep 2026-01-03 12:00: last 1 of 2",
				"keep 2026-01-04 12:00: newest incomplete",
				"keep 2026-01-05 12:00: newest incomplete"}},
		{"nothing complete", Policy{Last: 1},
			mixed(t, []string{"2026-01-01 12:00", "incomplete"}, []string{"2026-01-02 12:00", "incomplete"}),
			[]string{"keep 2026-01-01 12:00: newest incomplete",
				"keep 2026-01-02 12:00: newest incomplete"}},
		{"incomplete ones counted", Policy{Last: 1, CountIncomplete: true},
			mixed(t, []string{"2026-01-01 12:00"}, []string{"2026-01-02 12:00", "incomplete"}),
			[]string{"remove 2026-01-01 12:00: unwanted", "keep 2026-01-02 12:00: last 1 of 1"}},
		{"the oldest is the oldest complete one", Policy{Monthly: 2},
			mixed(t, []string{"2026-01-01 12:00", "incomplete"}, []string{"2026-01-02 12:00"}, []string{"2026-01-03 12:00"}),
			[]string{"remove 2026-01-01 12:00: incomplete",
				"keep 2026-01-02 12:00: monthly 2 of 2, oldest", "keep 2026-01-03 12:00: monthly 1 of 2"}},
		{"future", Policy{Daily: 1, Within: span(t, "1d")},
			mixed(t, []string{"2026-01-08 12:00"}, []string{"2026-01-09 13:00"}, []string{"2026-01-10 12:00"},
				[]string{"2026-01-10 12:02"}, []string{"2027-01-10 12:00", "incomplete"}),
			[]string{"remove 2026-01-08 12:00: unwanted",
				"keep 2026-01-09 13:00: within 1d",
				"keep 2026-01-10 12:00: daily 1 of 1; within 1d",
				"keep 2026-01-10 12:02: in the future", "keep 2027-01-10 12:00: in the future"}},
		{"clocks that differ a little", Policy{Last: 1},
			mixed(t, []string{"2026-01-10 12:00"}, []string{"2026-01-10 12:01"}),
			[]string{"remove 2026-01-10 12:00: unwanted", "keep 2026-01-10 12:01: last 1 of 1"}},
		{"a complete one in the future displaces no incomplete one", Policy{Last: 1},
			mixed(t, []string{"2026-01-09 12:00", "incomplete"}, []string{"2026-02-01 12:00"}),
			[]string{"keep 2026-01-09 12:00: newest incomplete",
				"keep 2026-02-01 12:00: in the future"}},
		{"pinned and needed", Policy{Last: 1},
			mixed(t, []string{"2026-01-01 12:00", "pinned"}, []string{"2026-01-02 12:00", "labelled", "incomplete"},
				[]string{"2026-01-03 12:00", "needed"}, []string{"2026-01-04 12:00", "needed", "incomplete"},
				[]string{"2026-01-05 12:00", "labelled", "needed"}),
			[]string{"keep 2026-01-01 12:00: pinned", "keep 2026-01-02 12:00: pinned: before the upgrade",
				"keep 2026-01-03 12:00: needed", "keep 2026-01-04 12:00: needed",
				"keep 2026-01-05 12:00: pinned: before the upgrade; needed; last 1 of 1"}},
		{"a pinned one counts like any other", Policy{Daily: 2},
			mixed(t, []string{"2026-01-01 12:00"}, []string{"2026-01-02 12:00"}, []string{"2026-01-03 12:00", "pinned"}),
			[]string{"remove 2026-01-01 12:00: unwanted", "keep 2026-01-02 12:00: daily 2 of 2",
				"keep 2026-01-03 12:00: pinned; daily 1 of 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			equalLines(t, c.name, outcome(mustMake(t, c.list, c.policy, now)), c.want)
			slices.Reverse(c.list)
			equalLines(t, c.name+", given in another order", outcome(mustMake(t, c.list, c.policy, now)), c.want)
		})
	}
}

// Guards: nothing is lost by a slip: an empty policy, or one that leaves no complete snapshot, is refused.
func TestRefused(t *testing.T) {
	list := complete(t, time.UTC, "2026-01-01 12:00", "2026-01-02 12:00")
	for _, c := range []struct {
		name   string
		policy Policy
		want   error
	}{
		{"empty", Policy{}, ErrEmptyPolicy},
		{"a zone is no rule", Policy{Zone: time.Local, CountIncomplete: true, ThinAnyway: true}, ErrEmptyPolicy},
		{"thinning out without figures", Policy{Last: 1, MaxSize: 1}, ErrUnknownSpace},
	} {
		if plan, err := Make(list, c.policy, late, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, plan, err, c.want)
		}
	}
	for _, p := range []Policy{{Last: -2}, {KeepFree: Amount{Percent: 101}}, {KeepFreeInodes: Amount{Percent: -1}},
		{KeepFree: Amount{Number: 1, Percent: 1}}} {
		if plan, err := Make(list, p, late, &Room{Space: new(Space)}); err == nil {
			t.Errorf("%+v: %v", p, plan)
		}
	}
	all := append(slices.Clone(list),
		mixed(t, []string{"2026-01-03 12:00", "incomplete"}, []string{"2026-01-04 12:00", "pinned"})...)
	equalLines(t, "an empty policy that is allowed", outcome(mustMake(t, all, Policy{AllowRemoveAll: true}, late)),
		[]string{"remove 2026-01-01 12:00: everything", "remove 2026-01-02 12:00: everything",
			"remove 2026-01-03 12:00: incomplete", "keep 2026-01-04 12:00: pinned"})
	if plan := mustMake(t, nil, Policy{Last: 1}, late); len(plan.Decisions) > 0 || plan.Removed() != nil {
		t.Errorf("an empty archive: %+v", plan)
	}

	// The last line of defence, should a rule be wrong one day.
	d := newDraft(append(list, mixed(t, []string{"2026-01-03 12:00", "incomplete"})...), &Policy{Last: 1}, late)
	if !d.leavesNothing() {
		t.Error("a plan that removes everything is taken for safe")
	}
	d.plan.Decisions[2].Keep = true
	if !d.leavesNothing() {
		t.Error("a plan that leaves only an incomplete snapshot is taken for safe")
	}
	d.plan.Decisions[0].Keep = true
	if d.leavesNothing() {
		t.Error("a plan that leaves a complete snapshot is taken for dangerous")
	}
}

// Guards: the snapshots that are given stay as they are.
func TestMakeChangesNothing(t *testing.T) {
	list := complete(t, time.UTC, "2026-01-02 12:00", "2026-01-01 12:00")
	before := slices.Clone(list)
	mustMake(t, list, Policy{Last: 1}, late)
	if !slices.Equal(list, before) {
		t.Errorf("%v, was %v", list, before)
	}
}
