package snapshot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/fsat"
	"snapcopy/internal/walk"
)

// An entry of the source that cannot be read for an error that may pass waits until nothing else is left to do; then all that
// wait are tried again, after one wait for all of them, and so on for as many rounds as the options allow. An entry that waits
// keeps its folder, and those above it, under way, so their number is bounded. Beyond the bounds, and after the last round, a
// failure is final: notStored, failed and unreadableDir go on as if there were no retries.

// Bounds of what waits. Names are those of the folders that wait, the largest left out: a walk keeps that in memory anyway.
const (
	maxWaiting        = 1000
	maxWaitingFolders = 1000
	maxWaitingNames   = 1 << 14
	// minRetryTime is how long rounds go on at least before the rest fails; more if the waits asked for take longer.
	minRetryTime = 15 * time.Minute
)

// retries has the entries of a run that wait to be tried again.
type retries struct {
	most  int           // further tries for each entry; 0: none
	pause time.Duration // before each round

	mu      sync.Mutex
	waiting map[waitKey]*waiting
	held    map[*dir]bool // folders under way for their sake
	names   int           // in these folders
	largest int           // names in the largest of them
	holding atomic.Bool   // there was one
	round   int
	end     time.Time // of all rounds; zero: none has begun
	topTry  int       // tries of the source's own folder

	count struct{ tries, entries, read, refused uint64 }
}

// waitKey is item i of a folder.
type waitKey struct {
	d *dir
	i int
}

type waiting struct {
	tries int // that failed
	round int // in which it failed last
	cause error
}

func (q *retries) init(opt *Options) {
	q.most, q.pause = max(opt.Retries, 0), opt.RetryWait
	q.waiting, q.held = make(map[waitKey]*waiting), make(map[*dir]bool)
}

// isLater reports that an entry waits, from the error of the attempt to read it.
func isLater(err error) bool { return errors.Is(err, walk.ErrLater) }

// later decides about an entry that could not be read: it is item i of d. If it is to wait, the error returned says so:
// isLater. Any other error, nil among them, is returned as it is.
func (w *worker) later(d *dir, i int, err error) error {
	if err == nil || isLater(err) || isFatal(err) || !fsat.MayPass(err) || d.isCarried() || !w.retries.postpone(d, i, err) {
		return err
	}
	return fmt.Errorf("%w: %w", walk.ErrLater, err)
}

// later is worker.later for an entry that is read from the source, and not from the previous snapshot.
func (at slot) later(err error) error {
	if at.isCarried() {
		return err
	}
	return at.w.later(at.d, at.i, err)
}

// laterDir is later for the folder d itself.
func (w *worker) laterDir(d *dir, err error) error {
	if d.isCarried() {
		return err
	}
	if d.parent != nil {
		return w.later(d.parent, d.slot, err)
	}
	if err != nil && !isFatal(err) && fsat.MayPass(err) && w.retries.topTry < w.retries.most {
		return fmt.Errorf("%w: %w", walk.ErrLater, err)
	}
	return err
}

