package snapshot

import (
	"encoding/binary"
	"strings"
	"sync"

	"snapcopy/index"
)

// recentContents remembers the places of contents stored in this run, so that a second file with the same content can
// share its blocks if the file system can do that. A later content replaces an earlier one in the same slot of the
// table.
type recentContents struct {
	mu    sync.Mutex
	slots []recentContent
}

// recentContent is a file of the mirror under construction.
type recentContent struct {
	hash      index.Hash // zero: none
	dir, name string
}

// recentSlots bounds the number of contents, and longestPath the paths of their folders: most take about 120 bytes.
const (
	recentSlots = 1 << 17
	longestPath = 256
)

func (c *recentContents) slot(h *index.Hash) *recentContent {
	return &c.slots[binary.BigEndian.Uint64(h[:])%recentSlots]
}

// add records a file that was just stored.
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

// find returns the folder and the name of a file with the content.
func (c *recentContents) find(h *index.Hash) (dir, name string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots == nil {
		return "", "", false
	}
	at := c.slot(h)
	return at.dir, at.name, at.hash == *h
}
