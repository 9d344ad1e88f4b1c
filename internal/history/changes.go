package history

import (
	"slices"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/tree"
)

// maxKept is the number of changes that are kept until the end in order to find moves and to sort. Further changes are
// visited at once.
const maxKept = 1 << 18

// changes are the changes of a comparison whose order is not that of the paths. They are kept until all are known;
// then moves are found among them, and they are visited in order.
type changes struct {
	visit func(Change) error
	mu    sync.Mutex // of kept and visit, until all changes are known
	kept  []Change
	moves moves // by positions in kept, once it is sorted
}

// add keeps a change, or visits it if too many are kept. It copies Old and Path. Several goroutines may call it.
func (s *changes) add(c Change) error {
	if c.Old != nil {
		c.Old = kept(c.Old)
	}
	c.Path = strings.Clone(c.Path)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) >= maxKept {
		return s.visit(c)
	}
	s.kept = append(s.kept, c)
	return nil
}

// sort brings the changes into the order of their paths. No change may be added any more.
func (s *changes) sort() {
	slices.SortFunc(s.kept, func(a, b Change) int { return comparePaths(a.Path, b.Path) })
}

// leaves reports whether the old entry is no longer under its path, so that a file may have been moved elsewhere.
func (c *Change) leaves() bool { return c.Kind == Removed || c.Kind == TypeChanged }

// mayBeMoved returns the added files that have the size of a file that left its path.
func (s *changes) mayBeMoved() (added []*Change) {
	sizes := make(map[uint64]bool)
	for i := range s.kept {
		if c := &s.kept[i]; c.leaves() && c.Old.Type == index.File && c.Old.Size > 0 {
			sizes[c.Old.Size] = true
		}
	}
	for i := range s.kept {
		if c := &s.kept[i]; c.Kind == Added && c.New.Type == index.File && sizes[c.New.Size] {
			added = append(added, c)
		}
	}
	return added
}

// findMoves pairs the files that left their paths with those added files whose content was read. The changes are sorted.
func (s *changes) findMoves() {
	for i := range s.kept {
		switch c := &s.kept[i]; {
		case c.leaves():
			s.moves.addRemoved(c.Old, s.place(i))
		case c.Kind == Added && c.New.Hash != index.Hash{}:
			s.moves.addAdded(c.New, s.place(i))
		}
	}
	s.moves.match()
}

// place is the position of a change among those kept, for moves.
func (s *changes) place(i int) place { return place{pos: uint32(i)} }

// visitAll visits the changes in the order in which they are, the two of a move as one.
func (s *changes) visitAll() error {
	for i, c := range s.kept {
		switch c.Kind {
		case Removed:
			if s.moves.isGone(s.place(i)) {
				continue
			}
		case Added:
			if from, ok := s.moves.cameFrom(s.place(i)); ok {
				was := &s.kept[from.pos]
				c = Change{Path: c.Path, Kind: Moved, From: was.Path, Old: was.Old, New: c.New,
					Fields: tree.Diff(was.Old, c.New).Names()}
			}
		}
		if err := s.visit(c); err != nil {
			return err
		}
	}
	return nil
}
