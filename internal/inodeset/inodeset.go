// Package inodeset keeps a set of inode numbers in memory: in a run the stored files that its snapshot uses already, so that no
// two files that were separate in the source ever share one.
package inodeset

import "sync"

// Set is a set of inode numbers. Its zero value is empty; several workers may use it at a time. Inode numbers come in dense
// ranges; a range of 4096 takes 512 bytes.
type Set struct {
	shards [64]struct {
		mu    sync.Mutex
		pages map[uint64]*[64]uint64
	}
}

// Claim adds ino, and reports false if it was there. 0, which stands for an unknown inode, can be claimed often.
func (s *Set) Claim(ino uint64) bool {
	if ino == 0 {
		return true
	}
	page := s.page(ino, true)
	defer page.unlock()
	word, bit := &page.bits[ino>>6&63], uint64(1)<<(ino&63)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// Release takes a claim back.
func (s *Set) Release(ino uint64) {
	page := s.page(ino, false)
	defer page.unlock()
	if page.bits != nil {
		page.bits[ino>>6&63] &^= 1 << (ino & 63)
	}
}

// Has reports whether ino was claimed.
func (s *Set) Has(ino uint64) bool {
	page := s.page(ino, false)
	defer page.unlock()
	return page.bits != nil && page.bits[ino>>6&63]&(1<<(ino&63)) != 0
}

type lockedPage struct {
	bits   *[64]uint64
	unlock func()
}

func (s *Set) page(ino uint64, add bool) lockedPage {
	number := ino >> 12
	shard := &s.shards[number%uint64(len(s.shards))]
	shard.mu.Lock()
	bits := shard.pages[number]
	if bits == nil && add {
		if shard.pages == nil {
			shard.pages = make(map[uint64]*[64]uint64)
		}
		bits = new([64]uint64)
		shard.pages[number] = bits
	}
	return lockedPage{bits, shard.mu.Unlock}
}
