package instant

import (
	"context"
	"sync"
)

// spread calls visit for first and for everything that visit returns, on several workers, the latest first. An error
// ends it. Unlike walk.Run it never returns to a folder, so that it remembers only folders still to be visited. An
// errgroup has no queue to which the work itself adds.
func spread[T any](ctx context.Context, workers int, first T, visit func(worker int, t T) ([]T, error)) error {
	var (
		mu     sync.Mutex
		wake   = sync.NewCond(&mu)
		stack  = []T{first}
		busy   int
		failed error
		group  sync.WaitGroup
	)
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if failed == nil {
			failed = err
		}
		wake.Broadcast()
	}
	stop := context.AfterFunc(ctx, func() { fail(context.Cause(ctx)) })
	defer stop()
	work := func(worker int) {
		mu.Lock()
		defer mu.Unlock()
		for {
			for len(stack) == 0 && busy > 0 && failed == nil {
				wake.Wait()
			}
			if failed != nil || len(stack) == 0 {
				return
			}
			t := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			busy++
			mu.Unlock()
			more, err := visit(worker, t)
			mu.Lock()
			busy--
			stack = append(stack, more...)
			if err != nil && failed == nil {
				failed = err
			}
			wake.Broadcast()
		}
	}
	for i := range workers {
		group.Go(func() { work(i) })
	}
	group.Wait()
	return failed
}

// way is the chain of names from some root to a folder; nil is that root.
type way struct {
	up   *way
	name string
}

// names returns the elements of the way.
func (p *way) names() []string {
	n := 0
	for q := p; q != nil; q = q.up {
		n++
	}
	list := make([]string, n)
	for q := p; q != nil; q = q.up {
		n--
		list[n] = q.name
	}
	return list
}

// wayOf returns the way with these names.
func wayOf(names []string) (p *way) {
	for _, n := range names {
		p = &way{p, n}
	}
	return p
}
