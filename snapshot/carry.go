package snapshot

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"snapcopy/index"
	"snapcopy/internal/filter"
	"snapcopy/internal/inodeset"
	"snapcopy/internal/mirror"
	"snapcopy/internal/source"
	"snapcopy/internal/tree"
)

// What exists and cannot be read is carried along from the previous snapshot, if that has an entry of its name: the new
// entry is a link to the stored file with the metadata of then, flagged as index.Kept, and says as of which snapshot it
// is. A folder that cannot be listed comes with everything below it.
//
// To the rest of the run the previous snapshot is the source of such an entry (source.Carrier), so linking, link groups, a
// full inode and a damaged stored file are as for any other. A name that is gone is not carried along, nor one that the
// filters leave out. An entry counts as failed if the run could not read it, and as kept if it is carried along; it
// stays so if the source has another type of file under its name by now: the last good version is that of the other
// type.

// carrying gives access to the previous snapshot as a source, and keeps track of the stored files with several names that
// entries carried along have in common with others.
type carrying struct {
	once   sync.Once
	opened *source.Carrier
	err    error

	mu sync.Mutex
	// live has the stored files that are names of unchanged link groups of the source, carried those that are names of
	// entries carried along. Names of one inode in the previous snapshot stay together, whichever can be read now.
	live, carried inodeset.Set
}

func (c *carrying) close() error { return c.opened.Close() }

// open opens the previous snapshot as a source.
func (c *carrying) open(archive int, p *previous, f *filter.Filter) (*source.Carrier, error) {
	c.once.Do(func() { c.opened, c.err = source.OpenCarrier(archive, p.name, p.catalog, f) })
	return c.opened, c.err
}

// dirCarrier is the previous snapshot's counterpart of a live folder, as a folder of a source.
type dirCarrier struct {
	mu     sync.Mutex
	folder source.Folder // nil: not opened yet
}

// close closes the folder, which opens again by itself when needed.
func (c *dirCarrier) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.folder == nil {
		return nil
	}
	return c.folder.Close()
}

func (d *dir) isCarried() bool { return d.self.Flags&index.Kept != 0 }

// errUnlisted is the reason for a name that is known from the previous snapshot alone. It is told once, for the folder.
var errUnlisted = errors.New("its folder could not be listed")

func (d *dir) isUnlisted(i int) bool { return d.unlisted != nil && d.unlisted[i] }

// failList records that a folder could not be listed, or only a part of it.
func (r *run) failList(w *worker, d *dir, err error) {
	if slices.Contains(d.unlisted, true) {
		w.failKept(d.path(), err, &index.Entry{Type: index.Dir, AsOf: r.previous.name})
	} else {
		w.fail(d.path(), err)
	}
}

// place is the folder with its entry in the previous snapshot.
func (d *dir) place() source.Place { return source.Place{Path: d.path(), Was: &d.was, Now: &d.source} }

// canCarry reports whether an entry of d can be carried along: was is its entry in the previous snapshot, if there is one.
func (r *run) canCarry(d *dir, was *index.Entry, cause error) bool {
	var refused *mirror.NameError // the archive's file system is at fault, not the source
	return was.Type != 0 && !neverListed(was) && r.carries(d) && !errors.As(cause, &refused)
}

// neverListed reports whether an entry is a folder that could not be listed in the previous run either, and was stored as
// an empty one.
func neverListed(e *index.Entry) bool {
	return e.Type == index.Dir && e.Flags&(index.Unread|index.Kept) == index.Unread && e.Below.Files+e.Below.Dirs == 0
}

// carries reports whether entries of d can be carried along.
func (r *run) carries(d *dir) bool {
	return d.was.Type == index.Dir && r.origin == nil && !r.previous.other && !d.isCarried()
}

// carrierOf returns the counterpart of a live folder.
func (r *run) carrierOf(d *dir) (source.Folder, error) {
	c, err := r.carrying.open(r.archive.Root, &r.previous, r.filter)
	if err != nil {
		return nil, err
	}
	d.carrier.mu.Lock()
	defer d.carrier.mu.Unlock()
	if d.carrier.folder == nil {
		folder := c.Folder(d.place(), nil)
		if _, err := folder.List(nil); err != nil {
			return nil, err
		}
		d.carrier.folder = folder
	}
	return d.carrier.folder, nil
}

// carry carries along an entry of d that could not be read. It returns true if the entry is decided. Otherwise it adds
// to the cause why the entry of the previous snapshot cannot be had either.
func (r *run) carry(w *worker, d *dir, i int, cause *error) (done bool, err error) {
	was := d.entries[i]
	if !r.canCarry(d, &was, *cause) {
		return false, nil
	}
	if rule := r.excludedBy(d.path(), was.Name, was.Type == index.Dir); rule != "" {
		return true, w.excluded(d, i, tree.KindOf(was.Type), rule)
	}
	*cause = withType(*cause, d.names[i].Type, was.Type)
	from, lost := r.carrierOf(d)
	switch {
	case lost != nil:
	case was.Type == index.Dir:
		return r.carryTree(w, d, i, cause)
	default:
		done, lost = r.carryFile(slot{w, d, i, from}, *cause)
	}
	if lost != nil && !isFatal(lost) {
		d.entries[i] = was
		*cause = r.notKept(*cause, lost)
		return false, nil
	}
	return done, lost
}

