// Package folders keeps folders open that are asked for by their paths, again and again and in no order: those opened
// last, of one tree. A path is walked element by element from the handle of its top, so its length does not matter and no
// symbolic link is followed.
package folders

import (
	"errors"
	"sync"

	"snapcopy/internal/fsat"
)

// most is how many folders a Cache keeps open.
const most = 32

// A Cache keeps folders of one tree open. Several goroutines may use it at once.
type Cache struct {
	mu    sync.Mutex
	root  int
	open  map[string]int
	order []string
}

// Init makes the cache one of the tree below root, a handle that stays the caller's.
func (c *Cache) Init(root int) { c.root, c.open = root, make(map[string]int) }

// Close closes the folders.
func (c *Cache) Close() error {
	var errs []error
	for _, fd := range c.open {
		errs = append(errs, fsat.Close(fd))
	}
	return errors.Join(errs...)
}

// In calls do with the folder at path; the folder stays open until do returns.
func (c *Cache) In(path string, do func(fd int) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	fd, ok := c.open[path]
	if !ok {
		var err error
		if fd, err = fsat.OpenPath(c.root, path); err != nil {
			return err
		}
		if len(c.order) == most {
			oldest := c.order[0]
			c.order = append(c.order[:0], c.order[1:]...)
			if err := fsat.Close(c.open[oldest]); err != nil {
				return errors.Join(err, fsat.Close(fd))
			}
			delete(c.open, oldest)
		}
		c.open[path] = fd
		c.order = append(c.order, path)
	}
	return do(fd)
}
