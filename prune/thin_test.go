package prune

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

const gib = 1 << 30

// daily makes complete snapshots a day apart, the newest at the returned time, and what they hold: each its own number
// of GiB and one inode.
func daily(own ...uint64) (list []Snapshot, room *Room, now time.Time) {
	from := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	space := new(Space)
	for i, n := range own {
		s := Snapshot{Name: fmt.Sprint(i), Time: from.AddDate(0, 0, i), Complete: true}
		list, now = append(list, s), s.Time
		space.Snapshots = append(space.Snapshots, s.Name)
		space.Own = append(space.Own, Size{n * gib, 1})
	}
	return list, &Room{Space: space, Total: Size{1000 * gib, 1000}}, now
}

// Guards: the least history for the most space goes first, and only as much as is needed.
func TestThinning(t *testing.T) {
	for _, c := range []struct {
		name    string
		own     []uint64
		change  func(list []Snapshot, room *Room)
		policy  Policy
		removed []string
		missed  []Missed
	}{
		{"nothing to do", []uint64{1, 1, 1}, nil, Policy{MaxSize: 3 * gib}, nil, nil},
		// Gaps of two days: the older, the cheaper. Then 2 has a gap of three, and 3 one of two.
		{"old before recent", []uint64{1, 1, 1, 1, 1, 1, 1}, nil, Policy{MaxSize: 5 * gib}, []string{"1", "3"}, nil},
		{"the most for its history", []uint64{1, 1, 1, 9, 1, 1, 1}, nil, Policy{MaxSize: 10 * gib}, []string{"3"}, nil},
		{"beyond the goal counts nothing", []uint64{1, 1, 1, 9, 1, 1, 1}, nil, Policy{MaxSize: 14 * gib}, []string{"1"}, nil},
		{"the oldest when the rest is far apart", []uint64{1, 1, 1, 1}, nil, Policy{MaxSize: 2 * gib},
			[]string{"0", "1"}, nil},
		// 1 goes first (0.33 for 9/10 of what is lacking), then 3 (0.5 for all of it), which is enough alone.
		{"what turns out not to be needed", []uint64{1, 9, 1, 10, 1, 1, 1, 1}, nil, Policy{MaxSize: 15 * gib},
			[]string{"3"}, nil},
		// 1, 3 and 5 go; one of 1 and 3 is not needed, and 3 costs more.
		{"the costliest comes back first", []uint64{1, 9, 1, 9, 1, 11, 1, 1, 1, 1}, nil, Policy{MaxSize: 16 * gib},
			[]string{"1", "5"}, nil},
		{"never the newest", []uint64{1, 1, 50}, nil, Policy{MaxSize: 50 * gib}, []string{"0", "1"}, nil},
		{"all that may go is not enough", []uint64{1, 1, 50}, nil, Policy{MaxSize: 49 * gib}, nil,
			[]Missed{{"max-size", 49 * gib, gib}}},
		{"it goes anyway", []uint64{1, 1, 50}, nil, Policy{MaxSize: 49 * gib, ThinAnyway: true}, []string{"0", "1"},
			[]Missed{{"max-size", 49 * gib, gib}}},
		{"never what is pinned, needed or incomplete", []uint64{1, 9, 9, 1, 1, 9}, func(list []Snapshot, _ *Room) {
			list[1].Pinned, list[2].MustStay, list[5].Complete = true, "x", false
		}, Policy{MaxSize: 28 * gib}, []string{"0", "3"}, nil},
		{"never the newest complete one", []uint64{1, 50, 9}, func(list []Snapshot, _ *Room) { list[2].Complete = false },
			Policy{MaxSize: 20 * gib, ThinAnyway: true}, []string{"0"}, []Missed{{"max-size", 20 * gib, 39 * gib}}},
		{"never the future", []uint64{1, 1, 1, 50}, func(list []Snapshot, _ *Room) {
			list[3].Time = late
		}, Policy{MaxSize: 10 * gib, ThinAnyway: true}, []string{"0", "1"}, []Missed{{"max-size", 10 * gib, 41 * gib}}},
		{"after the rules", []uint64{1, 1, 1, 1, 1}, nil, Policy{Last: 3, MaxSize: 3 * gib}, []string{"0", "1"}, nil},
		{"on top of the rules", []uint64{1, 1, 1, 1, 1, 1}, nil, Policy{Last: 5, MaxSize: 4 * gib}, []string{"0", "2"}, nil},
		{"a share of the disk", []uint64{30, 30, 30, 30}, func(_ []Snapshot, room *Room) { room.Free.Bytes = 80 * gib },
			Policy{KeepFree: Amount{Percent: 10}}, []string{"0"}, nil},
		{"bytes of the disk", []uint64{30, 30, 30, 30}, func(_ []Snapshot, room *Room) { room.Free.Bytes = 80 * gib },
			Policy{KeepFree: Amount{Number: 80*gib + 1}}, []string{"0"}, nil},
		{"inodes", []uint64{9, 1, 1, 1}, func(list []Snapshot, room *Room) {
			room.Free.Inodes, room.Space.Own[2].Inodes = 40, 20
		}, Policy{KeepFreeInodes: Amount{Percent: 6}}, []string{"2"}, nil},
		{"a file system that counts no inodes", []uint64{1, 1, 1}, func(_ []Snapshot, room *Room) { room.Total.Inodes = 0 },
			Policy{KeepFreeInodes: Amount{Percent: 50}}, nil, nil},
		{"two goals, one out of reach", []uint64{1, 1, 1, 1}, nil,
			Policy{MaxSize: 3 * gib, KeepFree: Amount{Number: 100 * gib}}, []string{"0"},
			[]Missed{{"keep-free", 100 * gib, 97 * gib}}},
		{"not measured", []uint64{1, 1, 1, 1, 1, 1}, func(_ []Snapshot, room *Room) {
			room.Space.Snapshots[1] = "another"
		}, Policy{MaxSize: 5 * gib}, []string{"2"}, nil},
		// None of 0, 1 and 2 gives more than 1 GiB alone, all three 100.
		{"shared by all that go", []uint64{1, 1, 1, 1}, func(_ []Snapshot, room *Room) {
			room.Space.Shared = []Share{{[]int{0, 1, 2}, Size{97 * gib, 1}}, {[]int{0, 3}, Size{500 * gib, 1}}}
		}, Policy{MaxSize: 504 * gib}, []string{"0", "1", "2"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, room, now := daily(c.own...)
			if c.change != nil {
				c.change(list, room)
			}
			plan, err := Make(list, c.policy, now, room)
			if err != nil {
				t.Fatal(err)
			}
			if got := plan.Removed(); !slices.Equal(got, c.removed) {
				t.Errorf("removed %v, want %v", got, c.removed)
			}
			if !slices.Equal(plan.Missed, c.missed) {
				t.Errorf("missed %v, want %v", plan.Missed, c.missed)
			}
		})
	}
}

