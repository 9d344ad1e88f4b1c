package snapshot

import (
	"slices"
	"sync"
)

// maxOpen is how many directories of a walk have open handles at once, whatever the depth of the tree and the number of
// workers. Those that somebody is using at the moment come on top.
const maxOpen = 64

// openDirs are the directories of a walk that are open, those opened last at the end.
type openDirs[D openDir] struct {
	mu   sync.Mutex
	list []D
}

type openDir interface {
	comparable
	// suspend closes the directory until it is used again; not done means that somebody is using it.
	suspend() (done bool, err error)
}

// add notes that d was opened, and closes those opened longest ago if they have become too many.
func (o *openDirs[D]) add(d D) error {
	o.mu.Lock()
	o.list = append(o.list, d)
	over := len(o.list) - maxOpen
	o.mu.Unlock()
	for ; over > 0; over-- {
		oldest, ok := o.take()
		if !ok {
			return nil
		}
		done, err := oldest.suspend()
		if err != nil {
			return err
		}
		if !done {
			o.mu.Lock()
			o.list = append(o.list, oldest)
			o.mu.Unlock()
		}
	}
	return nil
}

func (o *openDirs[D]) take() (oldest D, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.list) <= maxOpen {
		return oldest, false
	}
	oldest = o.list[0]
	o.list = slices.Delete(o.list, 0, 1)
	return oldest, true
}

// remove forgets a directory that is about to be closed for good.
func (o *openDirs[D]) remove(d D) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := len(o.list) - 1; i >= 0; i-- {
		if o.list[i] == d {
			o.list = slices.Delete(o.list, i, i+1)
			return
		}
	}
}
