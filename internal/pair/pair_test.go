package pair

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func compare(a, b *int) int { return cmp.Compare(*a, *b) }

func sorted(rt *rapid.T, name string) []int {
	list := rapid.SliceOfN(rapid.IntRange(0, 12), 0, 12).Draw(rt, name)
	slices.Sort(list)
	return list
}

// Guards: every item of both lists comes once, in order, and is paired with its like as long as there is one.
func TestLists(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := sorted(rt, "a"), sorted(rt, "b")
		var gotA, gotB, all []int
		pairs := map[int]int{}
		for x, y := range Lists(Slice(a), Slice(b), compare) {
			switch {
			case x == nil && y == nil:
				rt.Fatal("a pair of nothing")
			case x != nil && y != nil:
				if *x != *y {
					rt.Fatalf("%d with %d", *x, *y)
				}
				pairs[*x]++
			}
			if x != nil {
				gotA, all = append(gotA, *x), append(all, *x)
			}
			if y != nil {
				gotB, all = append(gotB, *y), append(all, *y)
			}
		}
		if !slices.Equal(gotA, a) || !slices.Equal(gotB, b) || !slices.IsSorted(all) {
			rt.Fatalf("%v of %v, %v of %v: %v", gotA, a, gotB, b, all)
		}
		for n := range 13 {
			if want := min(count(a, n), count(b, n)); pairs[n] != want {
				rt.Fatalf("%d pairs of %d, want %d", pairs[n], n, want)
			}
		}
	})
}

func count(list []int, n int) (times int) {
	for _, x := range list {
		if x == n {
			times++
		}
	}
	return times
}

// Guards: a row has an item of every list that contains it, and of no other.
func TestRows(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var lists [][]int
		var next []Next[int]
		for range rapid.IntRange(0, 4).Draw(rt, "lists") {
			list := slices.Compact(sorted(rt, "list"))
			lists, next = append(lists, list), append(next, Slice(list))
		}
		want := 0
		for row := range Rows(next, compare) {
			for !slices.ContainsFunc(lists, func(l []int) bool { return slices.Contains(l, want) }) {
				if want++; want > 12 {
					rt.Fatal("a row too many")
				}
			}
			for i, item := range row {
				if (item != nil) != slices.Contains(lists[i], want) || item != nil && *item != want {
					rt.Fatalf("row %d, list %d of %v: %v", want, i, lists, item)
				}
			}
			want++
		}
		for ; want <= 12; want++ {
			for _, l := range lists {
				if slices.Contains(l, want) {
					rt.Fatalf("no row for %d of %v", want, lists)
				}
			}
		}
	})
}

// Guards: who has seen enough can stop.
func TestStop(t *testing.T) {
	a, b := []int{1, 2, 3}, []int{2, 3, 4}
	for stop := 1; stop <= 4; stop++ {
		n := 0
		for x, y := range Lists(Slice(a), Slice(b), compare) {
			if x != nil && *x == stop || y != nil && *y == stop {
				break
			}
			n++
		}
		rows := 0
		for row := range Rows([]Next[int]{Slice(a), Slice(b)}, compare) {
			if slices.ContainsFunc(row, func(item *int) bool { return item != nil && *item == stop }) {
				break
			}
			rows++
		}
		if n != stop-1 || rows != stop-1 {
			t.Errorf("%d pairs and %d rows before %d", n, rows, stop)
		}
	}
}

// Guards: what is allocated does not depend on the number of items.
func TestNoAllocationForAnItem(t *testing.T) {
	cost := func(n int) float64 {
		a, b := make([]int, n), make([]int, n)
		for i := range n {
			a[i], b[i] = 2*i, 3*i
		}
		sum := 0
		return testing.AllocsPerRun(10, func() {
			for x, y := range Lists(Slice(a), Slice(b), compare) {
				if x != nil && y != nil {
					sum += *x
				}
			}
		})
	}
	if few, many := cost(10), cost(10_000); few != many {
		t.Errorf("%v allocations for 10 items, %v for 10,000", few, many)
	}
}
