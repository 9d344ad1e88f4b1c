package prune

import "encoding/binary"

// holders is a set of snapshots by their positions: bit p%64 of word p/64. Sets are compared as byte strings.
type holders []uint64

func newHolders(snapshots int) holders { return make(holders, (snapshots+63)/64) }

func (h holders) has(p int) bool { return h[p/64]&(1<<(p%64)) != 0 }
func (h holders) add(p int)      { h[p/64] |= 1 << (p % 64) }

func (h holders) empty() bool {
	for _, word := range h {
		if word != 0 {
			return false
		}
	}
	return true
}

// list returns the positions, ascending.
func (h holders) list(snapshots int) []int {
	var all []int
	for p := range snapshots {
		if h.has(p) {
			all = append(all, p)
		}
	}
	return all
}

// setTable numbers the different sets of holders, of which there are few, whatever the number of stored files.
type setTable struct {
	sets    []holders
	sizes   []Size // of the stored files with exactly these holders
	numbers map[string]uint32
	key     []byte
}

// number returns the number of a set, of which it keeps a copy.
func (t *setTable) number(h holders) uint32 {
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
	t.sets = append(t.sets, append(holders(nil), h...))
	t.sizes = append(t.sizes, Size{})
	return n
}
