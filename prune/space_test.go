package prune

import "testing"

// Guards: a stored file counts when, and only when, all that hold it go; a snapshot named twice counts once.
func TestFreed(t *testing.T) {
	s := Space{
		Snapshots: []string{"a", "b", "c"},
		Own:       []Size{{1, 1}, {2, 1}, {4, 1}},
		Shared: []Share{
			{Sharers: []int{0}, Size: Size{10, 1}},
			{Sharers: []int{0, 1}, Size: Size{100, 2}},
			{Sharers: []int{0, 1, 2}, Size: Size{1000, 3}},
			{Sharers: []int{0, 2}, Size: Size{10_000, 4}},
		},
	}
	for _, c := range []struct {
		removed []int
		want    Size
	}{
		{nil, Size{}},
		{[]int{0}, Size{11, 2}},
		{[]int{1}, Size{2, 1}},
		{[]int{0, 1, 0}, Size{113, 5}},
		{[]int{2, 0}, Size{10_015, 7}},
		{[]int{0, 1, 2}, s.Total()},
	} {
		if got := s.Freed(c.removed...); got != c.want {
			t.Errorf("Freed(%v) = %v, want %v", c.removed, got, c.want)
		}
	}
}
