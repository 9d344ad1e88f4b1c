package prune

import (
	"cmp"
	"encoding/binary"

	"snapcopy/internal/extsort"
)

// inode identifies a stored file. An archive that was copied to another file system has other inode numbers from then
// on: a new era.
type inode struct {
	era    uint32
	number uint64
}

func (a inode) compare(b inode) int {
	return cmp.Or(cmp.Compare(a.era, b.era), cmp.Compare(a.number, b.number))
}

// event says that a snapshot has more names of a stored file, or fewer, than the snapshot before it.
type event struct {
	inode
	snapshot uint32 // position in the list of snapshots
	names    int32
	blocks   uint64
}

func (a *event) compare(b *event) int {
	return cmp.Or(a.inode.compare(b.inode), cmp.Compare(a.snapshot, b.snapshot))
}

// eventsKept is the number of events sorted in memory, 16 MiB; further ones go to temporary files.
const eventsKept = 1 << 19

// newEventSorter sorts events in bounded memory, with temporary files in dir. It adds up events of the same file and
// snapshot: a file that only changed its name has none left.
func newEventSorter(dir string) *extsort.Sorter[event] {
	return &extsort.Sorter[event]{Dir: dir, Name: "snapcopy-space-", Limit: eventsKept, Kind: extsort.Kind[event]{
		Compare: func(a, b event) int { return a.compare(&b) },
		Join:    func(a *event, b event) { a.names += b.names },
		Size:    4 + 8 + 4 + 4 + 8,
		Encode:  encodeEvent,
		Decode:  decodeEvent,
	}}
}

func encodeEvent(b []byte, e *event) {
	binary.LittleEndian.PutUint32(b[0:], e.era)
	binary.LittleEndian.PutUint64(b[4:], e.number)
	binary.LittleEndian.PutUint32(b[12:], e.snapshot)
	binary.LittleEndian.PutUint32(b[16:], uint32(e.names))
	binary.LittleEndian.PutUint64(b[20:], e.blocks)
}

func decodeEvent(b []byte, e *event) {
	e.era = binary.LittleEndian.Uint32(b[0:])
	e.number = binary.LittleEndian.Uint64(b[4:])
	e.snapshot = binary.LittleEndian.Uint32(b[12:])
	e.names = int32(binary.LittleEndian.Uint32(b[16:]))
	e.blocks = binary.LittleEndian.Uint64(b[20:])
}