// withType adds to the cause that the source has another type of file now.
func withType(why error, kind uint32, was index.Type) error {
	if now := tree.TypeOf(kind); now != 0 && now != was {
		return fmt.Errorf("%w; it has become a %s, and is kept as the %s that it was", cause(why), now, was)
	}
	return why
}

// carryFile carries along an entry other than a folder.
func (r *run) carryFile(at slot, cause error) (done bool, err error) {
	var st source.Stat
	if err := source.LookAt(at.carried, at.name(), &st); err != nil {
		return false, err
	}
	reason, err := at.carried.LeaveOut(at.name(), &st)
	if err != nil {
		return false, err
	}
	if reason.Rule != "" {
		at.w.tally.leftOutForState(at.path(), reason.Rule)
		return true, at.w.excluded(at.d, at.i, st.Type, reason.Rule)
	}
	told := errors.Is(cause, errUnlisted)
	at.w.carriesOne = !told
	err = r.keep(at, &st)
	at.w.carriesOne = false
	if err != nil {
		return false, err
	}
	if !told {
		at.w.failKept(at.path(), cause, at.entry())
	}
	return true, nil
}

// carryDir carries along a folder that cannot be entered. done is false if that cannot be, for the reason added to the
// cause; otherwise enter is what openDir returns.
func (r *run) carryDir(w *worker, d *dir, cause *error) (done, enter bool, err error) {
	p := d.parent
	was := &p.entries[d.slot]
	if !r.canCarry(p, was, *cause) {
		return false, false, nil
	}
	if was.Type != index.Dir {
		done, err = r.carry(w, p, d.slot, cause)
		return done, false, err
	}
	rule, err := r.openCarried(w, d, was)
	if err != nil {
		*cause = r.notKept(*cause, err)
		return false, false, nil
	}
	enter, err = r.fillDir(w, d, rule)
	if enter && !errors.Is(*cause, errUnlisted) {
		w.failKept(p.child(d.name()), *cause, &d.self)
	}
	return true, enter, err
}

// openCarried opens the previous snapshot's folder in place of that of the source. It returns the rule that leaves the
// folder out, or "".
func (r *run) openCarried(w *worker, d *dir, was *index.Entry) (rule string, err error) {
	c, err := r.carrying.open(r.archive.Root, &r.previous, r.filter)
	if err != nil {
		return "", err
	}
	from := c.Folder(d.parent.place(), was)
	if _, err := from.List(nil); err != nil {
		r.previous.isUnusable(err)
		return "", err
	}
	d.handles.src, d.was = from, *was
	if rule, err = w.leaveOutDir(d); err != nil {
		d.handles.src = nil
	}
	return rule, err
}

// notKept adds to the cause for which an entry cannot be read why it cannot be carried along either.
func (r *run) notKept(why, lost error) error {
	return fmt.Errorf("%w; nor can it be kept as it is in snapshot %s: %v", cause(why), r.previous.name, cause(lost))
}

// carryTree carries along a folder with everything below it, at a point of the run at which the walk does not enter
// folders of p.
func (r *run) carryTree(w *worker, p *dir, i int, cause *error) (done bool, err error) {
	d := r.newDir(p, i)
	done, enter, err := r.carryDir(w, d, cause)
	if err != nil || !enter {
		return done, err
	}
	if err := d.handles.Enter(&p.handles.Dir, d); err != nil {
		return true, err
	}
	return true, r.walkNow(w, d)
}

// walkNow does at once, and alone, what the walk does for a folder that was entered.
func (r *run) walkNow(w *worker, d *dir) error {
	descend, err := r.items(w.id, d, 0, len(d.names))
	if err != nil {
		return err
	}
	for _, item := range descend {
		below, _, ok, err := r.enter(w.id, d, item)
		if err == nil && ok {
			err = r.walkNow(w, below)
		}
		if err != nil {
			return err
		}
	}
	w.forgetLooks() // they are of another folder
	return r.leave(w.id, d)
}

// undescribedDir handles a folder that is open in the source and cannot be looked at.
func (r *run) undescribedDir(w *worker, d *dir, why error) (bool, error) {
	if err := d.closeHandles(); err != nil {
		return false, err
	}
	d.handles.src = nil
	if why = w.later(d.parent, d.slot, why); isFatal(why) || isLater(why) {
		return false, why
	}
	if done, enter, err := r.carryDir(w, d, &why); done || err != nil {
		return enter, err
	}
	return false, w.failed(d, why)
}

// claim makes a stored file of the previous snapshot one of this snapshot, for the entry was. It returns false if another
// file of this snapshot uses it. Names that had it in common share it even if only some of them can be read.
func (s *storing) claim(at slot, was *index.Entry, st *source.Stat) bool {
	if !was.Linked() || st.Nlink <= 1 || was.Ino != st.Ino {
		return s.pool.used.Claim(was.Stored)
	}
	c := &s.carrying
	mine, others := &c.live, &c.carried
	if at.isCarried() {
		mine, others = others, mine
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.pool.used.Claim(was.Stored) && !others.Has(was.Stored) {
		return false
	}
	mine.Claim(was.Stored)
	return true
}

// release takes back a claim, unless an entry carried along has the same stored file.
func (s *storing) release(stored uint64) {
	c := &s.carrying
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live.Release(stored)
	if !c.carried.Has(stored) {
		s.pool.used.Release(stored)
	}
}
