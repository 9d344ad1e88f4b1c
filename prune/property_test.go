package prune

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"snapcopy/internal/calendar"
)

var zones = []string{"UTC", "Europe/Berlin", "Pacific/Auckland", "America/Sao_Paulo", "Australia/Lord_Howe"}

// drawSnapshots makes up snapshots: in bursts, with gaps, across some years, some of them special.
func drawSnapshots(t *rapid.T, special bool) (list []Snapshot, now time.Time) {
	when := time.Date(2019, 10, 20, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for i := range rapid.IntRange(0, 40).Draw(t, "snapshots") {
		step := rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, day, day, 40 * day})
		when = when.Add(step.Draw(t, "step") * time.Duration(rapid.IntRange(1, 3).Draw(t, "steps")))
		s := Snapshot{Name: fmt.Sprintf("%03d", i), Time: when, Complete: true}
		if special {
			s.Complete = rapid.IntRange(0, 5).Draw(t, "complete") > 0
			s.Pinned = rapid.IntRange(0, 9).Draw(t, "pinned") == 0
			if rapid.IntRange(0, 9).Draw(t, "must stay") == 0 {
				s.MustStay = "x"
			}
		}
		list = append(list, s)
	}
	now = when
	if special && rapid.Bool().Draw(t, "some in the future") {
		now = when.Add(-time.Duration(rapid.IntRange(0, 100).Draw(t, "hours")) * time.Hour)
	}
	return list, now
}

func drawPolicy(t *rapid.T) Policy {
	count := rapid.Custom(func(t *rapid.T) Count {
		return Count(max(-1, rapid.IntRange(-1, 12).Draw(t, "n")-4*rapid.IntRange(0, 1).Draw(t, "fewer")))
	})
	within := rapid.Custom(func(t *rapid.T) calendar.Span {
		if rapid.IntRange(0, 3).Draw(t, "is there") > 0 {
			return calendar.Span{}
		}
		return calendar.Span{Months: rapid.IntRange(0, 14).Draw(t, "months"), Days: rapid.IntRange(0, 40).Draw(t, "days"),
			Elapsed: time.Duration(rapid.IntRange(0, 60).Draw(t, "hours")) * time.Hour}
	})
	loc, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
	if err != nil {
		t.Fatal(err)
	}
	return Policy{
		Last: count.Draw(t, "last"), Hourly: count.Draw(t, "hourly"), Daily: count.Draw(t, "daily"),
		Weekly: count.Draw(t, "weekly"), Monthly: count.Draw(t, "monthly"), Yearly: count.Draw(t, "yearly"),
		Within: within.Draw(t, "within"), WithinHourly: within.Draw(t, "within hourly"),
		WithinDaily: within.Draw(t, "within daily"), WithinWeekly: within.Draw(t, "within weekly"),
		WithinMonthly: within.Draw(t, "within monthly"), WithinYearly: within.Draw(t, "within yearly"),
		Zone: loc, CountIncomplete: rapid.Bool().Draw(t, "count incomplete"),
	}
}

// drawRoom makes up what snapshots hold.
func drawRoom(t *rapid.T, list []Snapshot) *Room {
	size := rapid.Custom(func(t *rapid.T) Size {
		return Size{rapid.Uint64Range(0, 1000).Draw(t, "bytes"), rapid.Uint64Range(0, 20).Draw(t, "inodes")}
	})
	space := new(Space)
	for _, s := range list {
		space.Snapshots, space.Own = append(space.Snapshots, s.Name), append(space.Own, size.Draw(t, "own"))
	}
	for range rapid.IntRange(0, 30).Draw(t, "shares") * min(len(list), 1) {
		var sharers []int
		first := rapid.IntRange(0, len(list)-1).Draw(t, "first")
		for i := first; i < len(list); i++ {
			if i == first || rapid.IntRange(0, 3).Draw(t, "holds") > 0 {
				sharers = append(sharers, i)
			} else if rapid.Bool().Draw(t, "ends") {
				break
			}
		}
		space.Shared = append(space.Shared, Share{sharers, size.Draw(t, "share")})
	}
	return &Room{space, Size{100_000, 5000}, Size{rapid.Uint64Range(0, 5000).Draw(t, "free"), 100}}
}

