package prune

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// grouped makes snapshots from lines: a time, a group, and a doubt.
func grouped(t *testing.T, lines ...any) (list []Snapshot) {
	t.Helper()
	for i := 0; i < len(lines); i += 3 {
		s := complete(t, time.UTC, lines[i].(string))[0]
		s.Group, s.Doubt = lines[i+1].(string), lines[i+2].(Doubt)
		s.Complete = s.Doubt != LacksMost
		list = append(list, s)
	}
	return list
}

// Guards: rules apply to the snapshots of each group by themselves, and none about which there is a doubt takes the place
// of a good one.
func TestGroupsAndDoubts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		policy Policy
		list   []Snapshot
		want   []string
	}{
		{"groups", Policy{Last: 1}, grouped(t, "2026-01-01 12:00", "a", NoDoubt, "2026-01-02 12:00", "b", NoDoubt,
			"2026-01-03 12:00", "a", NoDoubt, "2026-01-04 12:00", "b", LacksMost, "2026-01-05 12:00", "c", NoDoubt),
			[]string{"remove 2026-01-01 12:00: unwanted",
				"keep 2026-01-02 12:00: last 1 of 1",
				"keep 2026-01-03 12:00: last 1 of 1",
				"keep 2026-01-04 12:00: newest incomplete",
				"keep 2026-01-05 12:00: last 1 of 1"}},
		{"doubts", Policy{Last: 1, CountIncomplete: true}, grouped(t, "2026-01-01 12:00", "", NoDoubt,
			"2026-01-02 12:00", "", LacksMost, "2026-01-03 12:00", "", NoDoubt, "2026-01-04 12:00", "", LooksWrong,
			"2026-01-05 12:00", "", LacksMost, "2026-01-06 12:00", "", HasNoFile),
			[]string{"remove 2026-01-01 12:00: unwanted",
				"remove 2026-01-02 12:00: hollow",
				"keep 2026-01-03 12:00: last 1 of 1",
				"keep 2026-01-04 12:00: suspect",
				"keep 2026-01-05 12:00: newest hollow",
				"keep 2026-01-06 12:00: newest hollow"}},
		{"empty sources", Policy{Last: 1}, grouped(t, "2026-01-01 12:00", "a", HasNoFile,
			"2026-01-02 12:00", "a", HasNoFile, "2026-01-03 12:00", "b", HasNoFile, "2026-01-04 12:00", "b", NoDoubt),
			[]string{"remove 2026-01-01 12:00: unwanted",
				"keep 2026-01-02 12:00: last 1 of 1",
				"remove 2026-01-03 12:00: hollow",
				"keep 2026-01-04 12:00: last 1 of 1"}},
	} {
		plan, err := Make(c.list, c.policy, now, nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := outcome(plan); !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, c.want)
		}
	}
}

// Guards: making room leaves the newest good snapshot of each group.
func TestThinLeavesOneOfEachGroup(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	list := grouped(t, "2026-01-01 12:00", "a", NoDoubt, "2026-01-02 12:00", "b", NoDoubt, "2026-01-03 12:00", "b", NoDoubt,
		"2026-01-04 12:00", "a", NoDoubt, "2026-01-05 12:00", "a", NoDoubt)
	space := &Space{}
	for _, s := range list {
		space.Snapshots = append(space.Snapshots, s.Name)
		space.Own = append(space.Own, Size{Bytes: 10})
	}
	plan, err := Make(list, Policy{MaxSize: 1, ThinAnyway: true}, now, &Room{Space: space})
	if err != nil && !errors.Is(err, ErrRemovesAll) {
		t.Fatal(err)
	}
	want := []string{"2026-01-01 12:00", "2026-01-02 12:00", "2026-01-04 12:00"}
	if got := plan.Removed(); !slices.Equal(got, want) {
		t.Errorf("removes %q, want %q", got, want)
	}
}
