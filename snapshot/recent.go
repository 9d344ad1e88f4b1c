package snapshot

import (
	"encoding/binary"
	"strings"
	"sync"

	"snapcopy/index"
)

// recentContents remembers where this run has stored contents, so that a second file with the same one can share its
// blocks, where the file system can do that. What comes later drives out what has the same place in the table.
type recentContents struct {
	mu    sync.Mutex
	slots []recentContent
}

// recentContent is a file of the mirror under construction.
type recentContent struct {
	hash      index.Hash // zero: none
	dir, name string
}

// recentSlots bounds the contents that are remembered, and longestPath the paths of their folders: most take about 120
// bytes.
const (
	recentSlots = 1 << 17
	longestPath = 256
)

func (c *recentContents) slot(h *index.Hash) *recentContent {
	return &c.slots[binary.BigEndian.Uint64(h[:])%recentSlots]
}

// add notes a file that was just stored.
func (c *recentContents) add(d *dir, e *index.Entry) {
	if d.pathLength(longestPath) > longestPath {
		return
	}
	at := recentContent{e.Hash, d.sharedPath(), strings.Clone(e.Name)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots == nil {
		c.slots = make([]recentContent, recentSlots)
	}
	*c.slot(&e.Hash) = at
}

// find gives the folder and the name of a file with the content.
func (c *recentContents) find(h *index.Hash) (dir, name string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots == nil {
		return "", "", false
	}
	at := c.slot(h)
	return at.dir, at.name, at.hash == *h
}