func drawThinning(t *rapid.T, p *Policy) {
	switch rapid.IntRange(0, 2).Draw(t, "kind of goal") {
	case 0:
		p.KeepFree = Amount{Number: rapid.Uint64Range(1, 15_000).Draw(t, "keep free")}
	case 1:
		p.KeepFreeInodes = Amount{Percent: float64(rapid.IntRange(1, 10).Draw(t, "keep free inodes"))}
	}
	if rapid.Bool().Draw(t, "max size?") {
		p.MaxSize = rapid.Uint64Range(1, 20_000).Draw(t, "max size")
	}
	p.ThinAnyway = rapid.Bool().Draw(t, "anyway")
}

// Guards: every snapshot has one decision and a reason; whatever is kept is decided the same again once the rest is
// gone; the newest that counts stays.
func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list, now := drawSnapshots(t, true)
		policy := drawPolicy(t)
		room := drawRoom(t, list)
		if rapid.Bool().Draw(t, "thin") {
			drawThinning(t, &policy)
		}
		plan, err := Make(list, policy, now, room)
		if policy.IsEmpty() {
			if err == nil {
				t.Fatal("an empty policy is carried out")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(plan.Decisions) != len(list) {
			t.Fatalf("%d decisions about %d snapshots", len(plan.Decisions), len(list))
		}
		var removed []int
		var rest []Snapshot
		var parts Size
		newest := -1
		for i, d := range plan.Decisions {
			if d.Snapshot != list[i] || len(d.Reasons) == 0 || why(&d) == "" {
				t.Fatalf("decision %d: %+v", i, d)
			}
			if (d.Complete || policy.CountIncomplete) && !d.Time.After(now.Add(Slack)) {
				newest = i
			}
			if d.Keep {
				rest = append(rest, list[i])
				continue
			}
			if d.Pinned || d.MustStay != "" || d.Time.After(now.Add(Slack)) {
				t.Fatalf("removed: %+v", d)
			}
			removed = append(removed, i)
			parts.add(*d.Freed)
		}
		if newest >= 0 && !plan.Decisions[newest].Keep {
			t.Fatalf("the newest is removed: %+v", plan.Decisions[newest])
		}
		if want := room.Space.Freed(removed...); *plan.Freed != want || parts != want {
			t.Fatalf("freed %v, in parts %v, want %v", *plan.Freed, parts, want)
		}
		checkGoals(t, plan, &policy, room)

		after := &Room{without(room.Space, removed), room.Total, Size{room.Free.Bytes + parts.Bytes,
			room.Free.Inodes + parts.Inodes}}
		again, err := Make(rest, policy, now, after)
		if err != nil || len(again.Removed()) > 0 {
			t.Fatalf("once more: %v, %v", again.Removed(), err)
		}
	})
}

// checkGoals makes sure that each goal is reached or told, and that nothing was thinned out that need not have been.
func checkGoals(t *rapid.T, plan *Plan, policy *Policy, room *Room) {
	missed := make(map[string]bool)
	for _, m := range plan.Missed {
		missed[m.Goal] = true
		if m.By == 0 {
			t.Fatalf("missed by nothing: %+v", m)
		}
	}
	reached := func(freed Size) bool {
		return (missed["keep-free"] || room.Free.Bytes+freed.Bytes >= policy.KeepFree.Number) &&
			(missed["keep-free-inodes"] || float64(room.Free.Inodes+freed.Inodes) >=
				math.Ceil(policy.KeepFreeInodes.Percent*float64(room.Total.Inodes)/100)) &&
			(missed["max-size"] || policy.MaxSize == 0 || room.Space.Total().Bytes-freed.Bytes <= policy.MaxSize)
	}
	if !reached(*plan.Freed) {
		t.Fatalf("goals %+v, freed %v, missed %v", policy, *plan.Freed, plan.Missed)
	}
	if policy.ThinAnyway && len(missed) > 0 {
		return
	}
	var removed []int
	for i := range plan.Decisions {
		if !plan.Decisions[i].Keep {
			removed = append(removed, i)
		}
	}
	for _, i := range removed {
		if plan.Decisions[i].Reasons[0].Kind != Thinned {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(removed), func(k int) bool { return k == i })
		if reached(room.Space.Freed(others...)) {
			t.Fatalf("%s need not have been removed", plan.Decisions[i].Name)
		}
	}
}

