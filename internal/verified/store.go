package verified

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"time"

	"snapcopy/internal/fsat"
	"snapcopy/internal/plainfile"
	"snapcopy/internal/workers"
)

// Store is the place of an archive's dates, and of the note of its damage.
type Store struct {
	Path       string           // of the dates
	DamagePath string           // of the note
	Anchor     uint64           // identity of the archive's .snapcopy: inode numbers depend on it
	TempDir    string           // of temporary files; "": that of the system
	Now        func() time.Time // nil: time.Now
}

// Table reads the table of the file. It is empty if there is no usable file.
func (s *Store) Table() (*Table, error) {
	r, err := openReader(s.Path, s.Anchor)
	if errors.Is(err, errUnusable) || err == nil && r == nil {
		return new(Table), nil
	}
	if err != nil {
		return nil, err
	}
	return r.table, r.close()
}

// Records calls fn with each record of the file, in order. It ends early, without an error, where the file is damaged.
func (s *Store) Records(fn func(*Record) error) error {
	r, err := openReader(s.Path, s.Anchor)
	if err != nil && !errors.Is(err, errUnusable) {
		return err
	}
	var rec Record
	ok := err == nil && r != nil
	for ok {
		ok, err = r.next(&rec)
		if ok {
			err = fn(&rec)
			ok = err == nil
		}
	}
	if errors.Is(err, errUnusable) {
		err = nil
	}
	return errors.Join(err, r.close())
}

// next reads records in ascending order; ok is false after the last.
type next func(*Record) (ok bool, err error)

// Note adds records of stored files that were read. A record in the file is only replaced by a later one.
func (s *Store) Note(ctx context.Context, c *Changes) error {
	return s.replace(ctx, func(old *reader, w *writer, _ *Table) error {
		added, err := c.sorter.Merge()
		if err != nil {
			return err
		}
		return merge(ctx, old.next, added.Next, func(was, now *Record) error {
			switch {
			case now == nil || was != nil && !now.isNewerThan(was):
				return w.add(was)
			default:
				return w.add(now)
			}
		})
	})
}

// Structure records that the structure of snapshots was compared at a time.
func (s *Store) Structure(ctx context.Context, at time.Time, snapshots ...string) error {
	return s.replace(ctx, func(old *reader, w *writer, t *Table) error {
		for _, name := range snapshots {
			t.Structures[name] = max(t.Structures[name], at.Unix())
		}
		return merge(ctx, old.next, none, func(was, _ *Record) error { return w.add(was) })
	})
}

func none(*Record) (bool, error) { return false, nil }

// Present is what an archive has now.
type Present struct {
	Since     time.Time // when looking began; dates much later are those of a wrong clock, and count as unknown
	Snapshots []string
	// Records yields the stored files in ascending order, with the times at which they were stored. It begins anew with
	// each call.
	Records func() (func(*Record) (bool, error), error)
	// Dated is called with each of them in that order, with the time of its last check if there was one. It may be called
	// for all of them a second time: Again is called before.
	Dated func(*Record) error
	Again func() error
}

// Refresh makes the file agree with what the archive has now: stored files without a record get one, and records of
// stored files that are gone are dropped, except those that another process has added meanwhile.
func (s *Store) Refresh(ctx context.Context, p Present) error {
	return s.replace(ctx, func(old *reader, w *writer, t *Table) error {
		if err := p.Again(); err != nil {
			return err
		}
		keepOnly(t, p.Snapshots)
		return p.merge(ctx, old.next, func(r *Record) error { return w.add(r) })
	})
}

// Look is Refresh without changing the file, for an archive that cannot be written to. The table is that of the file.
func (s *Store) Look(ctx context.Context, p Present) (t *Table, err error) {
	for usable := true; ; usable = false {
		var old *reader
		if usable {
			old, err = openReader(s.Path, s.Anchor)
			if err != nil && !errors.Is(err, errUnusable) {
				return nil, err
			}
			if err != nil {
				old = nil
			}
		}
		t = &Table{Structures: make(map[string]int64)}
		if old != nil {
			t.Structures = old.table.Structures
		}
		sums := make(days)
		err = p.Again()
		if err == nil {
			err = p.merge(ctx, old.next, func(r *Record) error { sums.add(r); return nil })
		}
		err = errors.Join(err, old.close())
		if usable && errors.Is(err, errUnusable) {
			continue
		}
		t.Days = sums.list()
		keepOnly(t, p.Snapshots)
		return t, err
	}
}

