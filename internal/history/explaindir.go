package history

import (
	"context"

	"snapcopy/index"
	"snapcopy/internal/pair"
)

// directory explains a folder and counts the entries below.
func (x *Explainer) directory(ctx context.Context, ex *Explanation) error {
	e, old := &ex.Entry, ex.Old
	switch {
	case x.isFirst():
		ex.Reason = FirstSnapshot
	case old == nil && x.lost != "":
		ex.Reason = x.lost
	case old == nil:
		ex.Reason = FirstSeen
	case old.Type != index.Dir:
		ex.Reason = OtherType
	case len(ex.Fields) > 0:
		ex.Reason = OtherMetadata
	case old.Hash != e.Hash:
		ex.Reason = OtherContent
	default:
		ex.Reason = Unchanged
	}
	d := descent{ctx: ctx, x: x, path: ex.Path, below: &Below{ByReason: make(map[Reason]uint64)}}
	ex.Below = d.below
	if err := d.dir(e, old); err != nil {
		return err
	}
	was := newSearch()
	if ex.Reason == FirstSeen {
		was.addContent(e)
	}
	if err := d.resolve(was); err != nil {
		return err
	}
	if from := was.contents[e.Hash]; from != "" {
		ex.Reason, ex.With, ex.From = Renamed, ex.Previous, from
	}
	return nil
}

// descent walks a folder of a snapshot and its counterpart in the previous snapshot.
type descent struct {
	ctx   context.Context
	x     *Explainer
	path  string
	below *Below
	open  []doubtful
}

// doubtful is an entry that is not shared under its path. reason is the reason if it is not shared under another one
// either.
type doubtful struct {
	reason Reason
	file   bool
	stored uint64
	was    uint64 // NotLinked: the previous snapshot's stored file of the path
	size   uint64
	hash   index.Hash
}

func (b *Below) count(reason Reason, n uint64) {
	b.ByReason[reason]++
	if reason.Shared() {
		b.Shared++
		b.SharedBytes += n
	} else {
		b.Stored++
		b.StoredBytes += n
	}
}

// dir counts the entries below e. old is the entry of the same path in the previous snapshot, or nil. Equal folders
// are walked, too: their entries may have been stored anew.
func (d *descent) dir(e, old *index.Entry) error {
	if d.ctx.Err() != nil {
		return context.Cause(d.ctx)
	}
	now, err := openListing(d.x.catalog, e)
	if err != nil {
		return err
	}
	was, err := openListing(d.x.previous, old)
	if err != nil {
		return err
	}
	for e, old := range pair.Lists(now.next, was.next, index.CompareNames) {
		switch {
		case e == nil:
		case e.Type == index.Dir:
			if err := d.dir(e, old); err != nil {
				return err
			}
		default:
			d.entry(e, old)
		}
	}
	return nil
}

func (d *descent) entry(e, old *index.Entry) {
	reason := d.x.judge(e, old)
	size := uint64(0)
	if e.Type == index.File {
		size = e.Size
	}
	final := reason == Unchanged || reason == InCatalogOnly || !d.x.comparable()
	if final || len(d.open) >= maxMoveCandidates {
		d.below.count(reason, size)
		return
	}
	o := doubtful{reason: reason, file: e.Type == index.File, stored: e.Stored, size: size, hash: e.Hash}
	if reason == NotLinked {
		o.was = old.Stored
	}
	d.open = append(d.open, o)
}

// resolve finds the doubtful entries that are shared with files of other paths, and counts all of them. It searches the
// previous snapshot for the contents in was, too.
func (d *descent) resolve(was *search) error {
	f := elsewhere{now: newSearch(), was: was, older: newSearch()}
	for i := range d.open {
		f.was.addStored(d.open[i].stored)
		f.now.addStored(d.open[i].was)
	}
	if err := d.find(&f); err != nil {
		return err
	}
	for i := range d.open {
		o := &d.open[i]
		d.below.count(f.reason(o), o.size)
	}
	return nil
}

// elsewhere are the stored files of doubtful entries that have a path in some snapshot.
type elsewhere struct {
	now, was, older *search         // in the snapshot, in the previous one, in those before
	still           map[uint64]bool // of was: the snapshot has them under the same path
}

// find searches the snapshots.
func (d *descent) find(f *elsewhere) (err error) {
	if d.x.previous != nil {
		if err := f.was.in(d.ctx, d.x.previous); err != nil {
			return err
		}
	}
	if err := f.now.in(d.ctx, d.x.catalog); err != nil {
		return err
	}
	if f.still, err = f.was.still(d.ctx, d.x.catalog); err != nil || d.x.previous == nil {
		return err
	}
	for i := range d.open {
		if stored := d.open[i].stored; f.was.stored[stored] == "" {
			f.older.addStored(stored)
		}
	}
	_, err = d.x.inOlder(d.ctx, f.older, d.path)
	return err
}

// reason returns the reason of an entry that was doubtful.
func (f *elsewhere) reason(o *doubtful) Reason {
	switch {
	case f.still[o.stored]:
		return NewName
	case f.was.stored[o.stored] != "":
		return Renamed
	case f.older.stored[o.stored] != "":
		return Returned
	case o.reason == NotLinked && f.now.stored[o.was] != "":
		return TakenByOther
	}
	return o.reason
}
