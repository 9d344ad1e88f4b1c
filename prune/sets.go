package prune

import "encoding/binary"

// sharers is a set of snapshots by their positions: bit p%64 of word p/64. Sets are compared as byte strings.
type sharers []uint64

func newSharers(snapshots int) sharers { return make(sharers, (snapshots+63)/64) }

func (h sharers) has(p int) bool { return h[p/64]&(1<<(p%64)) != 0 }
func (h sharers) add(p int)      { h[p/64] |= 1 << (p % 64) }

func (h sharers) empty() bool {
	for _, word := range h {
		if word != 0 {
			return false
		}
	}
	return true
}

// list returns the positions, ascending.
func (h sharers) list(snapshots int) []int {
	var all []int
	for p := range snapshots {
		if h.has(p) {
			all = append(all, p)
		}
	}
	return all
}

// setTable numbers the different sets of sharers, of which there are few, whatever the number of stored files.
type setTable struct {
	sets    []sharers
	sizes   []Size // of the stored files with exactly these sharers
	numbers map[string]uint32
	key     []byte
}

// number returns the number of a set, of which it keeps a copy.
func (t *setTable) number(h sharers) uint32 {
	t.key = t.key[:0]
	for _, word := range h {
		t.key = binary.LittleEndian.AppendUint64(t.key, word)
	}
	if n, ok := t.numbers[string(t.key)]; ok {
		return n
	}
	if t.numbers == nil {
		t.numbers = make(map[string]uint32)
	}
	n := uint32(len(t.sets))
	t.numbers[string(t.key)] = n
	t.sets = append(t.sets, append(sharers(nil), h...))
	t.sizes = append(t.sizes, Size{})
	return n
}
