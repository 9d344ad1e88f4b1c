package prune

// tally tracks the space that each snapshot has alone, while snapshots are removed and restored. A step costs about as
// much as the shares of its snapshot.
type tally struct {
	space  *Space
	shares [][]int32 // of each snapshot
	left   []int32   // of each share: the number of its remaining sharers
	sum    []int     // of each share: the sum of their positions, which is the position of the last one
	alone  []Size    // of each snapshot: the space that removing or restoring it would change
}

func newTally(space *Space) *tally {
	n := len(space.Snapshots)
	t := &tally{space: space, shares: make([][]int32, n), left: make([]int32, len(space.Shared)),
		sum: make([]int, len(space.Shared)), alone: make([]Size, n)}
	copy(t.alone, space.Own)
	number := make([]int, n)
	for i := range space.Shared {
		for _, sharer := range space.Shared[i].Sharers {
			number[sharer]++
		}
	}
	for i := range t.shares {
		t.shares[i] = make([]int32, 0, number[i])
	}
	for i := range space.Shared {
		s := &space.Shared[i]
		t.left[i] = int32(len(s.Sharers))
		for _, sharer := range s.Sharers {
			t.shares[sharer] = append(t.shares[sharer], int32(i))
			t.sum[i] += sharer
		}
		if len(s.Sharers) == 1 {
			t.alone[s.Sharers[0]].add(s.Size)
		}
	}
	return t
}

// remove removes a snapshot, and returns the space freed.
func (t *tally) remove(snapshot int) Size {
	for _, i := range t.shares[snapshot] {
		t.left[i]--
		t.sum[i] -= snapshot
		if t.left[i] == 1 {
			t.alone[t.sum[i]].add(t.space.Shared[i].Size)
		}
	}
	return t.alone[snapshot]
}

// restore restores a removed snapshot, and returns the space it takes.
func (t *tally) restore(snapshot int) Size {
	alone := t.space.Own[snapshot]
	for _, i := range t.shares[snapshot] {
		size := t.space.Shared[i].Size
		switch t.left[i] {
		case 0:
			alone.add(size)
		case 1:
			t.alone[t.sum[i]].subtract(size)
		}
		t.left[i]++
		t.sum[i] += snapshot
	}
	t.alone[snapshot] = alone
	return alone
}

func (s *Size) subtract(other Size) {
	s.Bytes -= other.Bytes
	s.Inodes -= other.Inodes
}
