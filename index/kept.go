package index

import (
	"errors"
	"sync"
)

// An entry that a run could not read and carried along says as of which snapshot it is. Such a snapshot may be years
// older than the catalog, and gone. So the catalog has its name: once, in the tail; an entry has the name's number.

// Bits of the byte of flags in a summary.
const (
	isIncomplete   = 1
	hasKeptEntries = 2 // the number of such files and the names follow the counts
)

var errTwice = errors.New("a name twice")

// nameTable numbers names in the order of their first use. Several goroutines may use it.
type nameTable struct {
	mu      sync.Mutex
	list    []string
	numbers map[string]uint64
}

func (t *nameTable) number(name string) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, known := t.numbers[name]
	if !known {
		n = uint64(len(t.list))
		if t.numbers == nil {
			t.numbers = make(map[string]uint64)
		}
		t.numbers[name] = n
		t.list = append(t.list, name)
	}
	return n
}

// hasKept reports whether the tail says anything of entries carried along.
func (t *tail) hasKept() bool { return t.summary.Counts.Kept > 0 || len(t.names) > 0 }

func appendNames(b []byte, names []string) []byte {
	b = appendUvarint(b, uint64(len(names)))
	for _, name := range names {
		b = appendString(b, name)
	}
	return b
}

func decodeNames(d *decoder) []string {
	n := d.uvarint()
	if n > uint64(d.left()/2) { // a name takes two bytes or more
		d.fail(errShort)
	}
	if d.err != nil || n == 0 {
		return nil
	}
	names, known := make([]string, 0, n), make(map[string]bool, n)
	for range n {
		name := d.string()
		switch {
		case d.err == nil && !validName(name):
			d.fail(errName)
		case known[name]:
			d.fail(errTwice)
		}
		if d.err != nil {
			return nil
		}
		names, known[name] = append(names, name), true
	}
	return names
}
