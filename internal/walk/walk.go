// Package walk runs the work on a tree of directories on several workers, children before parents.
//
// A directory has a number of items. Workers take its items in chunks, which spreads one huge directory over all of
// them; items that turn out to be directories become the next directories. The deepest directory comes first, so that
// the number of directories under way is bounded by the depth of the tree, not by its breadth. When everything in and
// below a directory is done, it is left: each directory after all of its children.
//
// Memory: one node for each directory that was entered and not yet left. On each level of the tree there are at most
// as many such nodes as workers: a worker enters a further directory of a level only when, in or below each of those
// under way there, another worker is busy and no work is left to take. Items that Enter put off keep their directory, and
// all above it, under way: the caller bounds their number.
//
// The package knows nothing of files; the work on items is in the functions of a [Tree].
package walk

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// chunk is the number of items a worker takes at a time: enough that the lock does not matter, few enough that a
// directory of large files is spread.
const chunk = 32

// A Tree is the set of functions by which Run works on directories of type D. Several workers call them at once, but
// Leave is called once for each directory, when no worker uses it any more. An error from any of them ends the run.
type Tree[D any] struct {
	// Items does the work on items from to to-1 of a directory and returns the items to descend into, in order.
	Items func(worker int, dir D, from, to int) (descend []int, err error)
	// Enter starts an item of a directory that Items wanted to descend into, and returns the number of its items. ok
	// is false if it cannot be entered, which does not end the run. With ErrLater it puts the item off: see Again.
	Enter func(worker int, parent D, item int) (dir D, items int, ok bool, err error)
	// Leave ends a directory.
	Leave func(worker int, dir D) error
	// Again is called when nothing is left to do but the items put off, and no worker is busy. After it, Enter is called for
	// each of them once more. Nil if Enter puts nothing off.
	Again func() error
}

// ErrLater is the error with which Tree.Enter puts an item off.
var ErrLater = errors.New("later")

type node[D any] struct {
	dir      D
	parent   *node[D]
	depth    int // 0: the root
	items    int
	next     int   // first item no worker has taken
	descend  []int // directories to enter; the first entered of them have been
	entered  int
	busy     int // chunks and children under way, or put off
	chunks   int // the chunks among them
	onStack  bool
	complete bool
}

func (n *node[D]) claimable() bool { return n.next < n.items || n.entered < len(n.descend) }

type walker[D any] struct {
	tree  Tree[D]
	mu    sync.Mutex
	wake  sync.Cond
	stack []*node[D] // directories with work to take: the deepest last, of several the most recent
	live  int        // directories entered and not left
	busy  int        // workers that are not waiting for work
	later []item[D]  // put off
	again []item[D]  // put off, whose turn has come again
	err   error
}

type item[D any] struct {
	of     *node[D]
	number int
}

// Run works through the tree below root, which has been entered already, and leaves root last. It stops early if ctx
// ends or a function of the tree fails, and returns that error; directories not left by then are never left.
func Run[D any](ctx context.Context, workers int, root D, items int, tree Tree[D]) error {
	w := &walker[D]{tree: tree}
	w.wake.L = &w.mu
	w.live = 1
	first := &node[D]{dir: root, items: items}
	stop := context.AfterFunc(ctx, func() { w.fail(context.Cause(ctx)) })
	defer stop()

	if items == 0 {
		return tree.Leave(0, root)
	}
	w.push(first)
	w.busy = max(workers, 1)
	var group sync.WaitGroup
	for id := range max(workers, 1) {
		group.Go(func() { w.work(id) })
	}
	group.Wait()
	w.mu.Lock() // ctx may end just now
	defer w.mu.Unlock()
	return w.err
}

func (w *walker[D]) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && err != nil {
		w.err = err
	}
	w.wake.Broadcast()
}

// push puts a directory above all that are not deeper. Order by time alone would not do: a directory whose items took
// long would come before directories entered further down meanwhile, and all of them would stay under way.
func (w *walker[D]) push(n *node[D]) {
	n.onStack = true
	at := len(w.stack)
	for at > 0 && w.stack[at-1].depth > n.depth {
		at--
	}
	w.stack = slices.Insert(w.stack, at, n)
}

