package prune

import (
	"context"
	"errors"
	"fmt"
	"os"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/extsort"
	"snapcopy/internal/workers"
)

const blockSize = 512 // of which st_blocks counts the number

// Catalog is a snapshot whose space is to be counted.
type Catalog struct {
	Name    string
	Path    string // of the catalog
	Records Size   // the snapshot's catalog and report
}

// open opens the catalog. That of another snapshot in its place is damage.
func (c *Catalog) open() (*index.Catalog, error) {
	return archive.Snapshot{Name: c.Name, CatalogPath: c.Path}.OpenCatalog()
}

// AccountOptions are the options of Account. All are optional.
type AccountOptions struct {
	// Ledger is the path of the file that keeps the counts for the next Account; empty: no file. If it cannot be
	// written, Note gets the error; the counts are correct all the same.
	Ledger string
	// TempDir is the folder for temporary files, which are needed from about half a million changes on; empty: the
	// system's.
	TempDir string
	// Threads is the number of catalogs read at once; 0: one for each processor.
	Threads int
	// Anchor is the present identity of the archive's folder (see index.Summary). 0: unknown.
	Anchor uint64
	Note   func(error)
}

// Account finds from the catalogs, the oldest first, which stored files each snapshot has, alone or together with
// others. It looks at no stored file. Memory is bounded, whatever the number of files.
func Account(ctx context.Context, list []Catalog, opt AccountOptions) (*Space, error) {
	opt.Threads = workers.Number(opt.Threads)
	if opt.Note == nil {
		opt.Note = func(error) {}
	}
	if len(list) == 0 { // then there is nothing to keep in a ledger
		return new(Space), nil
	}
	c := counting{ctx: ctx, opt: opt, list: list}
	if err := c.look(); err != nil {
		return nil, err
	}
	space, err := c.fromLedger()
	if errors.Is(err, errLedger) { // then it is made anew
		opt.Note(err)
		c.old = nil
		space, err = c.count()
	}
	return space, err
}

type counting struct {
	ctx   context.Context
	opt   AccountOptions
	list  []Catalog
	known []known // of list
	space Space
	old   *ledgerReader // nil: there is none that can be used
}

// look reads the summary of each catalog.
func (c *counting) look() error {
	var last uint64
	era := uint32(0)
	for i := range c.list {
		cat, err := c.list[i].open()
		if err != nil {
			return fmt.Errorf("count space of %s: %w", c.list[i].Name, err)
		}
		root, anchor := cat.Root(), cat.Summary().Anchor
		if i > 0 && anchor != last {
			era++
		}
		last = anchor
		c.known = append(c.known, known{name: c.list[i].Name, hash: cat.FileHash(), era: era})
		own := Size{Bytes: (root.Blocks + root.Below.Structure) * blockSize, Inodes: root.Below.Dirs + 1}
		own.add(c.list[i].Records)
		c.space.Snapshots = append(c.space.Snapshots, c.list[i].Name)
		c.space.Own = append(c.space.Own, own)
		if err := cat.Close(); err != nil {
			return err
		}
	}
	for i := range c.known {
		if c.known[i].era != era || c.opt.Anchor != 0 && c.opt.Anchor != last {
			c.space.Doubtful = append(c.space.Doubtful, i)
		}
	}
	return nil
}

// fromLedger starts from the counts in the ledger, if it can be used.
func (c *counting) fromLedger() (space *Space, err error) {
	if c.opt.Ledger == "" {
		return c.count()
	}
	old, err := openLedger(c.opt.Ledger)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return c.count()
	case errors.Is(err, errLedger):
		return nil, err
	case err != nil:
		c.opt.Note(err)
		return c.count()
	}
	defer func() { err = errors.Join(err, old.close()) }()
	if at, usable := c.positions(old); usable {
		c.old = old
		return c.countOver(at)
	}
	return c.count()
}

func (c *counting) count() (*Space, error) { return c.countOver(nil) }

// positions returns the positions in the list of the ledger's snapshots, -1 for removed ones. The ledger is usable if
// its last snapshot still exists, and the list has no other snapshot up to that one.
func (c *counting) positions(ledger *ledgerReader) (at []int, usable bool) {
	old := ledger.snapshots
	next := 0
	for i := range old {
		p := -1
		for q := next; q < len(c.known); q++ {
			if c.known[q].name == old[i].name {
				p = q
				break
			}
		}
		if p >= 0 {
			if p != next || c.known[p].hash != old[i].hash {
				return nil, false
			}
			next++
		}
		at = append(at, p)
	}
	if len(old) == 0 || at[len(at)-1] < 0 {
		return nil, false
	}
	// Eras are numbered from the first snapshot in the list: the removal of an old snapshot may change them.
	for i, p := range at {
		if p >= 0 && c.known[p].era != old[i].era {
			return nil, false
		}
	}
	return at, true
}

// countOver counts the snapshots after those of the ledger; at has the positions of the ledger's snapshots.
func (c *counting) countOver(at []int) (space *Space, err error) {
	first := 0
	for _, p := range at {
		first = max(first, p+1)
	}
	if first == len(c.list) && len(at) == first { // nothing has changed
		if err := c.old.proveUnchanged(); err != nil {
			return nil, err
		}
		c.shares(&c.old.setTable)
		return &c.space, nil
	}
	events := newEventSorter(c.opt.TempDir)
	defer func() { err = errors.Join(err, events.Close()) }()
	if err := c.compare(first, events); err != nil {
		return nil, err
	}
	w, err := newLedgerWriter(c.opt.Ledger)
	if err != nil {
		c.opt.Note(fmt.Errorf("remember space: %w", err))
		if w, err = newLedgerWriter(""); err != nil {
			return nil, err
		}
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := c.combine(at, first, events, w); err != nil {
		return nil, err
	}
	if err := w.finish(c.known); err != nil {
		c.opt.Note(fmt.Errorf("remember space: %w", err))
	}
	c.shares(&w.setTable)
	return &c.space, nil
}

func (c *counting) shares(t *setTable) {
	for i, h := range t.sets {
		if t.sizes[i].Inodes > 0 {
			c.space.Shared = append(c.space.Shared, Share{Sharers: h.list(len(c.list)), Size: t.sizes[i]})
		}
	}
}

// compare finds the names of stored files that each snapshot from first on has gained or lost since the snapshot
// before it.
func (c *counting) compare(first int, events *extsort.Sorter[event]) error {
	return workers.Each(c.ctx, c.opt.Threads, len(c.list)-first, func(ctx context.Context, i int) error {
		return c.compareOne(ctx, first+i, events)
	})
}

func (c *counting) compareOne(ctx context.Context, n int, events *extsort.Sorter[event]) (err error) {
	d := delta{ctx: ctx, snapshot: uint32(n), newEra: c.known[n].era, out: events}
	open := func(n int) *index.Catalog {
		cat, openErr := c.list[n].open()
		if openErr != nil {
			err = fmt.Errorf("count space of %s: %w", c.list[n].Name, openErr)
			return nil
		}
		cat.KeepBlocks(8)
		return cat
	}
	if d.new = open(n); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.new.Close()) }()
	if n > 0 {
		d.oldEra = c.known[n-1].era
		if d.old = open(n - 1); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.old.Close()) }()
	}
	if err := d.run(); err != nil {
		return fmt.Errorf("count space of %s: %w", c.list[n].Name, err)
	}
	return nil
}
