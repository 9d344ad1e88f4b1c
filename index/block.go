package index

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"

	"snapcopy/internal/workers"
)

// The catalog's fixed parts.
const (
	catalogMagic   = "\x89snapcat"
	catalogVersion = 1
	headerSize     = 16
	footerSize     = 8 + 8 + 2 + 6 + 32 + 8
	footerMagic    = "tacpans\x89"
)

// Kinds of block.
const (
	recordBlock = 'R'
	dirBlock    = 'D'
	xattrBlock  = 'X'
	spaceBlock  = 'S'
	tailBlock   = 'T'
)

const (
	// blockSize is the raw size of a block: large enough to compress well, small enough that a single record
	// costs a tenth of a millisecond.
	blockSize = 128 << 10
	// maxTail bounds the tail: blocks of half a terabyte of records.
	maxTail = 64 << 20
	// blockHeader is the size of a block's header: kind, two lengths, checksum.
	blockHeader = 1 + 4 + 4 + checksumSize
	// maxPacked bounds the compressed bytes of a stream's block; zstd makes incompressible bytes a little longer.
	maxPacked = blockSize + blockSize/8

	checksumSize = 16
)

// encoder and codec are shared: EncodeAll and DecodeAll are safe for concurrent use, and their tables are large.
var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
			zstd.WithWindowSize(blockSize), zstd.WithEncoderConcurrency(workers.Number(0)))
		if err != nil {
			panic(err) // the options are constant
		}
		return e
	})
	unpacker = sync.OnceValue(func() *zstd.Decoder {
		// DecodeAll never writes beyond the capacity of its destination, whatever a frame claims.
		d, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(maxTail),
			zstd.WithDecoderConcurrency(workers.Number(0)))
		if err != nil {
			panic(err) // the options are constant
		}
		return d
	})
)

func hashOf(b []byte) Hash { return blake3.Sum256(b) }

func sumOf(b []byte) (s Sum) {
	h := hashOf(b)
	copy(s[:], h[:])
	return s
}

// blockSum is the checksum of a block: over its kind, its raw length and its compressed bytes.
func blockSum(kind byte, rawLen uint32, packed []byte) (sum [checksumSize]byte) {
	var head [5]byte
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], rawLen)
	h := blake3.New()
	h.Write(head[:])
	h.Write(packed)
	var full Hash
	h.Sum(full[:0])
	copy(sum[:], full[:])
	return sum
}

// appendBlock appends the block that contains raw.
func appendBlock(b []byte, kind byte, raw []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, blockHeader)...)
	b = encoder().EncodeAll(raw, b)
	head, packed := b[start:start+blockHeader], b[start+blockHeader:]
	sum := blockSum(kind, uint32(len(raw)), packed)
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(packed)))
	binary.BigEndian.PutUint32(head[5:], uint32(len(raw)))
	copy(head[9:], sum[:])
	return b
}

// openBlock returns the raw bytes of a block of the given kind; limit bounds them.
func openBlock(b []byte, kind byte, limit uint32) ([]byte, error) {
	if len(b) < blockHeader {
		return nil, errShort
	}
	packedLen, rawLen := binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:])
	packed := b[blockHeader:]
	switch {
	case b[0] != kind:
		return nil, errType
	case uint64(packedLen) != uint64(len(packed)) || rawLen > limit:
		return nil, errRange
	case blockSum(kind, rawLen, packed) != [checksumSize]byte(b[9:blockHeader]):
		return nil, errChecksum
	}
	raw, err := unpacker().DecodeAll(packed, make([]byte, 0, rawLen))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(raw) != int(rawLen) {
		return nil, errMismatch
	}
	return raw, nil
}

// blockRef is the place of a block of a stream in the file.
type blockRef struct {
	offset int64  // in the file
	size   uint32 // with its header
	raw    uint32
	first  DirID // of a directory table's block
	rows   uint32
}