// Guards: reasons say what wanted a snapshot before it had to make room, and the parts add up to the whole.
func TestThinnedReasons(t *testing.T) {
	list, room, now := daily(1, 1, 1, 1, 1)
	room.Space.Shared = []Share{{[]int{0, 1}, Size{5 * gib, 1}}}
	plan, err := Make(list, Policy{Last: 4, MaxSize: 3 * gib}, now, room)
	if err != nil {
		t.Fatal(err)
	}
	equalLines(t, "outcome", outcome(plan), []string{
		"remove 0: unwanted",
		"remove 1: thinned: last 4 of 4",
		"keep 2: last 3 of 4", "keep 3: last 2 of 4", "keep 4: last 1 of 4"})
	if *plan.Freed != (Size{7 * gib, 3}) || *plan.Decisions[0].Freed != (Size{gib, 1}) ||
		*plan.Decisions[1].Freed != (Size{6 * gib, 2}) || plan.Decisions[2].Freed != nil {
		t.Errorf("freed %v: %v and %v", plan.Freed, plan.Decisions[0].Freed, plan.Decisions[1].Freed)
	}
}

// Guards: a share is never rounded to less than was asked for.
func TestAmount(t *testing.T) {
	for _, c := range []struct {
		amount Amount
		total  uint64
		want   uint64
	}{
		{Amount{}, 1000, 0}, {Amount{Number: 7}, 1000, 7}, {Amount{Percent: 10}, 1000, 100}, {Amount{Percent: 10}, 1001, 101},
		{Amount{Percent: 0.1}, 1, 1}, {Amount{Percent: 100}, 1 << 50, 1 << 50}, {Amount{Percent: 10}, 0, 0},
	} {
		if got := c.amount.of(c.total); got != c.want {
			t.Errorf("%+v of %d: %d, want %d", c.amount, c.total, got, c.want)
		}
	}
}
