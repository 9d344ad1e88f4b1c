package filecopy

import (
	"context"
	"sync"
	"sync/atomic"

	"snapcopy/internal/fsat"
)

// Team is a number of threads, which Copiers of one Team share: while fewer Copiers than threads are at work, the
// others help to hash a large file. They read it one after the other, from beginning to end like a single thread, and
// hash what each has read at the same time.
type Team struct {
	threads int64
	busy    atomic.Int64 // Copiers at work, and helpers
	scratch sync.Pool    // of *scratch
}

// NewTeam returns a Team of so many threads.
func NewTeam(threads int) *Team {
	return &Team{threads: int64(threads), scratch: sync.Pool{New: func() any { return new(scratch) }}}
}

// isFor reports whether a content is large enough for more than one thread.
func (t *Team) isFor(size int64) bool { return t != nil && t.threads > 1 && size >= 4*pieceSize }

func (t *Team) enter() {
	if t != nil {
		t.busy.Add(1)
	}
}

func (t *Team) leave() {
	if t != nil {
		t.busy.Add(-1)
	}
}

// join takes a thread that is free; it reports whether there was one.
func (t *Team) join() bool {
	n := t.busy.Load()
	return n < t.threads && t.busy.CompareAndSwap(n, n+1)
}

// joint is a file that several threads hash.
type joint struct {
	*Copier
	ctx  context.Context
	src  int
	end  int64 // where to stop; -1: at the end of the file
	tree tree

	mu   sync.Mutex
	at   int64 // the next byte to read
	over bool  // nothing is left to read
	err  error

	helpers sync.WaitGroup
}

// hashJointly hashes src from its beginning to end, or to the end of the file if that comes first or end is negative.
// It returns the offset reached.
func (c *Copier) hashJointly(ctx context.Context, src int, end int64) (n int64, hash [32]byte, err error) {
	own, under := c.Team.scratch.Get().(*scratch), c.Team.scratch.Get().(*scratch)
	j := &joint{Copier: c, ctx: ctx, src: src, end: end, tree: tree{scratch: under}}
	alone := c.hash.plain
	c.hash.plain = &j.tree
	j.work(own, false)
	j.helpers.Wait()
	if j.err == nil {
		hash, c.ZeroHash = c.hash.sum()
	}
	c.hash.plain = alone
	c.Team.scratch.Put(own)
	c.Team.scratch.Put(under)
	return j.at, hash, j.err
}

// work reads pieces and hashes them, until nothing is left, or until a helper's thread is needed elsewhere.
func (j *joint) work(buf *scratch, helps bool) {
	var s *subtree
	for {
		if !helps {
			j.callHelpers()
		}
		j.mu.Lock()
		if s != nil {
			j.tree.finish(s)
			s = nil
		}
		for s == nil && !j.over && !(helps && j.Team.busy.Load() > j.Team.threads) {
			s = j.next(buf)
		}
		j.mu.Unlock()
		if s == nil {
			return
		}
		s.root = buf.hash(buf.piece[:], s.first)
	}
}

// callHelpers lets all free threads help.
func (j *joint) callHelpers() {
	for j.Team.join() {
		j.helpers.Go(func() {
			defer j.Team.leave()
			buf := j.Team.scratch.Get().(*scratch)
			j.work(buf, true)
			j.Team.scratch.Put(buf)
		})
	}
}

// next reads the next piece and returns the subtree that remains to be hashed, if there is one. The caller has the lock.
func (j *joint) next(buf *scratch) *subtree {
	want := buf.piece[:]
	if left := j.end - j.at; j.end >= 0 && left < pieceSize {
		want = want[:left]
	}
	n := 0
	if j.err = j.ctx.Err(); j.err != nil {
		j.err = context.Cause(j.ctx)
	} else {
		n, j.err = fsat.Read(j.src, want, j.at)
	}
	j.at += int64(n)
	j.Data += int64(n)
	j.over = j.err != nil || n < pieceSize
	if j.err != nil || n == 0 {
		return nil
	}
	if j.Tick != nil {
		j.Tick(n)
	}
	j.hash.write(want[:n])
	return j.tree.takeOpen()
}
