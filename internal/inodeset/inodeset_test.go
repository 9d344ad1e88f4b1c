package inodeset

import (
	"sync"
	"testing"
)

// Guards: of many who want an inode exactly one gets it; the unknown inode is nobody's.
func TestSet(t *testing.T) {
	var s Set
	inodes := []uint64{1, 63, 64, 4095, 4096, 1 << 20, 1<<32 + 5, 1<<63 + 7, 1<<64 - 1}
	for _, ino := range inodes {
		if s.Has(ino) {
			t.Errorf("%d is there from the start", ino)
		}
		won := make(chan bool, 8)
		var group sync.WaitGroup
		for range cap(won) {
			group.Go(func() { won <- s.Claim(ino) })
		}
		group.Wait()
		close(won)
		n := 0
		for ok := range won {
			if ok {
				n++
			}
		}
		if n != 1 || !s.Has(ino) {
			t.Errorf("%d was claimed %d times", ino, n)
		}
	}
	for _, ino := range []uint64{2, 62, 65, 4094, 4097, 1 << 33, 1 << 63} {
		if s.Has(ino) {
			t.Errorf("%d was never claimed", ino)
		}
	}
	for range 2 {
		if !s.Claim(0) {
			t.Error("0 stands for an unknown inode")
		}
	}
	for _, ino := range append(inodes, 0, 1<<40) {
		s.Release(ino)
		if s.Has(ino) {
			t.Errorf("%d is in the set after its release", ino)
		}
	}
	if !s.Claim(64) || s.Has(65) {
		t.Error("a number that was released cannot be claimed, or another one is in the set")
	}
}

// Guards: a run claims the inode of each name: that allocates nothing but pages.
func TestClaimAllocatesNothing(t *testing.T) {
	var s Set
	s.Claim(4096)
	ino := uint64(4096)
	if n := testing.AllocsPerRun(1000, func() { ino++; s.Claim(ino); s.Has(ino) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
