package prune

import (
	"context"
	"fmt"

	"snapcopy/internal/extsort"
)

// combine merges the ledger with the events, and writes the merged accounts. at has the positions of the ledger's
// snapshots; first is the position of the first snapshot that the ledger lacks.
func (c *counting) combine(at []int, first int, events *extsort.Sorter[event], w *ledgerWriter) error {
	merged, err := events.Merge()
	if err != nil {
		return err
	}
	m := merger{c: c, at: at, first: first, w: w, now: newSharers(len(c.list)), same: make(map[sameKey]uint32)}
	m.changes.next = merged.Next
	m.known.next = func(*account) (bool, error) { return false, nil }
	if at != nil {
		m.known.next = c.old.next
	}
	return m.run()
}

// stream is a sorted stream of which the first item is known.
type stream[T any] struct {
	next  func(*T) (bool, error)
	first T
	more  bool // first is an item
}

// step makes the next item the first one.
func (s *stream[T]) step() (err error) {
	s.more, err = s.next(&s.first)
	return err
}

// merger merges the accounts of stored files with new events.
type merger struct {
	c       *counting
	at      []int // positions of the ledger's snapshots; nil: there is no ledger
	first   int   // position of the first snapshot that the ledger lacks
	w       *ledgerWriter
	known   stream[account] // the ledger
	changes stream[event]
	events  []event // of the file at hand
	now     sharers // of the file at hand
	same    map[sameKey]uint32
}

// sameKey has all on which the new set of sharers of a file without events depends.
type sameKey struct {
	set uint32
	had bool // by the last snapshot that was known
}

const noSet = ^uint32(0)

func (m *merger) run() error {
	if err := m.changes.step(); err != nil {
		return err
	}
	if err := m.known.step(); err != nil {
		return err
	}
	for n := 0; m.known.more || m.changes.more; n++ {
		if n%4096 == 0 && m.c.ctx.Err() != nil {
			return context.Cause(m.c.ctx)
		}
		if err := m.one(); err != nil {
			return err
		}
	}
	return nil
}

// one writes the new account of the stored file that comes next.
func (m *merger) one() error {
	known := m.known.more && (!m.changes.more || m.known.first.inode.compare(m.changes.first.inode) <= 0)
	file := account{inode: m.changes.first.inode, blocks: m.changes.first.blocks}
	if known {
		file = m.known.first
		if err := m.known.step(); err != nil {
			return err
		}
	}
	m.events = m.events[:0]
	for m.changes.more && m.changes.first.inode == file.inode {
		m.events = append(m.events, m.changes.first)
		if err := m.changes.step(); err != nil {
			return err
		}
	}
	switch {
	case !known:
		clear(m.now)
		return m.put(&file)
	case len(m.events) > 0:
		m.findSharers(&file)
		return m.put(&file)
	}
	return m.putUnchanged(&file)
}

// putUnchanged writes the account of a known file without events.
func (m *merger) putUnchanged(file *account) error {
	key := sameKey{file.set, file.names > 0}
	if set, ok := m.same[key]; ok {
		return m.write(file, set)
	}
	m.findSharers(file)
	if err := m.addSharers(file); err != nil {
		return err
	}
	m.same[key] = m.number()
	return m.write(file, m.same[key])
}

// put writes the account of a file with events.
func (m *merger) put(file *account) error {
	if m.now.empty() { // a new file, maybe with the inode number of a removed one
		file.blocks = m.events[0].blocks
	}
	if err := m.addSharers(file); err != nil {
		return err
	}
	return m.write(file, m.number())
}

// findSharers sets now to the snapshots that had a known file and still exist.
func (m *merger) findSharers(file *account) {
	clear(m.now)
	for i, p := range m.at {
		if p >= 0 && m.c.old.sets[file.set].has(i) {
			m.now.add(p)
		}
	}
}

// addSharers adds to now the new snapshots that have a file, and brings the number of its names up to date.
func (m *merger) addSharers(file *account) error {
	names := int64(file.names)
	rest := m.events
	for p := m.first; p < len(m.c.list); p++ {
		for len(rest) > 0 && int(rest[0].snapshot) == p {
			names += int64(rest[0].names)
			rest = rest[1:]
		}
		if names < 0 {
			return m.contradiction(file)
		}
		if names > 0 {
			m.now.add(p)
		}
	}
	file.names = uint64(names)
	return nil
}

// contradiction reports a count below zero, which only a mistake in a ledger or in the catalogs can cause.
func (m *merger) contradiction(file *account) error {
	if m.at != nil {
		return fmt.Errorf("%w: stored file %d", errLedger, file.number)
	}
	return fmt.Errorf("count space: catalogs contradict one another about stored file %d", file.number)
}

// number returns the number of the set of sharers now.
func (m *merger) number() uint32 {
	if m.now.empty() {
		return noSet
	}
	return m.w.number(m.now)
}

func (m *merger) write(file *account, set uint32) error {
	if set == noSet { // all snapshots that had it are gone
		return nil
	}
	file.set = set
	return m.w.add(file)
}
