package verify

import (
	"encoding/binary"
	"errors"
	"sync"

	"snapcopy/index"
)

// readContents remembers the stored files whose content was read and found sound, so that each is read once, whatever
// names it has and in how many snapshots. For each it keeps 16 bits of the content's hash, so that a name linked to a
// stored file with another content is not taken for sound. Memory: two bytes a stored file.
//
// A damaged stored file is read once, too: of the first maxBad the error is kept.
type readContents struct {
	mu    sync.Mutex
	bad   map[contentOf]error
	pages map[uint64]*[64]uint16   // by inode number / 64; 0: not known to be sound
	busy  map[uint64]chan struct{} // stored files being read; closed at the end
}

func (c *readContents) init() {
	c.bad = make(map[contentOf]error)
	c.pages, c.busy = make(map[uint64]*[64]uint16), make(map[uint64]chan struct{})
}

// maxBad bounds the damaged stored files that are remembered.
const maxBad = 10_000

// begin reports whether the stored file with an inode number must be read to know that it has this content. If so, the
// caller reads it and calls end. If it was read before, err is the damage that was found. While another worker reads the
// file, begin waits.
func (c *readContents) begin(ino uint64, want *contentOf) (read bool, err error) {
	for {
		c.mu.Lock()
		if c.has(ino, &want.hash) {
			c.mu.Unlock()
			return false, nil
		}
		if err := c.bad[contentOf{ino, want.hash, want.size}]; err != nil {
			c.mu.Unlock()
			return false, err
		}
		reading := c.busy[ino]
		if reading == nil {
			c.busy[ino] = make(chan struct{})
			c.mu.Unlock()
			return true, nil
		}
		c.mu.Unlock()
		<-reading
	}
}

func (c *readContents) has(ino uint64, hash *index.Hash) bool {
	page := c.pages[ino>>6]
	return page != nil && page[ino&63] == shortHash(hash)
}

// end records the outcome of reading a stored file.
func (c *readContents) end(ino uint64, want *contentOf, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.busy[ino])
	delete(c.busy, ino)
	if err != nil {
		if errors.Is(err, index.ErrDamagedData) && len(c.bad) < maxBad {
			c.bad[contentOf{ino, want.hash, want.size}] = err
		}
		return
	}
	page := c.pages[ino>>6]
	if page == nil {
		page = new([64]uint16)
		c.pages[ino>>6] = page
	}
	page[ino&63] = shortHash(&want.hash)
}

func shortHash(hash *index.Hash) uint16 { return max(binary.BigEndian.Uint16(hash[:]), 1) }
