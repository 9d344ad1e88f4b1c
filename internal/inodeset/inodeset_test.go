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
}
