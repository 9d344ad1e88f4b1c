package verify

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/extsort"
	"snapcopy/internal/fsat"
)

// Share is the share of an archive that a Run reads. One of the fields is set.
//
// The stored files that were not read for the longest time come first. Of Time and Bytes, no more is taken: a stored file
// that does not fit the rest is left for the next Run, in which it is the first. The first one is read in any case, to
// its end, so that files larger than any share have their turn, too. Of Part, no less is taken: stored files
// are begun until it is reached, so that n parts of 1/n cover all that was there.
//
// A share of the snapshots, at least one, has its structure compared: the catalog, and the folder's entries with their
// metadata. The content-hash index takes its turn among them.
type Share struct {
	Time  time.Duration
	Bytes uint64
	Part  float64 // of the bytes of all stored files, 0 to 1
}

// ShareReport has the figures of a share.
type ShareReport struct {
	Of       int      // number of snapshots
	Compared []string // those whose structure was compared
	Elapsed  time.Duration
	Deferred uint64 // stored files left for the next Run because they did not fit
	All      bool   // every stored file was read
}

// share carries out a Run with Options.Share.
func (v *verifier) share(snapshots []archive.Snapshot) error {
	v.report.Share = &ShareReport{Of: len(snapshots)}
	begin := time.Now()
	defer func() { v.report.Share.Elapsed = time.Since(begin) }()
	turns := newTurns(v.opt.Share, v.memory.total.Total().Bytes, begin, len(v.workers))
	if err := v.structures(snapshots, turns); err != nil {
		return err
	}
	if err := v.wholeArchive(false); err != nil {
		return err
	}
	v.opt.Progress.ExpectAll.Store(turns.expected())
	var err error
	if turns.sorted, err = v.memory.due.sorter.Merge(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(v.ctx)
	for i := range v.workers {
		r := &shareReader{v: v, w: &v.workers[i], snapshots: snapshots}
		group.Go(func() error { return errors.Join(r.run(ctx, turns), r.close()) })
	}
	err = group.Wait()
	v.report.Share.Deferred, v.report.Share.All = turns.deferred, turns.ended && turns.deferred == 0
	if err != nil {
		return err
	}
	return v.nameDamaged(snapshots)
}

// structures compares the structure of those snapshots that were not compared for the longest time.
func (v *verifier) structures(snapshots []archive.Snapshot, t *turns) error {
	type turn struct {
		at int64
		i  int // -1: the index
	}
	last := v.memory.total.Structures
	list := []turn{{last[archive.IndexFile], -1}}
	for i, s := range snapshots {
		if !slices.ContainsFunc(v.memory.bad, func(b badCatalog) bool { return b.snapshot == s.Name }) {
			list = append(list, turn{last[s.Name], i})
		}
	}
	slices.SortStableFunc(list, func(a, b turn) int { return cmp.Compare(a.at, b.at) })
	metadataOnly := v.opt.MetadataOnly
	v.opt.MetadataOnly = true
	defer func() { v.opt.MetadataOnly = metadataOnly }()
	number := t.structures(len(list))
	for n, turn := range list {
		if n >= number || n > 1 && t.structuresTookTime() {
			break
		}
		var err error
		if turn.i < 0 {
			if err = v.index(); err == nil {
				v.memory.compared = append(v.memory.compared, archive.IndexFile)
			}
		} else {
			err = v.snapshot(snapshots[turn.i])
		}
		if err != nil {
			return err
		}
	}
	v.name = ""
	for _, name := range v.memory.compared {
		if name == archive.IndexFile {
			v.memory.whole = true
		} else {
			v.report.Share.Compared = append(v.report.Share.Compared, name)
		}
	}
	return nil
}

// turns hands out the stored files to read. It is safe for concurrent use.
type turns struct {
	share   *Share
	begin   time.Time
	limit   uint64 // bytes; 0: there is a deadline
	workers int

	mu       sync.Mutex
	sorted   *extsort.Merge[due]
	started  bool   // the first was handed out
	taken    uint64 // bytes handed out
	done     uint64 // bytes read
	deferred uint64
	reading  time.Time // when the first was handed out
	ended    bool      // nothing is left
}

// maxDeferred is the number of stored files that do not fit after which no smaller ones are looked for.
const maxDeferred = 1000

func newTurns(s *Share, total uint64, begin time.Time, workers int) *turns {
	t := &turns{share: s, begin: begin, workers: workers, limit: s.Bytes}
	if s.Part > 0 {
		t.limit = max(uint64(math.Ceil(float64(total)*min(s.Part, 1))), 1)
	}
	return t
}

func (t *turns) deadline() time.Time { return t.begin.Add(t.share.Time) }

// structures returns the number of structures to compare, of n.
func (t *turns) structures(n int) int {
	if t.share.Part > 0 {
		return max(int(math.Ceil(float64(n)*min(t.share.Part, 1))), 2)
	}
	return 2 + n/30
}

// structuresTookTime reports whether comparing structures has taken a quarter of the time.
func (t *turns) structuresTookTime() bool {
	return t.share.Time > 0 && time.Since(t.begin) > t.share.Time/4
}

// expected returns the bytes that are going to be read, 0 if that is unknown.
func (t *turns) expected() uint64 { return t.limit }

// next returns the next stored file to read. It has to be given up at the deadline unless it is the first.
func (t *turns) next() (d due, first, ok bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.sorted != nil && !t.ended && t.deferred < maxDeferred {
		if t.started && t.isUsedUp() {
			break
		}
		more, err := t.sorted.Next(&d)
		if err != nil {
			return d, false, false, err
		}
		if !more {
			t.ended = true
			break
		}
		if t.started && !t.fits(d.record.Size) {
			t.deferred++
			continue
		}
		first = !t.started
		if first {
			t.started, t.reading = true, time.Now()
		}
		t.taken += d.record.Size
		return d, first, true, nil
	}
	return d, false, false, nil
}

func (t *turns) isUsedUp() bool {
	if t.limit == 0 {
		return !time.Now().Before(t.deadline())
	}
	return t.taken >= t.limit
}

// fits reports whether a stored file can be read within the rest of the share.
func (t *turns) fits(size uint64) bool {
	switch {
	case t.share.Part > 0:
		return true
	case t.limit > 0:
		return size <= t.limit-min(t.taken, t.limit)
	}
	const unknownPace = 50 << 20 // bytes a second
	pace := float64(unknownPace)
	if took := time.Since(t.reading).Seconds(); t.done > 1<<20 && took > 0.01 {
		pace = float64(t.done) / took / float64(t.workers)
	}
	return float64(size)/pace <= time.Until(t.deadline()).Seconds()
}

func (t *turns) finished(size uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done += size
}

// shareReader is one worker that reads a share.
type shareReader struct {
	v         *verifier
	w         *worker
	snapshots []archive.Snapshot
	open      *archive.OpenSnapshot // nil: none
	at        uint32                // position of the open snapshot
	gone      bool                  // snapshot at was removed meanwhile
	dirs      [4]openDir            // of the open snapshot
	next      int                   // of dirs
}

// openDir is an open directory of a snapshot.
type openDir struct {
	id   index.DirID
	path string
	fd   int
	used bool
}

func (r *shareReader) run(ctx context.Context, t *turns) error {
	within, cancel := ctx, context.CancelFunc(func() {})
	if t.limit == 0 {
		within, cancel = context.WithDeadline(ctx, t.deadline())
	}
	defer cancel()
	for {
		d, first, ok, err := t.next()
		if err != nil || !ok {
			return err
		}
		limit := within
		if first {
			limit = ctx
		}
		if err := r.read(limit, &d); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		t.finished(d.record.Size)
	}
}

// read reads a stored file. Only an error that ends the run is returned.
func (r *shareReader) read(ctx context.Context, d *due) error {
	if err := r.openSnapshot(d.snapshot); err != nil || r.open == nil {
		return err
	}
	e, ok, err := r.open.Catalog.At(d.dir, d.entry)
	if err == nil && !ok {
		err = errors.New("it has no such entry any more")
	}
	if err != nil {
		err = ofArchive.catalogFailed(err)
		r.v.tell(r.open.Name, "", err, err)
		return nil
	}
	want := contentOf{d.record.Stored, e.Hash, e.Size}
	path, err := r.content(ctx, d.dir, &e)
	if ctx.Err() != nil { // the whole run was ended, or this file did not fit
		return nil
	}
	if err != nil {
		err = want.wrongContent(err)
		r.v.tell(r.open.Name, path, err, err)
	} else {
		r.v.memory.sound(&want, d.record.Size)
	}
	r.v.lock.Lock()
	r.v.report.FilesRead++
	r.v.report.BytesRead += d.record.Size
	r.v.lock.Unlock()
	r.v.opt.Progress.Files.Add(1)
	r.v.opt.Progress.Bytes.Add(d.record.Size)
	return nil
}

// content compares the content of an entry with its record.
func (r *shareReader) content(ctx context.Context, id index.DirID, e *index.Entry) (path string, err error) {
	d, err := r.dir(id)
	if err != nil {
		return index.Join(d.path, e.Name), ofEntry.lookFailed("open folder", err)
	}
	return index.Join(d.path, e.Name), r.v.content(ctx, r.w, d.fd, e)
}

// openSnapshot opens the snapshot at a position; none is open if it was removed meanwhile.
func (r *shareReader) openSnapshot(at uint32) error {
	if at == r.at && (r.open != nil || r.gone) {
		return nil
	}
	if err := r.close(); err != nil {
		return err
	}
	r.at, r.gone = at, false
	s := r.snapshots[at]
	open, err := s.Open()
	switch {
	case errors.Is(err, archive.ErrNoSnapshot):
		r.gone = true
	case err != nil:
		r.gone = true
		err = ofArchive.catalogFailed(err)
		r.v.tell(s.Name, "", err, err)
	default:
		r.open = open
	}
	return nil
}

// dir opens a directory of the open snapshot. The last few stay open: neighbours on the disk are often of the same ones.
func (r *shareReader) dir(id index.DirID) (*openDir, error) {
	for i := range r.dirs {
		if d := &r.dirs[i]; d.used && d.id == id {
			return d, nil
		}
	}
	d := &r.dirs[r.next]
	r.next = (r.next + 1) % len(r.dirs)
	if err := d.close(); err != nil {
		return d, err
	}
	path, err := r.open.Catalog.Path(id)
	if err != nil {
		return d, err
	}
	names := []string{r.open.Name}
	if path != "" {
		names = append(names, strings.Split(path, "/")...)
	}
	fd, err := fsat.OpenBelow(r.v.archive.Root, names)
	*d = openDir{id: id, path: path, fd: fd, used: err == nil}
	return d, err
}

func (d *openDir) close() error {
	if !d.used {
		return nil
	}
	d.used = false
	return fsat.Close(d.fd)
}

func (r *shareReader) close() error {
	var errs []error
	for i := range r.dirs {
		errs = append(errs, r.dirs[i].close())
	}
	if r.open != nil {
		errs = append(errs, r.open.Close())
		r.open = nil
	}
	return errors.Join(errs...)
}

// nameDamaged finds all names of the damaged contents that were found under one.
func (v *verifier) nameDamaged(snapshots []archive.Snapshot) error {
	list := slices.Collect(maps.Values(v.found.contents))
	_, err := v.archive.AddNames(v.ctx, list, snapshots) // a damaged catalog was told
	if v.ctx.Err() != nil {
		err = errors.Join(context.Cause(v.ctx), err)
	}
	return err
}
