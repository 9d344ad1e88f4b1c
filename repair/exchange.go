package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
)

// maxBatch is the number of names that are exchanged under one note. Each batch costs a new catalog for each of its
// snapshots.
var maxBatch = 1 << 14 // changed by tests

// batch collects exchanges whose new inodes are ready.
type batch struct {
	list  []archive.Exchange
	items []*Item
}

// exchangeAll repairs all groups, folders and extra names.
func (r *repairer) exchangeAll() (err error) {
	if len(r.groups)+len(r.folders)+len(r.extras) == 0 {
		return nil
	}
	mk, err := r.newMaker()
	if fsat.IsNoSpace(err) && r.ctx.Err() == nil {
		return r.noRoom(err)
	}
	if err != nil {
		return err
	}
	var b batch
	if err := r.planFolders(&b, mk); err != nil {
		return errors.Join(err, mk.end())
	}
	for _, g := range r.inOrder() {
		if r.ctx.Err() != nil {
			return errors.Join(context.Cause(r.ctx), mk.end())
		}
		err := r.planGroup(&b, mk, g)
		if err == nil {
			err = r.commitFull(&b, mk)
		}
		if err != nil {
			return errors.Join(err, mk.end())
		}
	}
	return errors.Join(r.commit(&b, mk), mk.end())
}

// noRoom tells that nothing can be repaired for lack of space.
func (r *repairer) noRoom(cause error) error {
	var b batch
	if err := r.planFolders(&b, nil); err != nil {
		return err
	}
	for _, g := range r.inOrder() {
		item := &Item{What: OfEntry, Found: g.wounds[0].found}
		for _, w := range g.wounds {
			item.Names = append(item.Names, w.Name)
		}
		b.items = append(b.items, item)
		r.report.NoRoomBytes += g.wounds[0].e.Size
	}
	for _, item := range b.items {
		item.Err, item.Origin = fmt.Errorf("%w: %w", ErrNoRoom, cause), nil
		if err := r.tell(item); err != nil {
			return err
		}
	}
	return nil
}

// inOrder returns the groups in the order of their first names, so that two repairs of one archive do the same.
func (r *repairer) inOrder() (list []*group) {
	for _, g := range r.groups {
		slices.SortFunc(g.wounds, func(a, b *wound) int { return compareNames(a.Name, b.Name) })
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *group) int { return compareNames(a.wounds[0].Name, b.wounds[0].Name) })
	return list
}

// planFolders adds the exchanges of folders and of extra names, which need no new inode, and commits full batches; none
// without a maker.
func (r *repairer) planFolders(b *batch, mk *maker) error {
	slices.SortFunc(r.folders, func(x, y *wound) int { return compareNames(x.Name, y.Name) }) // a folder before those below
	for _, w := range r.folders {
		kind := archive.SetFolder
		if w.missing && w.Path != "" {
			kind = archive.PutFolder
		}
		item := &Item{What: OfEntry, Names: []Name{w.Name}, Found: w.found, Origin: &Origin{Kind: FromCatalog}}
		if err := r.plan(b, mk, item, archive.Exchange{Kind: kind, Snapshot: w.Snapshot, Path: []byte(w.Path), Record: kind == archive.PutFolder && w.native}); err != nil {
			return err
		}
	}
	for _, name := range r.extras {
		item := &Item{What: OfExtra, Names: []Name{name}, Found: "not in the catalog: added after the snapshot was made",
			Origin: &Origin{Kind: FromCatalog}}
		x := archive.Exchange{Kind: archive.TakeOut, Snapshot: name.Snapshot, Path: []byte(name.Path)}
		if err := r.plan(b, mk, item, x); err != nil {
			return err
		}
	}
	return nil
}

// plan adds an exchange, unless the snapshot is in use.
func (r *repairer) plan(b *batch, mk *maker, item *Item, x archive.Exchange) error {
	why, err := r.inUse(x.Snapshot)
	if err != nil {
		return err
	}
	if why != nil {
		item.Err, item.Origin = why, nil
		return r.tell(item)
	}
	b.list, b.items = append(b.list, x), append(b.items, item)
	return r.commitFull(b, mk)
}