// clockSlack is how far a date may lie ahead of the clock: one that lies years ahead would keep a file from being read.
const clockSlack = 24 * time.Hour

// merge gives each stored file that exists its date, and passes it to Dated and to out.
func (p *Present) merge(ctx context.Context, old next, out func(*Record) error) error {
	exist, err := p.Records()
	if err != nil {
		return err
	}
	latest := p.Since.Add(clockSlack).Unix()
	return merge(ctx, old, exist, func(was, now *Record) error {
		if was != nil && was.Time > latest {
			was = nil
		}
		if now == nil && was == nil {
			return nil
		}
		if now == nil {
			if was.Time < p.Since.Unix() {
				return nil
			}
			return out(was)
		}
		r := *now
		if was != nil && was.Read {
			r.Time, r.Read = was.Time, true
		} else if was != nil {
			r.Time = min(r.Time, was.Time)
		}
		if err := out(&r); err != nil {
			return err
		}
		return p.Dated(&r)
	})
}

func keepOnly(t *Table, snapshots []string) {
	known := make(map[string]bool, len(snapshots))
	for _, name := range snapshots {
		known[name] = true
	}
	maps.DeleteFunc(t.Structures, func(name string, _ int64) bool { return !known[name] })
}

// checkEvery is the number of records after which a merge looks whether it was cancelled.
const checkEvery = 1 << 12

// merge calls fn with the records of two sorted lists side by side; nil: the list does not have it.
func merge(ctx context.Context, a, b next, fn func(a, b *Record) error) error {
	var x, y Record
	moreA, err := a(&x)
	if err != nil {
		return err
	}
	moreB, err := b(&y)
	for n := 0; err == nil && (moreA || moreB); n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		order := 0
		switch {
		case !moreB:
			order = -1
		case !moreA:
			order = 1
		default:
			order = Compare(&x, &y)
		}
		one, other := &x, &y
		if order > 0 {
			one = nil
		}
		if order < 0 {
			other = nil
		}
		if err = fn(one, other); err == nil && order <= 0 {
			moreA, err = a(&x)
		}
		if err == nil && order >= 0 {
			moreB, err = b(&y)
		}
	}
	return err
}

// replace makes a new file from the old one, under the lock. If the old one proves damaged, fill is called again without.
// A process that takes the archive's lock removes unfinished files, this one included: then it is written again.
func (s *Store) replace(ctx context.Context, fill func(old *reader, w *writer, t *Table) error) error {
	lock, err := s.lock(ctx)
	if err != nil {
		return fmt.Errorf("lock %s: %w", s.Path, err)
	}
	usable := true
	for try := 0; ; try++ {
		err = s.rewrite(usable, fill)
		if errors.Is(err, errUnusable) && usable {
			usable = false
			continue
		}
		if errors.Is(err, fs.ErrNotExist) && try < 9 {
			continue
		}
		break
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("write %s: %w", s.Path, err)
	}
	return errors.Join(err, lock.Close())
}

func (s *Store) rewrite(usable bool, fill func(old *reader, w *writer, t *Table) error) (err error) {
	var old *reader
	if usable {
		if old, err = openReader(s.Path, s.Anchor); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, old.close()) }()
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	t := &Table{Updated: now().Unix(), Structures: make(map[string]int64)}
	if old != nil {
		maps.Copy(t.Structures, old.table.Structures)
	}
	w, err := newWriter(s.Path, s.Anchor)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := fill(old, w, t); err != nil {
		return err
	}
	return w.commit(t)
}

// lockPatience is how long a process waits for another one that records what it has read.
const lockPatience = 2 * time.Minute

// lock takes an exclusive lock on the file at the path, an empty one if there is none: it counts as unusable. The file is
// replaced while it is locked, so whoever gets the lock looks whether it still has the name.
func (s *Store) lock(ctx context.Context) (*os.File, error) {
	for begin := time.Now(); ; {
		f, err := plainfile.OpenFile(s.Path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		ok, err := fsat.TryLock(int(f.Fd()))
		if err == nil && ok && s.isNamed(f) {
			return f, nil
		}
		if err == nil && !ok && time.Since(begin) > lockPatience {
			err = errors.New("another process has had it for too long")
		}
		if err == nil && !ok {
			err = workers.Pause(ctx, 10*time.Millisecond)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
}

func (s *Store) isNamed(f *os.File) bool {
	own, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(s.Path)
	return err == nil && os.SameFile(own, now)
}
