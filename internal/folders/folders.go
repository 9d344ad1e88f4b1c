// Package folders keeps recently opened folders open, for callers who ask for folders again and again and in any
// order. The caller opens a folder, and identifies it by a path or by a value of its own.
//
// A Cache closes the folder opened first, not the folder used least lately, when it has too many.
package folders

import (
	"errors"
	"sync"

	"snapcopy/internal/fsat"
)

// usual is the number of folders that a Cache keeps open by default.
const usual = 32

// Cache keeps folders open. Open and Most are set before the first use.
type Cache[K comparable] struct {
	Open func(key K) (int, error)
	Most int // folders open at a time; 0: 32

	mu    sync.Mutex
	open  map[K]int
	order []K // of the folders in open, the first opened in front
}

// In calls do with a folder, which stays open until do returns. Several goroutines may call In at once; the calls of
// do follow one another.
func (c *Cache[K]) In(key K, do func(fd int) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	fd, err := c.get(key)
	if err != nil {
		return err
	}
	return do(fd)
}

// Get returns a folder that stays open until the next call. It is for a cache used by a single goroutine.
func (c *Cache[K]) Get(key K) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.get(key)
}

func (c *Cache[K]) get(key K) (int, error) {
	if fd, ok := c.open[key]; ok {
		return fd, nil
	}
	most := c.Most
	if most == 0 {
		most = usual
	}
	if len(c.order) >= most {
		first := c.order[0]
		fd := c.open[first]
		delete(c.open, first)
		c.order = append(c.order[:0], c.order[1:]...)
		if err := fsat.Close(fd); err != nil {
			return fsat.NoDir, err
		}
	}
	fd, err := c.Open(key)
	if err != nil {
		return fsat.NoDir, err
	}
	if c.open == nil {
		c.open = make(map[K]int)
	}
	c.open[key] = fd
	c.order = append(c.order, key)
	return fd, nil
}

// Close closes the folders. The cache can be used again.
func (c *Cache[K]) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, fd := range c.open {
		errs = append(errs, fsat.Close(fd))
	}
	c.open, c.order = nil, nil
	return errors.Join(errs...)
}
