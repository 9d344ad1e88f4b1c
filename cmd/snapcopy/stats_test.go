package main

import (
	"testing"
	"time"

	"snapcopy/prune"
)

// Guards: growth is what the last month added and still holds, also where the snapshot that added it was pruned.
func TestGrowth(t *testing.T) {
	at := time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)
	share := func(bytes uint64, sharers ...int) prune.Share {
		return prune.Share{Sharers: sharers, Size: prune.Size{Bytes: bytes}}
	}
	tests := []struct {
		days   []int
		shared []prune.Share
		perDay float64
		ok     bool
	}{
		{days: []int{0}},
		{days: []int{0, 0}},
		{days: []int{0, 40}},
		{[]int{0, 1, 2}, []prune.Share{share(7000, 0, 1, 2), share(180, 1, 2)}, 100, true},
		{[]int{0, 2}, []prune.Share{share(7000, 0, 1), share(180, 1)}, 95, true},
		{[]int{0, 40, 42}, []prune.Share{share(7000, 1, 2), share(30, 2)}, 20, true},
	}
	for i, test := range tests {
		space := &prune.Space{Shared: test.shared}
		var lines []statsLine
		for _, day := range test.days {
			lines = append(lines, statsLine{Time: at.AddDate(0, 0, day)})
			space.Snapshots = append(space.Snapshots, "")
			space.Own = append(space.Own, prune.Size{Bytes: 10})
		}
		if perDay, ok := growth(lines, space); perDay != test.perDay || ok != test.ok {
			t.Errorf("%d: %v, %v; want %v, %v", i, perDay, ok, test.perDay, test.ok)
		}
	}
}
