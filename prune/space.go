package prune

// Size is space on the archive's file system.
type Size struct {
	Bytes  uint64 // allocated, as du(1) and df(1) count
	Inodes uint64 // files and folders
}

func (s *Size) add(other Size) {
	s.Bytes += other.Bytes
	s.Inodes += other.Inodes
}

// Space says which snapshots hold how much of an archive, alone and together. It is a value: what removing snapshots
// frees follows from it without looking at the archive again.
type Space struct {
	Snapshots []string // their names, oldest first
	Own       []Size   // of each snapshot: its folders and its records, which no other can share
	Shared    []Share

	// Doubtful are the positions of snapshots made before the archive was copied to the file system where it is now: of
	// what they hold, it is not known whether later ones share it, nor how many blocks the copy takes.
	Doubtful []int
}

// Share is the stored files that exactly these snapshots hold.
type Share struct {
	Holders []int // positions in Space.Snapshots, ascending, at least one
	Size    Size
}

// Freed is what removing the snapshots at these positions gives back, no more and no less: their own space, and the
// stored files that no other snapshot holds.
func (s *Space) Freed(removed ...int) Size {
	gone := make([]bool, len(s.Snapshots))
	var sum Size
	for _, i := range removed {
		if !gone[i] {
			gone[i] = true
			sum.add(s.Own[i])
		}
	}
shares:
	for i := range s.Shared {
		for _, holder := range s.Shared[i].Holders {
			if !gone[holder] {
				continue shares
			}
		}
		sum.add(s.Shared[i].Size)
	}
	return sum
}

// Total is what all snapshots take together.
func (s *Space) Total() Size {
	var sum Size
	for _, own := range s.Own {
		sum.add(own)
	}
	for i := range s.Shared {
		sum.add(s.Shared[i].Size)
	}
	return sum
}
