// Package dirhandles keeps the number of open directories of a parallel walk bounded, whatever the depth of the tree
// and the number of workers.
//
// Each directory of the walk has one set of handles, open or closed as a whole. They stay open while somebody uses the
// directory. Of the others, which are idle, the ones used last stay open, at most [MaxIdle]; the rest are closed, and
// opened again when they are needed: from a directory below if one is open not far from it, which costs the same at any
// depth, otherwise by the names from the top. What the handles are, how they are opened, and whether what was opened is
// still the same directory, is a matter of the caller's functions.
package dirhandles

import (
	"errors"
	"slices"
	"sync"
)

// MaxIdle is how many directories of a walk stay open while nobody uses them. A walk comes back to the directories just
// above the ones it works on: more would only help where workers are very far apart.
const MaxIdle = 64

// maxSteps is how many levels below a directory an open one is looked for. A few are enough: where workers go up a deep
// tree side by side, one may need a directory before another has opened the one below.
const maxSteps = 16

// A Set is the directories of one walk, those entered and not left. D is what the caller calls a directory. The fields
// are set before the first directory; the functions are called with the directory locked, by several workers at once,
// but never at once for one directory, and must not call methods of it.
type Set[D any] struct {
	// Open opens the handles of d by the names from the top. After an error none of them are open.
	Open func(d D) error
	// OpenFrom opens the handles of d from those of a directory directly below it, which stay open meanwhile. It
	// returns false if that leads elsewhere; then Open has to do it. An error ends the attempt.
	OpenFrom func(d, below D) (done bool, err error)
	// Close closes the handles of d.
	Close func(d D) error

	top  *Dir[D]
	mu   sync.Mutex // of idle
	idle []*Dir[D]  // those used last at the end
}

// A Dir is what a Set knows of one directory. It is a part of the caller's; its zero value is ready to be entered.
//
// Locks are taken from the top down: a directory's, then that of one below it, then the set's.
type Dir[D any] struct {
	of     D
	set    *Set[D]
	parent *Dir[D] // nil: the top

	mu       sync.Mutex
	open     bool
	users    int
	children []*Dir[D]  // entered and not left
	room     [2]*Dir[D] // for children: there are seldom more than a few, and directories are many
}

// Start enters the top, whose handles the caller has opened. They stay open until it is left.
func (s *Set[D]) Start(top *Dir[D], of D) {
	top.set, top.of, top.open, top.users = s, of, true, 1
	s.top = top
}

// Enter enters a directory whose handles the caller has opened, directly below parent. From here on the set closes
// them, even if it returns an error.
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

// Release ends what Acquire began. Its error is that of closing the directory that was idle for longest.
func (d *Dir[D]) Release() error {
	d.mu.Lock()
	d.users--
	full := d.users == 0 && d.open && d.set.rest(d)
	d.mu.Unlock()
	return d.set.trim(full)
}

// IfOpen calls use if the handles are open at the moment, and lets nobody close them meanwhile.
func (d *Dir[D]) IfOpen(use func() error) (open bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open {
		return false, nil
	}
	return true, use()
}

// Leave ends a directory: its handles are closed, after the parent's were opened from them if those are closed. Nobody
// but the caller may be using it; who has acquired it releases it afterwards. Everything below it was left before.
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

// CloseAll closes what is still open after a walk that ended early, when nobody uses it any more.
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

// The functions below that open handles are called with the lock of d held. full says that there are too many idle
// directories now, for trim when no lock is held any more.

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

// openFromBelow opens the handles from those of an open directory at most so many steps below, by way of those between.
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

// openFrom opens the handles from those of a child, which is opened from below itself where more than one step is left.
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

// childLeaves forgets a child, and opens the handles from it if they are closed: once it is gone, only the names from
// the top would be left.
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

// close closes the handles. The caller holds the lock.
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
	d.set.disturb(d) // it may have been used and idle again meanwhile
	return d.close()
}

// trim closes the directories that were idle for longest, if there are too many. The caller holds no lock.
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

// oldest takes the directory that was idle for longest off the list, if there are too many.
func (s *Set[D]) oldest() (over *Dir[D]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) > MaxIdle {
		over = s.idle[0]
		s.idle = slices.Delete(s.idle, 0, 1)
	}
	return over
}

// rest makes d the last of the idle directories. The caller holds the lock of d.
func (s *Set[D]) rest(d *Dir[D]) (full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, d)
	return len(s.idle) > MaxIdle
}

// disturb takes d off the idle directories, if it is one. The caller holds the lock of d.
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