// without is the space of an archive from which snapshots were removed.
func without(s *Space, removed []int) *Space {
	out := new(Space)
	position := make(map[int]int)
	for i, name := range s.Snapshots {
		if !slices.Contains(removed, i) {
			position[i] = len(out.Snapshots)
			out.Snapshots, out.Own = append(out.Snapshots, name), append(out.Own, s.Own[i])
		}
	}
	for _, share := range s.Shared {
		var sharers []int
		for _, h := range share.Sharers {
			if at, ok := position[h]; ok {
				sharers = append(sharers, at)
			}
		}
		if len(sharers) > 0 {
			out.Shared = append(out.Shared, Share{sharers, share.Size})
		}
	}
	return out
}

// Guards: whoever asks for more gets no less.
func TestRaisingACountRemovesNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list, now := drawSnapshots(t, true)
		policy := drawPolicy(t)
		more := policy
		which := rapid.IntRange(0, 6).Draw(t, "which")
		if which == 6 {
			more.Within.Days += 3
		} else {
			count := []*Count{&more.Last, &more.Hourly, &more.Daily, &more.Weekly, &more.Monthly, &more.Yearly}[which]
			if *count != Unlimited {
				*count += Count(rapid.IntRange(1, 3).Draw(t, "more"))
			}
			if rapid.IntRange(0, 4).Draw(t, "all") == 0 {
				*count = Unlimited
			}
		}
		if policy.IsEmpty() {
			return
		}
		few, err := Make(list, policy, now, nil)
		if err != nil {
			t.Fatal(err)
		}
		many, err := Make(list, more, now, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, d := range few.Decisions {
			if d.Keep && !many.Decisions[i].Keep {
				t.Fatalf("%s is kept (%s) by %+v but not by %+v", d.Name, why(&d), policy, more)
			}
		}
	})
}

// Guards: the rules are what their definition says, put into code another way: periods named by text and grouped.
func TestRulesByDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list, _ := drawSnapshots(t, false)
		policy := drawPolicy(t)
		if policy.IsEmpty() || len(list) == 0 {
			return
		}
		want := make(map[string]bool)
		for _, r := range []struct {
			count  Count
			within calendar.Span
			name   func(time.Time) string
		}{
			{policy.Last, policy.Within, func(t time.Time) string { return t.Format(time.RFC3339Nano) }},
			{policy.Hourly, policy.WithinHourly, func(t time.Time) string { return t.Format("2006-01-02 15") }},
			{policy.Daily, policy.WithinDaily, func(t time.Time) string { return t.Format(time.DateOnly) }},
			{policy.Weekly, policy.WithinWeekly, func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprint(y, w) }},
			{policy.Monthly, policy.WithinMonthly, func(t time.Time) string { return t.Format("2006-01") }},
			{policy.Yearly, policy.WithinYearly, func(t time.Time) string { return t.Format("2006") }},
		} {
			byCount, byWithin := make(map[string]bool), make(map[string]bool)
			newest := list[len(list)-1].Time.In(policy.Zone)
			for i, s := range slices.Backward(list) {
				name := r.name(s.Time.In(policy.Zone))
				if left := r.count == Unlimited || len(byCount) < int(r.count); left && (!byCount[name] || i == 0) {
					byCount[name], want[s.Name] = true, true
				}
				in := !r.within.IsZero() && s.Time.After(r.within.Before(newest))
				if in && (!byWithin[name] || i == 0) {
					byWithin[name], want[s.Name] = true, true
				}
			}
		}
		plan, err := Make(list, policy, late, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range plan.Decisions {
			if d.Keep != want[d.Name] {
				t.Fatalf("%s: %v (%s), want %v", d.Time, d.Keep, why(&d), want[d.Name])
			}
		}
	})
}
