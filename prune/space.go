package prune

// Size is an amount of space on the archive's file system.
type Size struct {
	Bytes  uint64 // allocated, as du(1) and df(1) count
	Inodes uint64 // files and folders
}

func (s *Size) add(other Size) {
	s.Bytes += other.Bytes
	s.Inodes += other.Inodes
}

// Space is the space that the snapshots of an archive take, alone and together. It is a value: the space freed by any
// removal follows from it, without another look at the archive.
type Space struct {
	Snapshots []string // their names, oldest first
	Own       []Size   // of each snapshot: its folders, catalog and report, which no other can share
	Shared    []Share

	// Doubtful are the positions of snapshots made before the archive was copied to its present file system: whether
	// later snapshots share their stored files is unknown, and so are the blocks of the copies.
	Doubtful []int
}

// Share is the space of the stored files that exactly these snapshots have.
type Share struct {
	Sharers []int // positions in Space.Snapshots, ascending, at least one
	Size    Size
}

// Freed returns the space freed by removing exactly the snapshots at these positions: their own space, and the stored
// files that no other snapshot has.
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
		for _, sharer := range s.Shared[i].Sharers {
			if !gone[sharer] {
				continue shares
			}
		}
		sum.add(s.Shared[i].Size)
	}
	return sum
}

// Total returns the space of all snapshots together.
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