// postpone makes an entry wait for the next round, if it may.
func (q *retries) postpone(d *dir, i int, cause error) bool {
	if q.most == 0 {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	key := waitKey{d, i}
	entry := q.waiting[key]
	switch {
	case entry == nil && (len(q.waiting) >= maxWaiting || q.isOver() || !q.hold(d)):
		q.count.refused++
		return false
	case entry == nil:
		entry = new(waiting)
		q.waiting[key] = entry
		q.count.entries++
	case entry.tries >= q.most || q.isOver():
		return false
	}
	entry.tries++
	entry.round, entry.cause = q.round, cause
	return true
}

func (q *retries) isOver() bool { return !q.end.IsZero() && time.Now().After(q.end) }

// hold keeps a folder and those above it under way. It returns false if that would be too many. The caller has the lock.
func (q *retries) hold(d *dir) bool {
	n, names, largest := len(q.held), q.names, q.largest
	for at := d; at != nil && !q.held[at]; at = at.parent {
		n++
		names += len(at.names)
		largest = max(largest, len(at.names))
	}
	if n > maxWaitingFolders || names-largest > maxWaitingNames {
		return false
	}
	q.names, q.largest = names, largest
	for at := d; at != nil && !q.held[at]; at = at.parent {
		q.held[at] = true
	}
	q.holding.Store(true)
	return true
}

// left forgets a folder that is left.
func (q *retries) left(d *dir) {
	if !q.holding.Load() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held[d] {
		delete(q.held, d)
		q.names -= len(d.names)
	}
}

// turn says what to do with item i of d, which the walk has come to.
type turn int

const (
	first    turn = iota // nothing: it never waited
	notYet               // it waits for the next round
	tryAgain             // it is to be tried again
	giveUp               // there is no time left; see retries.end
)

// turnOf returns the turn of an item, and for giveUp the reason why the item waited.
func (q *retries) turnOf(d *dir, i int) (turn, error) {
	if !q.holding.Load() {
		return first, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	entry := q.waiting[waitKey{d, i}]
	switch {
	case entry == nil:
		return first, nil
	case entry.round == q.round:
		return notYet, nil
	case q.isOver():
		return giveUp, entry.cause
	}
	q.count.tries++
	return tryAgain, nil
}

// decided ends the waiting of an item that was read, or has failed, or is gone.
func (q *retries) decided(d *dir, i int, read bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, waitKey{d, i})
	if read {
		q.count.read++
	}
}

// triesOf returns how often an item that waits has failed so far.
func (q *retries) triesOf(d *dir, i int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if entry := q.waiting[waitKey{d, i}]; entry != nil {
		return entry.tries
	}
	return 0
}

// wait waits before a round. The end of the run ends it at once.
func (q *retries) wait(ctx context.Context) error {
	if q.end.IsZero() {
		q.end = time.Now().Add(max(minRetryTime, 2*time.Duration(q.most)*q.pause))
	}
	timer := time.NewTimer(q.pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// again begins a round: the walk calls it when nothing is left to do but what waits.
func (r *run) again() error {
	q := &r.retries
	r.phase(archive.Retrying)
	if err := q.wait(r.ctx); err != nil {
		return err
	}
	q.mu.Lock()
	q.round++
	dirs := make([]*dir, 0, len(q.held))
	for d := range q.held {
		dirs = append(dirs, d)
	}
	q.mu.Unlock()
	for _, d := range dirs {
		if err := d.refresh(); err != nil {
			return err
		}
	}
	r.phase(archive.Copying)
	return nil
}

// refresh opens a folder of the source again if its handle has gone bad: a server that came back may want a new one. No
// other worker is busy.
func (d *dir) refresh() (err error) {
	h := &d.handles
	if err := h.Acquire(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Release()) }()
	if h.src == nil {
		return nil
	}
	bad := h.lost
	if bad == nil {
		now := d.source
		bad = h.src.Stat(&now)
	}
	if !fsat.MayPass(bad) {
		return nil
	}
	if h.lost == nil {
		if err := h.src.Close(); err != nil && !fsat.MayPass(err) {
			return fatal("close", d.path(), err)
		}
	}
	h.lost = h.src.Reopen(d.path(), nil)
	return nil
}

// tryItem tries an item again that waited. isDir reports a folder, to be entered as any other.
func (r *run) tryItem(w *worker, d *dir, i int) (isDir bool, err error) {
	path := ""
	if !r.opt.Exclude.Empty() {
		path = d.path()
	}
	w.forgetLooks()
	isDir, err = r.oneItem(w, d, i, path, w.look(d, i, i+1))
	w.publishProgress(r.opt.Progress)
	return isDir, err
}

// inTurn handles an item that the walk wants to enter with regard to retries, and calls enter if it is a folder. The last
// result of both says whether there is a folder to go into.
func (r *run) inTurn(w *worker, d *dir, i int, enter func() (bool, error)) (ok bool, err error) {
	turn, cause := r.retries.turnOf(d, i)
	switch turn {
	case first:
		return enter()
	case notYet:
		return false, walk.ErrLater
	}
	failed, stored := w.counts.Failed, false
	w.tries = r.retries.triesOf(d, i)
	defer func() {
		w.tries = 0
		if !isLater(err) {
			r.retries.decided(d, i, stored && w.counts.Failed == failed)
		}
	}()
	if turn == giveUp {
		return false, r.notStored(w, d, i, cause)
	}
	w.tries++
	isDir, err := r.tryItem(w, d, i)
	if err == nil && isDir {
		ok, err = enter()
	}
	stored = ok || d.entries[i].Type != 0
	return ok, err
}

// openTopFolder opens the source's own folder, describes it and lists it. It waits by itself: there is nothing else to do.
func (r *run) openTopFolder(d *dir) (err error) {
	q := &r.retries
	for {
		err = r.readTop(d)
		if !isLater(err) {
			return err
		}
		r.phase(archive.Retrying)
		if err := q.wait(r.ctx); err != nil {
			return err
		}
		q.topTry++
		q.count.tries++
	}
}

// addTo adds the figures to a report.
func (q *retries) addTo(rep *archive.Report) {
	rep.Retries, rep.RetriedEntries = q.count.tries, q.count.entries
	rep.ReadAfterRetry, rep.NotRetried = q.count.read, q.count.refused
}
