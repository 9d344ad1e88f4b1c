package history

import (
	"bytes"
	"cmp"
	"hash/fnv"
	"slices"

	"snapcopy/index"
)

// maxMoveCandidates bounds the added and removed files remembered to find moves, at 32 bytes each.
const maxMoveCandidates = 1 << 20

// moves pairs files removed at one path with files added at another.
type moves struct {
	removed, added []candidate
	limit          int // of both together; 0: maxMoveCandidates

	from []move  // by the place in the new catalog
	gone []place // places in the old catalog of the moved files
}

// candidate is an added or a removed file. Half of the hash identifies the content; no accident makes two halves
// equal.
type candidate struct {
	content [16]byte
	name    uint32 // hash of the file's name, to prefer equal names
	at      place
}

// move is a file found under another path.
type move struct{ new, old place }

func (m *moves) addRemoved(e *index.Entry, at place) { m.add(&m.removed, e, at) }
func (m *moves) addAdded(e *index.Entry, at place)   { m.add(&m.added, e, at) }

func (m *moves) add(list *[]candidate, e *index.Entry, at place) {
	limit := m.limit
	if limit == 0 {
		limit = maxMoveCandidates
	}
	if e.Type != index.File || e.Size == 0 || len(m.removed)+len(m.added) >= limit {
		return
	}
	name := fnv.New32a()
	_, _ = name.Write([]byte(e.Name)) // never fails
	*list = append(*list, candidate{[16]byte(e.Hash[:16]), name.Sum32(), at})
}

// findMoves runs the comparison once and pairs removed with added files.
func (c *comparison) findMoves(start sides) error {
	c.finding = true
	defer func() { c.finding = false }()
	if err := c.compare(start); err != nil {
		return err
	}
	c.moves.match()
	return nil
}

func (m *moves) match() {
	byContent := func(a, b candidate) int { return bytes.Compare(a.content[:], b.content[:]) }
	slices.SortStableFunc(m.removed, byContent)
	slices.SortStableFunc(m.added, byContent)
	old, new := m.removed, m.added
	for len(old) > 0 && len(new) > 0 {
		switch byContent(old[0], new[0]) {
		case -1:
			old = old[1:]
		case 1:
			new = new[1:]
		default:
			i, j := sameRun(old), sameRun(new)
			m.matchRun(old[:i], new[:j])
			old, new = old[i:], new[j:]
		}
	}
	m.removed, m.added = nil, nil
	slices.SortFunc(m.from, func(a, b move) int { return comparePlaces(a.new, b.new) })
	slices.SortFunc(m.gone, comparePlaces)
}

// sameRun returns the number of candidates at the beginning of a list with the same content.
func sameRun(list []candidate) int {
	n := 1
	for n < len(list) && list[n].content == list[0].content {
		n++
	}
	return n
}

// matchRun pairs files of one content, given in the order of their paths: first files of equal names, then the rest.
func (m *moves) matchRun(old, new []candidate) {
	byName := func(a, b candidate) int { return cmp.Compare(a.name, b.name) }
	oldByName, newByName := slices.Clone(old), slices.Clone(new)
	slices.SortStableFunc(oldByName, byName)
	slices.SortStableFunc(newByName, byName)
	takenOld, takenNew := make(map[place]bool), make(map[place]bool)
	for i, j := 0, 0; i < len(oldByName) && j < len(newByName); {
		switch byName(oldByName[i], newByName[j]) {
		case -1:
			i++
		case 1:
			j++
		default:
			m.pair(oldByName[i].at, newByName[j].at)
			takenOld[oldByName[i].at], takenNew[newByName[j].at] = true, true
			i, j = i+1, j+1
		}
	}
	i := 0
	for _, n := range new {
		for i < len(old) && takenOld[old[i].at] {
			i++
		}
		if i == len(old) {
			return
		}
		if !takenNew[n.at] {
			m.pair(old[i].at, n.at)
			i++
		}
	}
}

func (m *moves) pair(old, new place) {
	m.from = append(m.from, move{new, old})
	m.gone = append(m.gone, old)
}

func comparePlaces(a, b place) int {
	return cmp.Or(cmp.Compare(a.dir, b.dir), cmp.Compare(a.pos, b.pos))
}

// cameFrom returns the place of an added file in the old catalog, if it was moved.
func (m *moves) cameFrom(at place) (place, bool) {
	i, ok := slices.BinarySearchFunc(m.from, at, func(m move, p place) int { return comparePlaces(m.new, p) })
	if !ok {
		return place{}, false
	}
	return m.from[i].old, true
}

// isGone reports whether a removed file is reported as moved.
func (m *moves) isGone(at place) bool {
	_, ok := slices.BinarySearchFunc(m.gone, at, comparePlaces)
	return ok
}
