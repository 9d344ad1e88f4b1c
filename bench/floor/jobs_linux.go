package main

import "sync"

// job is a directory to work on, or a big file in it.
type job struct {
	dir  *dir
	file []byte // ends with NUL; nil: the directory
}

// jobs is the list of what is left to do. What was added last is done first: that keeps few directories open.
type jobs struct {
	mu      sync.Mutex
	changed sync.Cond
	list    []job
	running int
	err     error
}

// run does root and all that its jobs add, with so many workers, and returns the first error. The directory of a job
// that is given up after an error stays open.
func (q *jobs) run(root *dir, workers int, newWorker func() func(job) error) error {
	q.changed.L = &q.mu
	q.list = []job{{dir: root}}
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			work := newWorker()
			for j, ok := q.next(); ok; j, ok = q.next() {
				q.done(work(j))
			}
		})
	}
	group.Wait()
	return q.err
}

func (q *jobs) add(j job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, j)
	q.changed.Signal()
}

// next waits for a job; there is none when all are done or one has failed.
func (q *jobs) next() (job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) == 0 && q.running > 0 && q.err == nil {
		q.changed.Wait()
	}
	if len(q.list) == 0 || q.err != nil {
		return job{}, false
	}
	j := q.list[len(q.list)-1]
	q.list = q.list[:len(q.list)-1]
	q.running++
	return j, true
}

func (q *jobs) done(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	if err != nil && q.err == nil {
		q.err = err
	}
	if q.err != nil || q.running == 0 && len(q.list) == 0 {
		q.changed.Broadcast()
	}
}