// planGroup repairs the names of one stored file: by a link to a sound one of the same record, or by a new one.
func (r *repairer) planGroup(b *batch, mk *maker, g *group) error {
	if err := r.leaveUsed(g); err != nil || len(g.wounds) == 0 {
		return err
	}
	item := &Item{What: OfEntry, Found: g.wounds[0].found}
	for _, w := range g.wounds {
		item.Names = append(item.Names, w.Name)
	}
	holder, ok, err := r.holder(g)
	if err != nil {
		return err
	}
	var made []archive.Exchange
	if ok {
		item.Origin = &Origin{Kind: FromStored, Snapshot: holder.Snapshot, Path: holder.Path}
		made, err = mk.links(g, holder)
	} else {
		made, item.Origin, err = mk.anew(g)
	}
	if fsat.IsNoSpace(err) && len(b.list) > 0 { // the exchange of the others frees the damaged stored files
		if err := errors.Join(mk.discard(), r.commit(b, mk)); err != nil {
			return err
		}
		return r.planGroup(b, mk, g)
	}
	if fsat.IsNoSpace(err) {
		err = fmt.Errorf("%w: %w", ErrNoRoom, err)
		r.report.NoRoomBytes += g.wounds[0].e.Size
		if discardErr := mk.discard(); discardErr != nil {
			return errors.Join(err, discardErr)
		}
	}
	switch {
	case errors.Is(err, ErrNoContent), errors.Is(err, ErrNoRoom), errors.Is(err, ErrCannotMake):
		item.Err, item.Origin = err, nil
		if item.Nearest, err = r.nearest(g.wounds[0]); err != nil {
			return err
		}
		return r.tell(item)
	case err != nil:
		return fmt.Errorf("%s/%s: %w", g.wounds[0].Snapshot, g.wounds[0].Path, err)
	}
	b.list, b.items = append(b.list, made...), append(b.items, item)
	return nil
}

// leaveUsed takes names in snapshots that are in use out of the group.
func (r *repairer) leaveUsed(g *group) error {
	stay := g.wounds[:0]
	for _, w := range g.wounds {
		why, err := r.inUse(w.Snapshot)
		if err != nil {
			return err
		}
		if why == nil {
			stay = append(stay, w)
			continue
		}
		if err := r.tell(&Item{What: OfEntry, Names: []Name{w.Name}, Found: w.found, Err: why}); err != nil {
			return err
		}
	}
	g.wounds = stay
	return nil
}

// commitFull is commit if the batch is full.
func (r *repairer) commitFull(b *batch, mk *maker) error {
	if mk == nil || len(b.list) < maxBatch {
		return nil
	}
	return r.commit(b, mk)
}

// commit exchanges the names of a batch, and tells its items.
func (r *repairer) commit(b *batch, mk *maker) error {
	if len(b.items) == 0 {
		return nil
	}
	if r.lock != nil {
		if err := mk.finish(b.list); err != nil {
			return err
		}
		if err := r.lock.Exchange(r.ctx, b.list, r.opt.Fault); err != nil {
			return err
		}
	}
	missed := make(map[Name]bool)
	for _, x := range b.list {
		if x.Missed {
			missed[Name{x.Snapshot, string(x.Path)}] = true
		}
	}
	for _, item := range b.items {
		if err := r.tellDone(item, missed); err != nil {
			return err
		}
	}
	*b = batch{}
	return nil
}

// tellDone tells an item of a batch that was carried out; the names that were missed as another one, not repaired.
func (r *repairer) tellDone(item *Item, missed map[Name]bool) error {
	var left []Name
	done := slices.DeleteFunc(item.Names, func(n Name) bool {
		if missed[n] {
			left = append(left, n)
		}
		return missed[n]
	})
	if len(left) > 0 {
		not := &Item{What: item.What, Names: left, Found: item.Found, Err: ErrMissed}
		if err := r.tell(not); err != nil || len(done) == 0 {
			return err
		}
	}
	item.Names = done
	return r.tell(item)
}

// maxNearest bounds the items for which another version is looked for.
const maxNearest = 1000

// nearest finds the sound version of a path in the snapshot closest to that of the wound: the earlier one first.
func (r *repairer) nearest(w *wound) (*Name, error) {
	if r.lookedFor++; r.lookedFor > maxNearest || w.e.Type != index.File {
		return nil, nil
	}
	position := func(name string) int {
		n, _ := slices.BinarySearchFunc(r.snapshots, name, func(s archive.Snapshot, n string) int { return strings.Compare(s.Name, n) })
		return n
	}
	at := position(w.Snapshot)
	order := slices.Clone(r.snapshots)
	distance := func(name string) int { return max(position(name)-at, at-position(name)) }
	slices.SortStableFunc(order, func(a, b archive.Snapshot) int { return cmp.Compare(distance(a.Name), distance(b.Name)) })
	for _, s := range order {
		is, err := r.isSoundIn(s, w)
		if err != nil {
			return nil, err
		}
		if is {
			return &Name{s.Name, w.Path}, nil
		}
	}
	return nil, nil
}

// isSoundIn reports whether another snapshot has another version of the wound's path, with sound content.
func (r *repairer) isSoundIn(s archive.Snapshot, w *wound) (sound bool, err error) {
	v, err := r.view(s)
	if v == nil || err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, v.catalog.Close()) }()
	e, found, err := v.catalog.Lookup(w.Path)
	if errors.Is(err, index.ErrDamaged) || err == nil && (!found || e.Type != index.File || e.Hash == w.e.Hash) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	other, err := r.newWound(v, w.Path, &e)
	if err != nil {
		return false, err
	}
	text, err := r.differs(other, false)
	return text == "", err
}
