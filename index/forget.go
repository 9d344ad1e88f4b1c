package index

import (
	"context"
	"errors"
	"slices"
)

// Forgetting takes snapshots out of an index after their folders were removed. A stored file that other snapshots
// contain as well gets a location in one of them; every other stored file leaves the index. Catalogs tell which is
// which:
//
//	Affected  →  Look, catalog by catalog, until every stored file is found  →  Commit
//
// Memory is that of a Builder. Nothing changes before Commit.
type Forgetting struct {
	old     *Index
	names   []string // of the snapshots in the new index
	renamed []int    // number in the new index of each snapshot of the old index; negative: forgotten
	b       *Builder
}

// Forget begins to take the snapshots for which gone is true out of old. Temporary files go into tmpdir. The caller
// closes old.
func Forget(old *Index, gone func(snapshot string) bool, tmpdir string) *Forgetting {
	f := &Forgetting{old: old, b: NewBuilder(tmpdir)}
	for _, name := range old.head.snapshots {
		if gone(name) {
			f.renamed = append(f.renamed, -1)
			continue
		}
		f.renamed = append(f.renamed, len(f.names))
		f.names = append(f.names, name)
	}
	return f
}

// Affected calls fn with the inode number of every stored file whose location is in a snapshot to forget.
func (f *Forgetting) Affected(ctx context.Context, fn func(stored uint64)) error {
	return f.old.scan(ctx, func(r *record) error {
		if f.renamed[r.snapshot()] < 0 {
			fn(r.stored())
		}
		return nil
	})
}

// Look adds those stored files of a remaining snapshot for which take is true. It calls take for each name of a
// regular file, and stops when more is false.
func (f *Forgetting) Look(ctx context.Context, c *Catalog, take func(stored uint64) (take, more bool)) error {
	name := c.Summary().Snapshot
	number := slices.Index(f.names, name)
	if number < 0 {
		number = len(f.names)
		f.names = append(f.names, name)
	}
	l := look{ctx: ctx, c: c, b: f.b, number: uint32(number), take: take}
	err := l.dir(c.Root().Child)
	if errors.Is(err, SkipAll) {
		return nil
	}
	return err
}

// look walks one catalog.
type look struct {
	ctx    context.Context
	c      *Catalog
	b      *Builder
	number uint32
	take   func(stored uint64) (take, more bool)
}

func (l *look) dir(pos uint64) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	rec, err := l.c.ReadDir(pos)
	if err != nil {
		return err
	}
	for i, e := range rec.Entries() {
		if e.Type == Dir {
			if err := l.dir(e.Child); err != nil {
				return err
			}
		}
		if e.Type != File || e.Stored == 0 {
			continue
		}
		take, more := l.take(e.Stored)
		if take {
			l.b.add(e, l.number, rec.id, uint32(i))
		}
		if !more {
			return SkipAll
		}
	}
	return nil
}

// Commit writes the index to path. The file is replaced at once and durably, or not at all.
func (f *Forgetting) Commit(ctx context.Context, path string) error {
	scan := indexScan{x: f.old}
	var moved record // a copy: the scan compares each record with the one before
	kept := func() (*record, error) {
		for {
			r, err := scan.next(ctx)
			if r == nil || err != nil {
				return nil, err
			}
			if number := f.renamed[r.snapshot()]; number >= 0 {
				moved = *r
				moved.setSnapshot(number)
				return &moved, nil
			}
		}
	}
	return f.b.write(ctx, kept, f.old.head.large, f.names, -1, path)
}

// Close removes the temporary files.
func (f *Forgetting) Close() error { return f.b.Close() }
