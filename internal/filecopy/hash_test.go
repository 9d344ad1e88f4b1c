package filecopy

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/zeebo/blake3"
)

// plainRule is the rule of docs/format.md, word by word, for content in memory.
func plainRule(content []byte, segment int) (hash [32]byte, zeroHash bool) {
	var runs []byte
	var rest []byte
	last := -2
	for i := 0; i*segment < len(content); i++ {
		piece := content[i*segment : min((i+1)*segment, len(content))]
		if len(piece) < segment || !AllZero(piece) {
			rest = append(rest, piece...)
			continue
		}
		if last != i-1 {
			runs = binary.BigEndian.AppendUint64(runs, uint64(i))
			runs = binary.BigEndian.AppendUint64(runs, 0)
		}
		count := runs[len(runs)-8:]
		binary.BigEndian.PutUint64(count, binary.BigEndian.Uint64(count)+1)
		last = i
	}
	hash = blake3.Sum256(rest)
	if runs == nil {
		return hash, false
	}
	h := blake3.NewDeriveKey(hashContext)
	_, _ = h.Write(runs)
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(content))))
	_, _ = h.Write(hash[:])
	h.Sum(hash[:0])
	return hash, true
}

// Guards: the hash is that of the rule however the content comes in: in pieces of any size, its zeros written or told of.
func TestContentHash(t *testing.T) {
	const segment = 100
	rng := rand.New(rand.NewPCG(1, 2))
	var h contentHash
	withZeros := 0
	for range 3000 {
		content := make([]byte, rng.IntN(1000))
		for range rng.IntN(4) {
			if len(content) > 0 {
				content[rng.IntN(len(content))] = 1
			}
		}
		want, wantZeros := plainRule(content, segment)
		if wantZeros {
			withZeros++
		}
		h.reset(segment)
		for rest := content; len(rest) > 0; {
			n := 1 + rng.IntN(min(len(rest), 250))
			if piece := rest[:n]; AllZero(piece) && rng.IntN(2) == 0 {
				if err := h.writeZeros(context.Background(), int64(n)); err != nil {
					t.Fatal(err)
				}
			} else {
				h.write(piece)
			}
			rest = rest[n:]
		}
		if got, zero := h.sum(); got != want || zero != wantZeros {
			t.Fatalf("%d bytes: hash %x %v, want %x %v", len(content), got, zero, want, wantZeros)
		}
	}
	if withZeros < 100 {
		t.Fatalf("only %d contents with segments of zeros", withZeros)
	}
}

// Golden fact of docs/format.md: a hole of three segments and a byte.
func TestContentHashGolden(t *testing.T) {
	var h contentHash
	h.reset(segmentSize)
	if err := h.writeZeros(context.Background(), 3*segmentSize); err != nil {
		t.Fatal(err)
	}
	h.write([]byte("x"))
	derived := blake3.NewDeriveKey("snapcopy 2026-11-23 content without segments of zeros")
	rest := blake3.Sum256([]byte("x"))
	_, _ = derived.WriteString("\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x03" +
		"\x00\x00\x00\x00\xc0\x00\x00\x01" + string(rest[:]))
	var want [32]byte
	derived.Sum(want[:0])
	if got, zero := h.sum(); got != want || !zero {
		t.Errorf("hash %x %v, want %x", got, zero, want)
	}
}

func TestContentHashEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var h contentHash
	h.reset(segmentSize)
	if err := h.writeZeros(ctx, 1<<40); err != context.Canceled {
		t.Errorf("a cancelled hash of zeros: %v", err)
	}
}