func (w *walker[D]) work(id int) {
	for {
		n, from, to, child, ok := w.claim()
		if !ok {
			return
		}
		var err error
		if child >= 0 {
			err = w.enter(id, n, child)
		} else {
			err = w.do(id, n, from, to)
		}
		if err != nil {
			w.fail(err)
			return
		}
	}
}

// claim waits for work: a chunk of items of n, or a child (an item number, otherwise -1) to enter.
func (w *walker[D]) claim() (n *node[D], from, to, child int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if w.err != nil || w.live == 0 {
			return nil, 0, 0, -1, false
		}
		if n = w.choose(); n != nil {
			n.busy++
			if n.next < n.items {
				from, to = n.next, min(n.next+chunk, n.items)
				n.next = to
				n.chunks++
				return n, from, to, -1, true
			}
			child = n.descend[n.entered]
			n.entered++
			return n, 0, 0, child, true
		}
		if len(w.again) > 0 {
			last := w.again[len(w.again)-1]
			w.again = w.again[:len(w.again)-1]
			return last.of, 0, 0, last.number, true
		}
		if w.busy == 1 && len(w.later) > 0 {
			w.nextRound()
			continue
		}
		w.busy--
		w.wake.Wait()
		w.busy++
	}
}

// nextRound takes up again the items put off. The caller has the lock, and counts as the only busy worker.
func (w *walker[D]) nextRound() {
	w.mu.Unlock()
	err := w.tree.Again()
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.again, w.later = w.later, nil
	w.wake.Broadcast()
}

// choose returns the deepest directory with work to take. A directory whose items no other worker has comes first: a
// file system lets only one at a time change a directory, so two workers in one mostly wait for each other.
func (w *walker[D]) choose() *node[D] {
	for len(w.stack) > 0 && !w.stack[len(w.stack)-1].claimable() {
		w.stack[len(w.stack)-1].onStack = false
		w.stack[len(w.stack)-1] = nil
		w.stack = w.stack[:len(w.stack)-1]
	}
	for i := len(w.stack) - 1; i >= 0; i-- {
		if n := w.stack[i]; n.claimable() && (n.chunks == 0 || n.next == n.items) {
			return n
		}
	}
	if len(w.stack) == 0 {
		return nil
	}
	return w.stack[len(w.stack)-1]
}

func (w *walker[D]) do(id int, n *node[D], from, to int) error {
	descend, err := w.tree.Items(id, n.dir, from, to)
	if err != nil {
		return err
	}
	w.mu.Lock()
	n.chunks--
	if len(descend) > 0 {
		n.descend = append(n.descend, descend...)
		if !n.onStack {
			w.push(n)
		}
		w.wake.Broadcast()
	}
	w.mu.Unlock()
	return w.done(id, n)
}

func (w *walker[D]) enter(id int, parent *node[D], number int) error {
	dir, items, ok, err := w.tree.Enter(id, parent.dir, number)
	if errors.Is(err, ErrLater) {
		w.mu.Lock()
		w.later = append(w.later, item[D]{parent, number})
		w.mu.Unlock()
		return nil
	}
	if err != nil {
		return err
	}
	if !ok {
		return w.done(id, parent)
	}
	n := &node[D]{dir: dir, parent: parent, depth: parent.depth + 1, items: items}
	w.mu.Lock()
	w.live++
	if items > 0 {
		w.push(n)
		w.wake.Broadcast()
	}
	w.mu.Unlock()
	if items == 0 {
		return w.leave(id, n)
	}
	return nil
}

// done ends a piece of work on n, and leaves n if that was the last.
func (w *walker[D]) done(id int, n *node[D]) error {
	w.mu.Lock()
	n.busy--
	last := n.busy == 0 && !n.claimable() && !n.complete
	n.complete = n.complete || last
	w.mu.Unlock()
	if last {
		return w.leave(id, n)
	}
	return nil
}

func (w *walker[D]) leave(id int, n *node[D]) error {
	if err := w.tree.Leave(id, n.dir); err != nil {
		return err
	}
	w.mu.Lock()
	w.live--
	if w.live == 0 {
		w.wake.Broadcast()
	}
	w.mu.Unlock()
	if n.parent != nil {
		return w.done(id, n.parent)
	}
	return nil
}
