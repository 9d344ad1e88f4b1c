package walk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// tree is a directory in memory: some of its items are directories.
type tree struct {
	parent *tree
	depth  int
	items  []*tree // nil: no directory

	mu      sync.Mutex
	done    []int // how often each item was worked on
	entered int
	left    int
	below   int // children entered and not left
}

func grow(rng *rand.Rand, depth, width int) *tree {
	t := &tree{}
	for range rng.IntN(width + 1) {
		var child *tree
		if depth > 0 && rng.IntN(3) == 0 {
			child = grow(rng, depth-1, width)
			child.parent = t
		}
		t.items = append(t.items, child)
	}
	t.done = make([]int, len(t.items))
	return t
}

func (t *tree) each(do func(*tree)) {
	do(t)
	for _, child := range t.items {
		if child != nil {
			child.each(do)
		}
	}
}

// gates let a test decide in which order things happen. Each function may be nil.
type gates struct {
	items, entered func(d *tree)
}

func (g gates) pass(at func(*tree), d *tree) {
	if at != nil {
		at(d)
	}
}

// walkAll walks a tree and counts what is called for each directory. On no level may more directories be under way than
// there are workers.
func walkAll(t *testing.T, root *tree, workers int, g gates) {
	t.Helper()
	root.entered = 1
	var live sync.Map // by depth: *atomic.Int64
	err := Run(context.Background(), workers, root, len(root.items), Tree[*tree]{
		Items: func(worker int, d *tree, from, to int) (descend []int, err error) {
			if worker < 0 || worker >= workers || from >= to || to > len(d.items) {
				t.Errorf("worker %d of %d: items %d to %d of %d", worker, workers, from, to, len(d.items))
			}
			g.pass(g.items, d)
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.left > 0 {
				t.Error("an item is worked on after its directory was left")
			}
			for i := from; i < to; i++ {
				d.done[i]++
				if d.items[i] != nil {
					descend = append(descend, i)
				}
			}
			return descend, nil
		},
		Enter: func(_ int, parent *tree, item int) (*tree, int, bool, error) {
			d := parent.items[item]
			parent.mu.Lock()
			parent.below++
			parent.mu.Unlock()
			d.mu.Lock()
			d.entered++
			d.mu.Unlock()
			d.depth = parent.depth + 1
			level, _ := live.LoadOrStore(d.depth, new(atomic.Int64))
			if n := level.(*atomic.Int64).Add(1); n > int64(workers) {
				t.Errorf("%d workers: %d directories at once at depth %d", workers, n, d.depth)
			}
			g.pass(g.entered, d)
			return d, len(d.items), true, nil
		},
		Leave: func(_ int, d *tree) error {
			d.mu.Lock()
			d.left++
			if d.below != 0 {
				t.Error("a directory is left before a child of it")
			}
			d.mu.Unlock()
			if p := d.parent; p != nil {
				level, _ := live.Load(d.depth)
				level.(*atomic.Int64).Add(-1)
				p.mu.Lock()
				p.below--
				p.mu.Unlock()
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	root.each(func(d *tree) {
		if d.entered != 1 || d.left != 1 {
			t.Errorf("a directory was entered %d times, left %d times", d.entered, d.left)
		}
		for _, n := range d.done {
			if n != 1 {
				t.Errorf("an item was worked on %d times", n)
			}
		}
	})
}

// Guards: each item is worked on once, each directory entered and left once, children before parents.
func TestEverythingOnce(t *testing.T) {
	for seed := range uint64(30) {
		for _, workers := range []int{1, 2, 8} {
			walkAll(t, grow(rand.New(rand.NewPCG(seed, 1)), 4, 24), workers, gates{})
		}
	}
	walkAll(t, grow(rand.New(rand.NewPCG(1, 2)), 3, 200), 4, gates{})
	walkAll(t, &tree{}, 4, gates{})
	walkAll(t, &tree{items: make([]*tree, 1000), done: make([]int, 1000)}, 4, gates{})
}

// wide makes a tree of directories alone.
func wide(width, depth int, parent *tree) *tree {
	d := &tree{parent: parent, items: make([]*tree, width), done: make([]int, width)}
	if depth > 0 {
		for i := range d.items {
			d.items[i] = wide(width, depth-1, d)
		}
	}
	return d
}

// Guards: what is under way stays within depth times workers, not the breadth of the tree.
func TestBounded(t *testing.T) {
	const width, depth = 12, 4
	for _, workers := range []int{1, 4} {
		walkAll(t, wide(width, depth, nil), workers, gates{})
	}
}

// Guards: a directory whose items take long does not come before the deeper ones that were entered meanwhile; with each
// such directory, more would be under way on each level.
func TestBoundedBesideSlowDirectory(t *testing.T) {
	root := wide(3, 4, nil)
	slow, other := root.items[0], root.items[1].items[0]
	deep, late := other.items[0], slow.items[0]
	deepEntered, lateEntered, goneOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var once sync.Once
	walkAll(t, root, 2, gates{
		items: func(d *tree) {
			switch d {
			case slow: // one worker is held here, until the other is two levels deeper
				<-deepEntered
			case deep: // which is held there, until the first is in what it was held up by
				<-lateEntered
			case late: // and the first, until the other has gone on somewhere
				<-goneOn
			}
		},
		entered: func(d *tree) {
			switch d {
			case deep:
				close(deepEntered)
			case late:
				close(lateEntered)
			case other.items[1], slow.items[1]:
				once.Do(func() { close(goneOn) })
			}
		},
	})
}

// Guards: a deep chain needs no more than its depth, and no recursion that would end the program.
func TestDeepChain(t *testing.T) {
	root := &tree{items: make([]*tree, 1), done: make([]int, 1)}
	at := root
	for range 20_000 {
		next := &tree{parent: at, items: make([]*tree, 1), done: make([]int, 1)}
		at.items[0] = next
		at = next
	}
	walkAll(t, root, 3, gates{})
}

// Guards: an error of any function ends the walk with that error, and nothing is called afterwards.
func TestErrors(t *testing.T) {
	failure := errors.New("failure")
	for _, where := range []string{"items", "enter", "leave"} {
		for _, workers := range []int{1, 4} {
			root := grow(rand.New(rand.NewPCG(3, 3)), 5, 30)
			var calls atomic.Int64
			at := func(name string) error {
				if name == where && calls.Add(1) == 3 {
					return failure
				}
				return nil
			}
			var over atomic.Bool
			err := Run(context.Background(), workers, root, len(root.items), Tree[*tree]{
				Items: func(_ int, d *tree, from, to int) (descend []int, err error) {
					if over.Load() {
						t.Error("called after Run has returned")
					}
					for i := from; i < to; i++ {
						if d.items[i] != nil {
							descend = append(descend, i)
						}
					}
					return descend, at("items")
				},
				Enter: func(_ int, parent *tree, item int) (*tree, int, bool, error) {
					return parent.items[item], len(parent.items[item].items), true, at("enter")
				},
				Leave: func(int, *tree) error { return at("leave") },
			})
			over.Store(true)
			if !errors.Is(err, failure) {
				t.Errorf("%s, %d workers: %v", where, workers, err)
			}
		}
	}
}

// Guards: a directory that cannot be entered is passed over, and its parent is still left.
func TestNotEntered(t *testing.T) {
	left := 0
	err := Run(context.Background(), 2, 0, 5, Tree[int]{
		Items: func(_, _, from, to int) ([]int, error) { return []int{0, 3}, nil },
		Enter: func(int, int, int) (int, int, bool, error) { return 0, 0, false, nil },
		Leave: func(_, dir int) error { left++; return nil },
	})
	if err != nil || left != 1 {
		t.Errorf("left %d times, %v", left, err)
	}
}

// Guards: the end of the context ends the walk, soon and with the cause, whatever the workers are doing.
func TestCancel(t *testing.T) {
	cause := errors.New("stopped")
	for round := range 200 {
		ctx, cancel := context.WithCancelCause(context.Background())
		var n atomic.Int64
		err := Run(ctx, 4, 0, 1000, Tree[int]{
			Items: func(_, _, from, to int) ([]int, error) {
				if n.Add(1) == int64(round%40) {
					go cancel(cause) // also while the last items are worked on
				}
				return nil, nil
			},
			Enter: func(int, int, int) (int, int, bool, error) { return 0, 0, false, nil },
			Leave: func(_, _ int) error { return nil },
		})
		if err != nil && !errors.Is(err, cause) {
			t.Errorf("round %d: %v", round, err)
		}
		cancel(nil)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(10*time.Millisecond, func() { cancel(cause) })
	err := Run(ctx, 2, 0, 1, Tree[int]{ // a tree without end
		Items: func(_, _, _, _ int) ([]int, error) { return []int{0}, nil },
		Enter: func(_, parent, _ int) (int, int, bool, error) { return parent + 1, 1, true, nil },
		Leave: func(_, _ int) error { return nil },
	})
	if !errors.Is(err, cause) {
		t.Error(fmt.Errorf("endless tree: %w", err))
	}
}

// Guards: an item put off is entered again when nothing else is left and no worker is busy, as often as it is put off; its
// directory, and all above it, are left after it.
func TestLater(t *testing.T) {
	for seed := range uint64(20) {
		for _, workers := range []int{1, 2, 8} {
			root := grow(rand.New(rand.NewPCG(seed, 7)), 4, 24)
			var busy, rounds, off atomic.Int64
			err := Run(context.Background(), workers, root, len(root.items), Tree[*tree]{
				Items: func(_ int, d *tree, from, to int) (descend []int, err error) {
					defer busy.Add(-1)
					busy.Add(1)
					for i := from; i < to; i++ {
						descend = append(descend, i) // files, too, as the caller may put them off
					}
					return descend, nil
				},
				Enter: func(_ int, parent *tree, item int) (*tree, int, bool, error) {
					defer busy.Add(-1)
					busy.Add(1)
					parent.mu.Lock()
					parent.done[item]++
					n := parent.done[item]
					parent.mu.Unlock()
					if parent.left > 0 {
						t.Error("a directory was left before an item that was put off")
					}
					if n <= (item+int(seed))%4 {
						off.Add(1)
						return nil, 0, false, ErrLater
					}
					d := parent.items[item]
					if d == nil {
						return nil, 0, false, nil
					}
					return d, len(d.items), true, nil
				},
				Leave: func(_ int, d *tree) error {
					d.left++
					return nil
				},
				Again: func() error {
					if busy.Load() != 0 || off.Swap(0) == 0 {
						t.Error("a round begins too early")
					}
					rounds.Add(1)
					return nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			root.each(func(d *tree) {
				if d.left != 1 {
					t.Errorf("a directory was left %d times", d.left)
				}
				for i, n := range d.done {
					if n != (i+int(seed))%4+1 {
						t.Errorf("item %d was entered %d times", i, n)
					}
				}
			})
			if rounds.Load() > 3*5 {
				t.Errorf("%d rounds", rounds.Load())
			}
		}
	}
}

// Guards: an error of Again ends the walk, and so does the end of the context during it.
func TestAgainFails(t *testing.T) {
	failure := errors.New("failure")
	err := Run(context.Background(), 3, 0, 5, Tree[int]{
		Items: func(_, _, from, to int) ([]int, error) { return []int{0, 3}, nil },
		Enter: func(int, int, int) (int, int, bool, error) { return 0, 0, false, ErrLater },
		Leave: func(_, _ int) error { t.Error("left"); return nil },
		Again: func() error { return failure },
	})
	if !errors.Is(err, failure) {
		t.Error(err)
	}
}
