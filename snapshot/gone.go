package snapshot

import (
	"sync"

	"snapcopy/index"
	"snapcopy/internal/inodeset"
)

// goneList collects the previous snapshot's entries whose names the source no longer has. Only at the end of the walk
// is it known which of them were found elsewhere.
type goneList struct {
	told bool // somebody wants to be told of each entry
	mu   sync.Mutex
	list []gone
}

type gone struct {
	kind   index.Type
	stored uint64 // of a file
	child  uint64 // of a folder: its record in the previous catalog
	size   uint64
	path   string // if somebody wants to be told
}

// addGone records that the source no longer has the name of an entry in d.
func (p *previous) addGone(d *dir, was *index.Entry) {
	if p.other {
		return
	}
	g := &p.gone
	e := gone{kind: was.Type, stored: was.Stored, child: was.Child, size: was.Size}
	if g.told {
		e.path = d.child(was.Name)
	}
	g.mu.Lock()
	g.list = append(g.list, e)
	g.mu.Unlock()
}

// countGone counts, and tells, the files that are gone and were not found under another name: moved has the stored files
// that were.
func (p *previous) countGone(w *worker, moved *inodeset.Set) {
	for _, g := range p.gone.list {
		p.countBelow(w, moved, g)
	}
}

func (p *previous) countBelow(w *worker, moved *inodeset.Set, g gone) {
	if g.kind != index.Dir {
		if g.stored == 0 || !moved.Has(g.stored) {
			w.counts.Deleted++
			w.tally.tell(Item{Path: g.path, Action: Deleted, Type: g.kind, Size: g.size})
		}
		return
	}
	w.tally.tell(Item{Path: g.path, Action: Deleted, Type: g.kind})
	rec, ok := p.readDir(g.child)
	if !ok {
		return
	}
	for _, e := range rec.Entries() {
		below := gone{kind: e.Type, stored: e.Stored, child: e.Child, size: e.Size}
		if p.gone.told {
			below.path = join(g.path, e.Name)
		}
		p.countBelow(w, moved, below)
	}
}
