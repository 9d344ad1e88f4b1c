package filecopy

import (
	"math/rand/v2"
	"testing"

	"github.com/zeebo/blake3"
)

// treeHash hashes content as the threads of a Team do, in parts that a seed chooses.
func treeHash(content []byte, seed uint64) (hash [32]byte) {
	rng := rand.New(rand.NewPCG(seed, 0))
	t := tree{scratch: new(scratch)}
	own := new(scratch)
	for len(content) > 0 {
		n := min(len(content), pieceSize)
		if groups := 1 + rng.IntN(pieceSize/groupSize-1); t.chunks%(pieceSize/chunkSize) != 0 || rng.IntN(4) == 0 {
			n = min(n, pieceSize-int(t.chunks*chunkSize%pieceSize), groups*groupSize) // as zeros are written
		}
		if n == pieceSize {
			t.addPiece(own.hash(content[:n], t.chunks))
		} else {
			_, _ = t.Write(content[:n])
		}
		content = content[n:]
	}
	t.Sum(hash[:0])
	return hash
}

// Guards: the hash from subtrees is that of the hasher, for contents around every border of chunks, groups and pieces.
func TestTree(t *testing.T) {
	content := make([]byte, 4*pieceSize+1)
	rng := rand.NewChaCha8([32]byte{4})
	_, _ = rng.Read(content)
	var sizes []int
	for _, border := range []int{blockSize, chunkSize, groupSize, 16 * groupSize, pieceSize} {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9} {
			if n*border < len(content) {
				sizes = append(sizes, n*border-1, n*border, n*border+1)
			}
		}
	}
	for n := range 100 {
		sizes = append(sizes, 3*groupSize+n*197, pieceSize+n*1023)
	}
	for _, n := range sizes {
		if n < 0 {
			continue
		}
		if got, want := treeHash(content[:n], uint64(n)), blake3.Sum256(content[:n]); got != want {
			t.Fatalf("%d bytes: hash %x, want %x", n, got, want)
		}
	}
}

func FuzzTree(f *testing.F) {
	f.Add(uint32(1), uint64(2))
	f.Fuzz(func(t *testing.T, size uint32, seed uint64) {
		content := make([]byte, size%(2*pieceSize+pieceSize/2))
		_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(content)
		if got, want := treeHash(content, seed), blake3.Sum256(content); got != want {
			t.Fatalf("%d bytes: hash %x, want %x", len(content), got, want)
		}
	})
}
