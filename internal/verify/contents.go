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
	mu      sync.Mutex
	bad     map[contentOf]error
	pages   map[uint64]*[64]uint16 // by inode number / 64; 0: not known to be sound
	busy    map[uint64]struct{}    // stored files being read
	done    *sync.Cond             // one of them was read
	waiting int                    // for that
}

func (c *readContents) init() {
	c.bad, c.busy = make(map[contentOf]error), make(map[uint64]struct{})
	c.pages, c.done = make(map[uint64]*[64]uint16), sync.NewCond(&c.mu)
}

// maxBad bounds the damaged stored files that are remembered.
const maxBad = 10_000

// begin reports whether the stored file with an inode number must be read to know that it has this content. If so, the
// caller reads it and calls end. If it was read before, err is the damage that was found. While another worker reads the
// file, begin waits.
func (c *readContents) begin(ino uint64, want *contentOf) (read bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if c.has(ino, &want.hash) {
			return false, nil
		}
		if err := c.bad[contentOf{ino, want.hash, want.size}]; err != nil {
			return false, err
		}
		if _, busy := c.busy[ino]; !busy {
			c.busy[ino] = struct{}{}
			return true, nil
		}
		c.waiting++
		c.done.Wait()
		c.waiting--
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
	if delete(c.busy, ino); c.waiting > 0 {
		c.done.Broadcast()
	}
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
