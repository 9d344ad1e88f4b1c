package verify

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/verified"
)

// noteEvery is the time after which what was read is recorded: a process that is killed loses no more than that.
const noteEvery = 10 * time.Minute

// memory records in the archive what a run has read and found. If that fails, the run goes on, and its report says why.
type memory struct {
	store    *verified.Store // nil: nothing is to be remembered
	now      time.Time       // the date of what is read
	compared []string        // snapshots whose structure was compared
	whole    bool            // the archive as a whole was checked, too
	bad      []badCatalog    // of snapshots whose stored files are unknown
	due      *dueSorter      // for a share
	total    *verified.Table // what the archive has, before the run

	mu      sync.Mutex
	changes *verified.Changes
	last    time.Time         // when changes were recorded
	known   map[soundKey]bool // damaged contents that earlier runs found: true: sound now
	err     error
}

// soundKey names a content in the note of damage.
type soundKey struct {
	stored uint64
	hash   index.Hash
}

// begin makes the dates agree with what the archive has, if all of it is to be read.
func (m *memory) begin(v *verifier, snapshots []archive.Snapshot) error {
	if !v.opt.Remember && v.opt.Share == nil {
		return nil
	}
	m.store, m.last = v.archive.Verified(), time.Now()
	m.store.Now = v.now
	m.changes = verified.NewChanges(m.store.TempDir)
	m.err = v.archive.CanRemember()
	if !v.opt.Remember {
		m.err = errNotAsked
	}
	note, err := m.store.Damage()
	if err != nil {
		m.err = errors.Join(m.err, err)
		note = new(verified.Note)
	}
	m.known = make(map[soundKey]bool)
	seen := make(map[soundKey]int64)
	for i := range note.Damaged {
		if d := &note.Damaged[i]; d.Kind == verified.Content {
			key := soundKey{d.Stored, d.Hash}
			m.known[key], seen[key] = false, d.Seen.Unix()
		}
	}
	if v.opt.Share == nil {
		all, err := v.archive.Snapshots()
		if err != nil || v.opt.MetadataOnly || !slices.Equal(all, snapshots) {
			return err
		}
	} else {
		m.due = newDueSorter(m.store.TempDir, seen)
	}
	return m.refresh(v, snapshots)
}

var errNotAsked = errors.New("it was not to be remembered")

// refresh lists the stored files of the archive and brings the dates up to date.
func (m *memory) refresh(v *verifier, snapshots []archive.Snapshot) (err error) {
	list := newListing(v.archive, snapshots, m.store.TempDir)
	defer func() { err = errors.Join(err, list.close()) }()
	if err := list.read(v.ctx); err != nil {
		return err
	}
	if m.bad = list.bad; m.due != nil { // reading everything finds them again
		for _, bad := range list.bad {
			v.tell(bad.snapshot, "", bad.err, bad.err)
		}
	}
	present := verified.Present{Since: m.now, Snapshots: []string{archive.IndexFile}, Records: list.records,
		Dated: func(r *verified.Record) error { return m.due.add(r, &list.at) }, Again: m.due.reset}
	for _, s := range snapshots {
		present.Snapshots = append(present.Snapshots, s.Name)
	}
	if m.err == nil {
		if m.err = m.store.Refresh(v.ctx, present); m.err == nil {
			m.total, m.err = m.store.Table()
		}
	}
	if v.ctx.Err() != nil {
		return context.Cause(v.ctx)
	}
	if m.total == nil {
		m.total, err = m.store.Look(v.ctx, present)
	}
	return err
}

// sound records that a stored file was read and has the content that it should have.
func (m *memory) sound(c *contentOf, size uint64) {
	if m.store == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if key := (soundKey{c.stored, c.hash}); len(m.known) > 0 {
		if _, was := m.known[key]; was {
			m.known[key] = true
		}
	}
	if m.err != nil {
		return
	}
	m.changes.Add(verified.Record{Stored: c.stored, Tag: verified.TagOf(c.hash), Size: size, Time: m.now.Unix(), Read: true})
	if time.Since(m.last) > noteEvery {
		m.note(context.Background())
	}
}

// note records what was read since the last time. Its caller has the lock.
func (m *memory) note(ctx context.Context) {
	err := m.store.Note(ctx, m.changes)
	m.err = errors.Join(err, m.changes.Close())
	m.changes, m.last = verified.NewChanges(m.store.TempDir), time.Now()
}

// end records the rest, and the damage. It does so after an interruption, too.
func (m *memory) end(v *verifier, snapshots []archive.Snapshot) error {
	if m.store == nil {
		return nil
	}
	ctx := context.WithoutCancel(v.ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.note(ctx)
	}
	if m.err == nil && len(m.compared) > 0 {
		m.err = m.store.Structure(ctx, m.now, m.compared...)
	}
	if m.err == nil {
		var settled error
		m.err = m.store.UpdateDamage(ctx, func(n *verified.Note) { settled = m.settle(v, n) })
		m.err = errors.Join(m.err, settled)
	}
	v.report.NotRemembered = m.err
	closed := errors.Join(m.changes.Close(), m.due.close())
	v.report.Dates = m.total
	known, err := m.store.Damage()
	if err != nil {
		return errors.Join(err, closed)
	}
	if m.err != nil {
		v.report.Known = known
		_ = m.settle(v, known) // m.err is told
		return closed
	}
	v.report.Known = known
	v.report.Dates, err = m.store.Table()
	return errors.Join(err, closed)
}

// settle brings the note of damage up to date: without what was found sound and what is gone, with what was found. An error
// leaves names in the note that are gone.
func (m *memory) settle(v *verifier, n *verified.Note) error {
	n.Drop(func(d *verified.Damaged) bool {
		return d.Kind == verified.Content && m.known[soundKey{d.Stored, d.Hash}]
	})
	all := v.opt.Share == nil && !v.opt.MetadataOnly && v.report.Unreadable == 0
	err := v.archive.DropNames(v.ctx, n, func(d *verified.Damaged, name verified.Name) bool {
		if d.Kind == verified.Records && m.whole {
			return true // found again, if it is still so
		}
		return (d.Kind != verified.Content || all) && slices.Contains(m.compared, name.Snapshot)
	})
	v.found.addTo(n)
	return err
}
