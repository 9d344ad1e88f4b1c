package verify

import (
	"encoding/binary"
	"sync"

	"snapcopy/index"
)

// readContents remembers the stored files whose content was read and found sound, so that each is read once, whatever
// names it has and in how many snapshots. For each it keeps 16 bits of the content's hash, so that a name linked to a
// stored file with another content is not taken for sound. Memory: two bytes a stored file.
type readContents struct {
	mu    sync.Mutex
	pages map[uint64]*[64]uint16   // by inode number / 64; 0: not known to be sound
	busy  map[uint64]chan struct{} // stored files being read; closed at the end
}

func (c *readContents) init() {
	c.pages, c.busy = make(map[uint64]*[64]uint16), make(map[uint64]chan struct{})
}

// begin reports whether the stored file must be read to know that its content has the given hash. If so, the caller
// reads it and calls end. While another worker reads the file, begin waits.
func (c *readContents) begin(ino uint64, hash *index.Hash) bool {
	for {
		c.mu.Lock()
		if page := c.pages[ino>>6]; page != nil && page[ino&63] == shortHash(hash) {
			c.mu.Unlock()
			return false
		}
		reading := c.busy[ino]
		if reading == nil {
			c.busy[ino] = make(chan struct{})
			c.mu.Unlock()
			return true
		}
		c.mu.Unlock()
		<-reading
	}
}

// end records the outcome of reading a stored file.
func (c *readContents) end(ino uint64, hash *index.Hash, sound bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.busy[ino])
	delete(c.busy, ino)
	if !sound {
		return
	}
	page := c.pages[ino>>6]
	if page == nil {
		page = new([64]uint16)
		c.pages[ino>>6] = page
	}
	page[ino&63] = shortHash(hash)
}

func shortHash(hash *index.Hash) uint16 { return max(binary.BigEndian.Uint16(hash[:]), 1) }
