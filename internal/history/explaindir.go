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
	case x.previous == nil && x.lost == "":
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

// resolve finds the doubtful entries that are shared with files of other paths, and counts all of them.
func (d *descent) resolve(was *search) error {
	now := newSearch()
	for i := range d.open {
		was.addStored(d.open[i].stored)
		now.addStored(d.open[i].was)
	}
	if d.x.previous != nil {
		if err := was.in(d.ctx, d.x.previous); err != nil {
			return err
		}
	}
	if err := now.in(d.ctx, d.x.catalog); err != nil {
		return err
	}
	still, err := was.still(d.ctx, d.x.catalog)
	if err != nil {
		return err
	}
	older := newSearch()
	for i := range d.open {
		if o := &d.open[i]; was.stored[o.stored] == "" {
			older.addStored(o.stored)
		}
	}
	if d.x.previous != nil {
		if _, err := d.x.inOlder(d.ctx, older, d.path); err != nil {
			return err
		}
	}
	for i := range d.open {
		o := &d.open[i]
		reason := o.reason
		switch {
		case still[o.stored]:
			reason = NewName
		case was.stored[o.stored] != "":
			reason = Renamed
		case older.stored[o.stored] != "":
			reason = Returned
		case reason == NotLinked && now.stored[o.was] != "":
			reason = TakenByOther
		}
		d.below.count(reason, o.size)
	}
	return nil
}
