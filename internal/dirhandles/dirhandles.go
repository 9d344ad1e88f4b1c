// Package dirhandles bounds the number of open directories of a parallel walk, whatever the depth of the tree and the
// number of workers.
//
// Each directory of the walk has one set of handles, open or closed as a whole. They stay open while a worker uses the
// directory. Of the others, which are idle, the most recently used stay open, at most [MaxIdle]. The rest are closed,
// and opened again when needed: from an open directory not far below, which costs the same at any depth, otherwise by
// the names from the top.
//
// The caller's functions open and close the handles, and check that a reopened directory is still the same.
package dirhandles

import (
	"errors"
	"slices"
	"sync"
)

// MaxIdle is the number of directories of a walk that stay open while no worker uses them. A walk comes back to the
// directories just above the current ones: more would only help if workers were very far apart.
const MaxIdle = 64

// maxSteps is the number of levels below a directory in which to look for an open one. A few are enough: if workers go
// up a deep tree side by side, one may need a directory before another has opened the directory below.
const maxSteps = 16

// A Set is the set of directories of one walk that were entered and not left. D is the caller's type of a directory.
// The fields are set before the first directory. Several workers call the functions at once, but never at once for one
// directory; the directory is locked meanwhile, so they must not call its methods.
type Set[D any] struct {
	// Open opens the handles of d by the names from the top. After an error none of them are open.
	Open func(d D) error
	// OpenFrom opens the handles of d from those of a directory directly below it, which stay open meanwhile. It
	// returns false if that leads to another directory; then the set calls Open. An error ends the attempt.
	OpenFrom func(d, below D) (done bool, err error)
	// Close closes the handles of d.
	Close func(d D) error

	top  *Dir[D]
	mu   sync.Mutex // of idle
	idle []*Dir[D]  // those used last at the end
}

// A Dir is the state of one directory in a Set, embedded in the caller's type; its zero value is ready to be entered.
// Locks are taken from the top down: a directory's, then that of a directory below, then the set's.
type Dir[D any] struct {
	of     D
	set    *Set[D]
	parent *Dir[D] // nil: the top

	mu       sync.Mutex
	open     bool
	users    int
	children []*Dir[D]  // entered and not left
	room     [2]*Dir[D] // for children: most directories have few under way, and there are many directories
}

// Start enters the top, whose handles the caller has opened. They stay open until Leave.
func (s *Set[D]) Start(top *Dir[D], of D) {
	top.set, top.of, top.open, top.users = s, of, true, 1
	s.top = top
}

// Enter enters a directory directly below parent, whose handles the caller has opened. From here on the set closes
// them, even if Enter returns an error.
func (d *Dir[D]) Enter(parent *Dir[D], of D) error {
	d.mu.Lock()
	d.set, d.of, d.parent, d.open = parent.set, of, parent, true
	full := d.set.rest(d)
	d.mu.Unlock()
	parent.mu.Lock()
	if parent.children == nil {
		parent.children = parent.room[:0]
	}
	parent.children = append(parent.children, d)
	parent.mu.Unlock()
	return d.set.trim(full)
}

// Acquire makes sure that the handles are open until Release.
func (d *Dir[D]) Acquire() error {
	full, err := d.acquire()
	if err != nil || !full {
		return err
	}
	if err := d.set.trim(full); err != nil {
		return errors.Join(err, d.Release())
	}
	return nil
}

func (d *Dir[D]) acquire() (full bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open {
		if full, err = d.reopen(); err != nil {
			return full, err
		}
	} else if d.users == 0 {
		d.set.disturb(d)
	}
	d.users++
	return full, nil
}

// Release ends one Acquire. Its error comes from closing the directory that was idle for longest.
func (d *Dir[D]) Release() error {
	d.mu.Lock()
	d.users--
	full := d.users == 0 && d.open && d.set.rest(d)
	d.mu.Unlock()
	return d.set.trim(full)
}

// IfOpen calls use if the handles are open at the moment, and keeps them open meanwhile.
func (d *Dir[D]) IfOpen(use func() error) (open bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open {
		return false, nil
	}
	return true, use()
}

