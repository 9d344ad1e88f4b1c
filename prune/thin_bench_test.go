package prune

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkThinning thins out 2,000 snapshots with 50,000 shares until half of what they hold is free.
func BenchmarkThinning(b *testing.B) {
	const snapshots, shares = 2000, 50_000
	random := rand.New(rand.NewPCG(1, 2))
	from := time.Date(2021, 1, 1, 2, 0, 0, 0, time.UTC)
	space := new(Space)
	var list []Snapshot
	for i := range snapshots {
		s := Snapshot{Name: fmt.Sprint(i), Time: from.AddDate(0, 0, i), Complete: true}
		list = append(list, s)
		space.Snapshots, space.Own = append(space.Snapshots, s.Name), append(space.Own, Size{1 << 20, 100})
	}
	for range shares {
		first := random.IntN(snapshots)
		var sharers []int
		for i := first; i < min(snapshots, first+1+int(random.ExpFloat64()*50)); i++ {
			sharers = append(sharers, i)
		}
		space.Shared = append(space.Shared, Share{sharers, Size{random.Uint64N(1 << 20), 1}})
	}
	room := &Room{Space: space}
	policy := Policy{MaxSize: space.Total().Bytes / 2}
	for b.Loop() {
		plan, err := Make(list, policy, late, room)
		if err != nil || len(plan.Removed()) == 0 || len(plan.Missed) > 0 {
			b.Fatal(err, len(plan.Removed()), plan.Missed)
		}
	}
}
