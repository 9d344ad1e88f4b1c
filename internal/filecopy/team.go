package filecopy

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"

	"snapcopy/internal/fsat"
)

// Team is a number of threads, which Copiers of one Team share: while fewer Copiers than threads are at work, the
// others help to hash a large file. Each reads the next piece and hashes it, at the same time as the others; nobody waits
// for anybody until the end.
type Team struct {
	threads int64
	busy    atomic.Int64 // Copiers at work, and helpers
	seats   sync.Pool    // of *seat
}

// seat is the memory of a thread that takes part.
type seat struct {
	piece   [pieceSize]byte
	scratch scratch
}

// NewTeam returns a Team of so many threads.
func NewTeam(threads int) *Team {
	return &Team{threads: int64(threads), seats: sync.Pool{New: func() any { return new(seat) }}}
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

	mu      sync.Mutex
	claimed int64           // the next byte to read
	ready   map[int64]*part // parts that wait for an earlier one, by the offset of their first byte
	at      int64           // the end of what was added to the hash
	over    bool            // nothing is left to read
	err     error

	helpers sync.WaitGroup
}

// part is what a thread has read and hashed.
type part struct {
	n       int64
	first   uint64 // number of its first chunk in the hash
	root    node   // of a whole piece
	rest    []byte // of less, with which the file ends: its content
	allZero bool
	err     error
}

// hashJointly hashes src from its beginning to end, or to the end of the file if that comes first or end is negative.
// It returns the offset reached.
func (c *Copier) hashJointly(ctx context.Context, src int, end int64) (n int64, hash [32]byte, err error) {
	j := &joint{Copier: c, ctx: ctx, src: src, end: end, tree: tree{scratch: new(scratch)}, ready: make(map[int64]*part)}
	alone := c.hash.plain
	c.hash.plain = &j.tree
	j.work(false)
	j.helpers.Wait()
	if j.err == nil {
		hash, c.ZeroHash = c.hash.sum()
	}
	c.hash.plain = alone
	return j.at, hash, j.err
}

// work reads pieces and hashes them, until nothing is left, or until a helper's thread is needed elsewhere.
func (j *joint) work(helps bool) {
	own := j.Team.seats.Get().(*seat)
	defer j.Team.seats.Put(own)
	for {
		if !helps {
			j.callHelpers()
		}
		j.mu.Lock()
		from, first := j.claimed, j.chunkAt(j.claimed)
		stop := j.over || helps && j.Team.busy.Load() > j.Team.threads
		if !stop {
			j.claimed += pieceSize
		}
		j.mu.Unlock()
		if stop {
			return
		}
		p := j.read(own, from, first)
		j.mu.Lock()
		j.add(own, from, p)
		j.mu.Unlock()
	}
}

// callHelpers lets all free threads help.
func (j *joint) callHelpers() {
	for j.Team.join() {
		j.helpers.Go(func() {
			defer j.Team.leave()
			j.work(true)
		})
	}
}

// chunkAt returns the number that the chunk at an offset will have in the hash, if no segment of zeros is left out between
// what was added and the offset.
func (j *joint) chunkAt(from int64) uint64 {
	n := j.tree.chunks + uint64(from-j.at)/chunkSize
	if j.hash.idle { // these zeros are not in the tree yet
		n += uint64(j.hash.at%j.hash.segment) / chunkSize
	}
	return n
}

// read reads and hashes the piece that begins at an offset, as that with the chunk of a number, in the memory of a seat.
func (j *joint) read(own *seat, from int64, first uint64) *part {
	want := own.piece[:]
	if left := j.end - from; j.end >= 0 && left < pieceSize {
		want = want[:max(left, 0)]
	}
	if j.ctx.Err() != nil {
		return &part{err: context.Cause(j.ctx)}
	}
	n, err := fsat.Read(j.src, want, from)
	p := &part{n: int64(n), err: err, first: first, allZero: AllZero(want[:n])}
	if n == pieceSize {
		p.root = own.scratch.hash(want, first)
	} else {
		p.rest = bytes.Clone(want[:n])
	}
	return p
}

// add adds a part to the hash, and those behind it that are ready; or keeps it until the ones before are. What follows a
// part that was not a whole piece was read behind the end. The caller has the lock, and lends its seat.
func (j *joint) add(own *seat, from int64, p *part) {
	if p.n < pieceSize || p.err != nil { // nobody has to read on
		j.over = true
	}
	j.ready[from] = p
	for p := j.ready[j.at]; p != nil; p = j.ready[j.at] {
		delete(j.ready, j.at)
		if first := j.chunkAt(j.at); p.err == nil && p.first != first { // a segment of zeros was left out meanwhile
			p = j.read(own, j.at, first)
		}
		j.err = p.err
		j.at += p.n
		j.Data += p.n
		if p.n > 0 && j.Tick != nil {
			j.Tick(int(p.n))
		}
		if p.n < pieceSize || p.err != nil {
			j.hash.write(p.rest)
			clear(j.ready)
			return
		}
		j.hash.writePart(p.n, p.allZero, func() { j.tree.addPiece(p.root) })
	}
}
