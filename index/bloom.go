package index

import "encoding/binary"

const (
	// largeSize is the size above which a file is looked up in the Bloom filter before it is read. A smaller file is
	// read in one piece anyway.
	largeSize = 1 << 20

	// bloomPerRecord and bloomProbes give one wrong "may have" in about 120 questions.
	bloomPerRecord = 10
	bloomProbes    = 7
)

// sizeKey is the key in the Bloom filter of a file's size and metadata; 0 if the filter does not track that size.
func sizeKey(size uint64, meta uint32) uint32 {
	if size <= largeSize {
		return 0
	}
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], size)
	binary.BigEndian.PutUint32(b[8:], meta)
	return max(fingerprint(b[:]), 1)
}

// bloom is a Bloom filter over size keys: bit n is bit n%8 of byte n/8. Its length is a multiple of 8 bytes.
type bloom []byte

func newBloom(keys uint64) bloom {
	return make(bloom, (keys*bloomPerRecord+63)/64*8)
}

// bit returns the place of probe i in the filter.
func (b bloom) bit(key uint32, i uint64) (at uint64, mask byte) {
	x := uint64(key) * 0x9E3779B97F4A7C15
	n := (x>>32 + i*(x&0xFFFFFFFF|1)) % (uint64(len(b)) * 8)
	return n / 8, 1 << (n % 8)
}

func (b bloom) add(key uint32) {
	for i := range uint64(bloomProbes) {
		at, mask := b.bit(key, i)
		b[at] |= mask
	}
}

func (b bloom) mayHave(key uint32) bool {
	if len(b) == 0 {
		return false
	}
	for i := range uint64(bloomProbes) {
		if at, mask := b.bit(key, i); b[at]&mask == 0 {
			return false
		}
	}
	return true
}
