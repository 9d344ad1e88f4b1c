package history

import (
	"slices"
	"strings"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/tree"
)

// groupID identifies a link group on one side of a comparison.
type groupID struct{ dev, ino uint64 }

func groupOf(e *index.Entry) groupID { return groupID{uint64(e.Dev), e.Ino} }

// partners tells whether the link groups of two sides have the same names, which the numbers of names do not: two groups
// can have exchanged some. Each group of the old side has the group of the new side as its partner in which the first of
// its names is, unless that one has another partner. A name whose groups are not partners has been parted from the other
// names that it was a hard link of. The memory is that of two entries of a map for each group met.
type partners struct {
	of, back map[groupID]groupID
}

// mayPart reports whether the two entries of a name tell of link groups.
func mayPart(old, new *index.Entry) bool {
	return old.Type == new.Type && (old.Linked() || new.Linked())
}

// meet makes two groups partners if neither has one.
func (p *partners) meet(old, new groupID) {
	_, has := p.of[old]
	_, hasBack := p.back[new]
	if !has && !hasBack {
		p.settle(old, new)
	}
}

// settle makes two groups partners, whatever partner they had.
func (p *partners) settle(old, new groupID) {
	if p.of == nil {
		p.of, p.back = make(map[groupID]groupID), make(map[groupID]groupID)
	}
	p.of[old], p.back[new] = new, old
}

// part reports whether a name has left its group for another one. If one of the entries has no other name, the numbers of
// names tell it already.
func (p *partners) part(old, new groupID) bool { return p.of[old] != new || p.back[new] != old }

// linkGroups finds the link groups that differ between two catalogs. They are gathered while the comparison looks for
// moves, and then, if an inode with other names in folders that were skipped has another number now, from the folders that
// are equal, too.
type linkGroups struct {
	partners
	unmet   map[groupID]int64 // names not yet met of groups of the old catalog that have another inode number in the new one
	looking bool              // in the equal folders
	equal   bool              // the comparison is in one
}

// meet takes note of the two entries of one name.
func (g *linkGroups) meet(old, new *index.Entry) {
	if !mayPart(old, new) {
		return
	}
	from, to := groupOf(old), groupOf(new)
	if g.looking {
		if _, wanted := g.unmet[from]; wanted && g.equal {
			g.settle(from, to)
		}
		return
	}
	g.partners.meet(from, to)
	if g.unmet == nil {
		g.unmet = make(map[groupID]int64)
	}
	left, met := g.unmet[from]
	switch {
	case met:
		g.unmet[from] = left - 1
	case old.Ino != new.Ino:
		g.unmet[from] = int64(old.Nlink) - 1
	}
}

// differ reports whether a name has left its link group for another one.
func (g *linkGroups) differ(old, new *index.Entry) bool {
	return mayPart(old, new) && g.part(groupOf(old), groupOf(new))
}

// incomplete forgets the groups of which all names were met, and reports whether there are others.
func (g *linkGroups) incomplete() bool {
	for id, left := range g.unmet {
		if left <= 0 {
			delete(g.unmet, id)
		}
	}
	return len(g.unmet) > 0
}

// lookForGroups looks in the equal folders for names of groups of which only some were met.
func (c *comparison) lookForGroups(start sides) error {
	if !c.groups.incomplete() {
		return nil
	}
	c.groups.looking = true
	defer func() { c.groups.looking = false }()
	return c.compare(start)
}

// enterEqual begins a folder that is equal on both sides. It returns a function that ends it, nil if the folder is to be
// skipped.
func (c *comparison) enterEqual() func() {
	if !c.groups.looking {
		return nil
	}
	before := c.groups.equal
	c.groups.equal = true
	return func() { c.groups.equal = before }
}

// liveGroups finds the link groups that differ between a catalog and a live folder.
type liveGroups struct {
	mu sync.Mutex
	partners
	names []liveName // that may be parted; at most maxKept
}

// liveName is a name with several hard links in the snapshot or in the folder.
type liveName struct {
	path     string
	was, e   *index.Entry
	from, to groupID
}

// same takes note of a name whose inode is the recorded one and has the same names.
func (g *liveGroups) same(was *index.Entry, dev uint64) {
	if was.Linked() {
		g.mu.Lock()
		g.settle(groupOf(was), groupID{dev, was.Ino})
		g.mu.Unlock()
	}
}

// meet takes note of any other name; e describes it in the folder, on the device dev.
func (g *liveGroups) meet(path string, was, e *index.Entry, dev uint64) {
	if !mayPart(was, e) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.names) < maxKept {
		g.names = append(g.names, liveName{strings.Clone(path), kept(was), kept(e), groupOf(was), groupID{dev, e.Ino}})
	}
}

// addTo adds the names that have left their groups to the changes, which are all known but not yet visited.
func (g *liveGroups) addTo(s *changes) error {
	slices.SortFunc(g.names, func(a, b liveName) int { return comparePaths(a.path, b.path) })
	for i := range g.names {
		g.partners.meet(g.names[i].from, g.names[i].to)
	}
	parted := make(map[string]bool)
	for i := range g.names {
		n := &g.names[i]
		if !g.part(n.from, n.to) {
			continue
		}
		if kind, _ := kindOf(n.was, n.e); kind != "" {
			parted[n.path] = true
			continue
		}
		if err := s.add(Change{Path: n.path, Kind: Metadata, Old: n.was, New: n.e, Fields: tree.Nlink.Names()}); err != nil {
			return err
		}
	}
	for i := range s.kept {
		c := &s.kept[i]
		if links := tree.Nlink.Names(); parted[c.Path] && !slices.Contains(c.Fields, links[0]) {
			c.Fields = append(c.Fields, links...)
		}
	}
	g.names = nil
	return nil
}
