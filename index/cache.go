package index

import "sync"

// block is a decompressed block. Only a block of the directory table has rows.
type block struct {
	raw  []byte
	rows []row
}

type blockKey struct {
	kind   byte
	number int
}

// blockCache keeps the blocks used last: at most 32 of 128 KiB each.
type blockCache struct {
	sync.Mutex
	clock uint64
	limit int // 0: all slots
	slots [32]struct {
		key  blockKey
		used uint64
		b    *block
	}
}

func (c *blockCache) get(key blockKey) *block {
	c.Lock()
	defer c.Unlock()
	for i := range c.slots {
		if s := &c.slots[i]; s.key == key && s.b != nil {
			c.clock++
			s.used = c.clock
			return s.b
		}
	}
	return nil
}

func (c *blockCache) put(key blockKey, b *block) {
	c.Lock()
	defer c.Unlock()
	oldest := &c.slots[0]
	limit := c.limit
	if limit == 0 {
		limit = len(c.slots)
	}
	for i := range limit {
		if c.slots[i].used < oldest.used {
			oldest = &c.slots[i]
		}
	}
	c.clock++
	oldest.key, oldest.used, oldest.b = key, c.clock, b
}

// recordCache keeps the records that Dir returned last.
type recordCache struct {
	sync.Mutex
	next    int
	records [4]*Record
}

func (c *recordCache) get(id DirID) *Record {
	c.Lock()
	defer c.Unlock()
	for _, r := range c.records {
		if r != nil && r.id == id {
			return r
		}
	}
	return nil
}

func (c *recordCache) put(r *Record) {
	c.Lock()
	defer c.Unlock()
	c.records[c.next] = r
	c.next = (c.next + 1) % len(c.records)
}

// KeepBlocks limits the blocks that the catalog caches, of 128 KiB each, to 1 to 32 (the default). A program that
// reads many catalogs from beginning to end needs only a few for each.
func (c *Catalog) KeepBlocks(n int) {
	b := &c.blocks
	b.Lock()
	defer b.Unlock()
	b.limit = min(max(n, 1), len(b.slots))
	for i := range b.slots[b.limit:] {
		s := &b.slots[b.limit+i]
		s.b, s.used = nil, 0
	}
}
