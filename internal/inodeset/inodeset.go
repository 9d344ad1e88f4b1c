// Package inodeset has sets of inode numbers as bitmaps. Inode numbers come in dense ranges: a range of 4096 takes 512
// bytes, wherever it begins, so that a set of the million files of one tree takes less than a byte for each.
package inodeset

import "sync"

// Set is a set of inode numbers of one file system. The zero value is empty. Its methods may be called from several
// goroutines.
type Set struct {
	shards [64]shard
}

// shard has every 64th page.
type shard struct {
	mu    sync.Mutex
	pages map[uint64]*page
}

// page has the numbers of a range of 4096.
type page [64]uint64

// Claim adds ino. It returns false if the set contains ino already. 0 stands for an unknown inode: it is never in a
// set, and can be claimed often.
func (s *Set) Claim(ino uint64) bool {
	if ino == 0 {
		return true
	}
	sh := s.lock(ino)
	defer sh.mu.Unlock()
	p := sh.pages[ino>>12]
	if p == nil {
		if sh.pages == nil {
			sh.pages = make(map[uint64]*page)
		}
		p = new(page)
		sh.pages[ino>>12] = p
	}
	word, bit := &p[ino>>6&63], uint64(1)<<(ino&63)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// Release takes ino out of the set.
func (s *Set) Release(ino uint64) {
	sh := s.lock(ino)
	defer sh.mu.Unlock()
	if p := sh.pages[ino>>12]; p != nil {
		p[ino>>6&63] &^= 1 << (ino & 63)
	}
}

// Has reports whether the set contains ino.
func (s *Set) Has(ino uint64) bool {
	sh := s.lock(ino)
	defer sh.mu.Unlock()
	p := sh.pages[ino>>12]
	return p != nil && p[ino>>6&63]&(1<<(ino&63)) != 0
}

// lock locks the shard of ino.
func (s *Set) lock(ino uint64) *shard {
	sh := &s.shards[ino>>12%uint64(len(s.shards))]
	sh.mu.Lock()
	return sh
}