// Leave ends a directory: it opens the parent's handles from this directory's if they are closed, and closes these. No
// other goroutine may be using the directory, and all directories below must have been left; a caller that has
// acquired the directory releases it afterwards.
func (d *Dir[D]) Leave() error {
	var full bool
	var errs [3]error
	if d.parent != nil {
		full, errs[0] = d.parent.childLeaves(d)
	} else {
		d.set.top = nil
	}
	d.mu.Lock()
	if d.users == 0 {
		d.set.disturb(d)
	}
	errs[1] = d.close()
	d.mu.Unlock()
	errs[2] = d.set.trim(full)
	return errors.Join(errs[:]...)
}

// CloseAll closes the handles still open after a walk that ended early, when no worker uses them any more.
func (s *Set[D]) CloseAll() error {
	var errs []error
	var left []*Dir[D]
	if s.top != nil {
		left = append(left, s.top)
	}
	for len(left) > 0 {
		d := left[len(left)-1]
		left = append(left[:len(left)-1], d.children...)
		if err := d.close(); err != nil {
			errs = append(errs, err)
		}
	}
	s.top, s.idle = nil, nil
	return errors.Join(errs...)
}

// The functions below that open handles are called with d locked. full reports that too many directories are idle now;
// the caller passes it to trim when it has no lock.

// reopen opens the handles again.
func (d *Dir[D]) reopen() (full bool, err error) {
	for _, steps := range []int{1, maxSteps} { // the nearest first
		if full, err = d.openFromBelow(steps); err != nil || d.open {
			return full, err
		}
	}
	err = d.set.Open(d.of)
	d.open = err == nil
	return full, err
}

// openFromBelow opens the handles from those of an open directory at most steps levels below, by way of the
// directories between.
func (d *Dir[D]) openFromBelow(steps int) (full bool, err error) {
	for _, child := range slices.Backward(d.children) {
		var over bool
		over, err = d.openFrom(child, steps)
		full = full || over
		if err != nil || d.open {
			break
		}
	}
	return full, err
}

// openFrom opens the handles from those of a child, which is itself opened from below if more than one step is left.
func (d *Dir[D]) openFrom(child *Dir[D], steps int) (full bool, err error) {
	child.mu.Lock()
	defer child.mu.Unlock()
	if !child.open && steps > 1 {
		full, err = child.openFromBelow(steps - 1)
		if child.open && d.set.rest(child) {
			full = true
		}
	}
	if child.open && err == nil {
		d.open, err = d.set.OpenFrom(d.of, child.of)
	}
	return full, err
}

// childLeaves forgets a child, and opens the handles from it if they are closed: without the child, only the names
// from the top would be left.
func (d *Dir[D]) childLeaves(child *Dir[D]) (full bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.Index(d.children, child)
	d.children = slices.Delete(d.children, i, i+1)
	if d.open {
		return false, nil
	}
	_, err = d.openFrom(child, 1)
	return d.open && d.set.rest(d), err
}

// close closes the handles. The caller has the lock.
func (d *Dir[D]) close() error {
	if !d.open {
		return nil
	}
	d.open = false
	return d.set.Close(d.of)
}

// suspend closes the handles if they are still idle.
func (d *Dir[D]) suspend() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users > 0 {
		return nil
	}
	d.set.disturb(d) // it may have been used and become idle again meanwhile
	return d.close()
}

// trim closes the directories idle for longest, if full. The caller has no lock.
func (s *Set[D]) trim(full bool) error {
	if !full {
		return nil
	}
	for over := s.oldest(); over != nil; over = s.oldest() {
		if err := over.suspend(); err != nil {
			return err
		}
	}
	return nil
}

// oldest takes the directory idle for longest off the list, if there are too many.
func (s *Set[D]) oldest() (over *Dir[D]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) > MaxIdle {
		over = s.idle[0]
		s.idle = slices.Delete(s.idle, 0, 1)
	}
	return over
}

// rest makes d the last of the idle directories. The caller has the lock of d.
func (s *Set[D]) rest(d *Dir[D]) (full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, d)
	return len(s.idle) > MaxIdle
}

// disturb takes d off the list of idle directories. The caller has the lock of d.
func (s *Set[D]) disturb(d *Dir[D]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.idle) - 1; i >= 0; i-- {
		if s.idle[i] == d {
			s.idle = slices.Delete(s.idle, i, i+1)
			return
		}
	}
}
