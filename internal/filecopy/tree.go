package filecopy

import (
	"encoding/binary"
	_ "unsafe" // for go:linkname

	_ "github.com/zeebo/blake3"
)

// A BLAKE3 hash is the root of a binary tree over chunks of 1 KiB. A subtree of 2ⁿ chunks that begins at a multiple of
// its size can be hashed without the rest. Sizes in bytes.
const (
	chunkSize = 1 << 10
	lanes     = 8 // chunks or parents that the processor hashes at once
	groupSize = lanes * chunkSize
	pieceSize = BufferSize // a subtree that is left to one thread
	blockSize = 64
)

// Flags of BLAKE3.
const (
	chunkStart = 1 << iota
	chunkEnd
	ofParent
	ofRoot
)

var (
	startValue = chain{0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19}
	zeroGroup  vector
)

type (
	chain  [8]uint32         // chaining value: the hash of a subtree
	vector [8 * lanes]uint32 // chaining values side by side: the first words of all, the second words, and so on
)

// The library has the right functions for every processor, but exports neither them nor the hashes of subtrees, without
// which several threads cannot hash one file. The library that exports such hashes, lukechampine.com/blake3/guts 1.4.1, was
// measured at 4.1 GB/s where these functions reach 4.4, and at 3.1 GB/s without AVX-512, which most processors lack.
// A release without these functions does not link; if one of them computes something else, TestTree fails.

//go:linkname hashGroup github.com/zeebo/blake3/internal/alg.HashF
func hashGroup(input *[groupSize]byte, length, first uint64, flags uint32, key *[8]uint32, out *[8 * lanes]uint32, last *[8]uint32)

//go:linkname hashParents github.com/zeebo/blake3/internal/alg.HashP
func hashParents(left, right *[8 * lanes]uint32, flags uint32, key *[8]uint32, out *[8 * lanes]uint32, n int)

//go:linkname compress github.com/zeebo/blake3/internal/alg.Compress
func compress(chain *[8]uint32, block *[16]uint32, counter uint64, length, flags uint32, out *[16]uint32)

// node is the root of a subtree before its last compression, which differs if it is the root of the whole tree.
type node struct {
	chain   chain
	block   [16]uint32
	counter uint64
	length  uint32
	flags   uint32
}

func (n *node) hash(flags uint32) chain {
	var out [16]uint32
	compress((*[8]uint32)(&n.chain), &n.block, n.counter, n.length, n.flags|flags, &out)
	return chain(out[:8])
}

func parent(left, right chain) node {
	n := node{chain: startValue, length: blockSize, flags: ofParent}
	copy(n.block[:8], left[:])
	copy(n.block[8:], right[:])
	return n
}

// chunkNode is the root of one chunk, which may be the last and shorter than others.
func chunkNode(b []byte, number uint64) node {
	n := node{chain: startValue, counter: number, flags: chunkStart}
	for {
		var block [blockSize]byte
		n.length = uint32(copy(block[:], b))
		b = b[n.length:]
		for i := range n.block {
			n.block[i] = binary.LittleEndian.Uint32(block[4*i:])
		}
		if len(b) == 0 {
			n.flags |= chunkEnd
			return n
		}
		n.chain, n.flags = n.hash(0), 0
	}
}

// scratch is the memory in which a thread hashes pieces.
type scratch struct {
	groups      [pieceSize / groupSize]vector
	left, right vector
	last        [8]uint32
}

// hash returns the root of groups of chunks. Their number is a power of two and at most that of a piece.
func (s *scratch) hash(b []byte, first uint64) node {
	n := len(b) / groupSize
	for i := range n {
		hashGroup((*[groupSize]byte)(b[i*groupSize:]), groupSize, first+uint64(i)*lanes, 0, (*[8]uint32)(&startValue),
			(*[8 * lanes]uint32)(&s.groups[i]), &s.last)
	}
	for ; n > 1; n /= 2 {
		for i := range n / 2 {
			s.parents(&s.groups[2*i], &s.groups[2*i+1], &s.groups[i], lanes)
		}
	}
	top := &s.groups[0]
	for n = lanes / 2; n > 1; n /= 2 {
		s.parents(top, &zeroGroup, top, n)
	}
	var left, right chain
	for i := range left {
		left[i], right[i] = top[i*lanes], top[i*lanes+1]
	}
	return parent(left, right)
}

// parents hashes the first 2 × n values of a and b, pair by pair, into the first n of out.
func (s *scratch) parents(a, b, out *vector, n int) {
	for row := 0; row < len(a); row += lanes {
		for i := range lanes / 2 {
			s.left[row+i], s.right[row+i] = a[row+2*i], a[row+2*i+1]
			s.left[row+lanes/2+i], s.right[row+lanes/2+i] = b[row+2*i], b[row+2*i+1]
		}
	}
	hashParents((*[8 * lanes]uint32)(&s.left), (*[8 * lanes]uint32)(&s.right), ofParent, (*[8]uint32)(&startValue),
		(*[8 * lanes]uint32)(out), n)
}

// tree computes the BLAKE3 hash of content, of which parts were hashed elsewhere: see addPiece. Content is written in
// multiples of groupSize; only the last Write may be of another length.
type tree struct {
	chunks  uint64 // written so far
	ready   forest
	scratch *scratch
}

func (t *tree) Reset() { *t = tree{scratch: t.scratch} }

// Write adds content.
func (t *tree) Write(b []byte) (int, error) {
	n := len(b)
	for ; len(b) >= groupSize; b = b[groupSize:] {
		t.add(lanes, t.scratch.hash(b[:groupSize], t.chunks))
	}
	for len(b) > 0 {
		size := min(len(b), chunkSize)
		t.add(1, chunkNode(b[:size], t.chunks))
		b = b[size:]
	}
	return n, nil
}

// addPiece adds content of pieceSize bytes, given the root of its subtree. It begins at a multiple of pieceSize.
func (t *tree) addPiece(root node) { t.add(pieceSize/chunkSize, root) }

func (t *tree) add(chunks uint64, root node) {
	t.ready.add(subtree{chunks, root})
	t.chunks += chunks
}

// Sum appends the hash of everything written.
func (t *tree) Sum(b []byte) []byte {
	if t.chunks == 0 {
		t.ready.add(subtree{root: chunkNode(nil, 0)})
	}
	root := t.ready.root()
	for _, word := range root.hash(ofRoot) {
		b = binary.LittleEndian.AppendUint32(b, word)
	}
	return b
}

// forest has complete subtrees side by side, the larger ones first. Two of one size become one only when another one
// follows, since the last two may be those below the root of the whole tree.
type forest []subtree

// subtree is a part of a tree.
type subtree struct {
	chunks uint64
	root   node
}

func (f *forest) add(s subtree) {
	list := *f
	for n := len(list); n > 1 && list[n-2].chunks == list[n-1].chunks; n = len(list) {
		list[n-2].root = parent(list[n-2].root.hash(0), list[n-1].root.hash(0))
		list[n-2].chunks *= 2
		list = list[:n-1]
	}
	*f = append(list, s)
}

// root returns the root above all of them, of which there is at least one.
func (f forest) root() node {
	root := f[len(f)-1].root
	for i := len(f) - 2; i >= 0; i-- {
		root = parent(f[i].root.hash(0), root.hash(0))
	}
	return root
}
