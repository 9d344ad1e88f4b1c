package snapshot

import (
	"sync"

	"snapcopy/index"
)

// goneList collects the previous snapshot's entries whose names the source no longer has. Only at the end of the walk
// is it known which of them were found elsewhere.
type goneList struct {
	off  bool // the previous snapshot is of another source
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

func (g *goneList) add(d *dir, was *index.Entry) {
	if g.off {
		return
	}
	e := gone{kind: was.Type, stored: was.Stored, child: was.Child, size: was.Size}
	if g.told {
		e.path = d.child(was.Name)
	}
	g.mu.Lock()
	g.list = append(g.list, e)
	g.mu.Unlock()
}

// countDeleted counts the files that are gone and were not found under another name.
func (r *run) countDeleted() {
	for _, g := range r.gone.list {
		r.countGone(g)
	}
}

func (r *run) countGone(g gone) {
	if g.kind != index.Dir {
		if g.stored == 0 || !r.pool.moved.Has(g.stored) {
			r.workers[0].counts.Deleted++
			r.tally.tell(Item{Path: g.path, Action: Deleted, Type: g.kind, Size: g.size})
		}
		return
	}
	r.tally.tell(Item{Path: g.path, Action: Deleted, Type: g.kind})
	rec, err := r.previous.ReadDir(g.child)
	if err != nil {
		r.tally.previousUnusable(err)
		return
	}
	for _, e := range rec.Entries() {
		below := gone{kind: e.Type, stored: e.Stored, child: e.Child, size: e.Size}
		if r.gone.told {
			below.path = join(g.path, e.Name)
		}
		r.countGone(below)
	}
}
