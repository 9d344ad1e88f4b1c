package verified

import (
	"cmp"
	"encoding/binary"

	"snapcopy/internal/extsort"
)

// Record is one stored file.
type Record struct {
	Stored uint64 // inode number in the archive
	Tag    Tag
	Size   uint64 // bytes to read
	Time   int64  // Unix time: of the last check, or of storing
	Read   bool   // Time is that of a check; otherwise the content was not read back since it was stored
}

// Tag is the beginning of a content hash, as a number.
type Tag uint64

// TagOf returns the tag of a content hash.
func TagOf(hash [32]byte) Tag { return Tag(binary.BigEndian.Uint64(hash[:])) }

// Compare orders records as the file has them.
func Compare(a, b *Record) int {
	return cmp.Or(cmp.Compare(a.Stored, b.Stored), cmp.Compare(a.Tag, b.Tag))
}

// isNewerThan reports whether r says more about the same stored file than old does.
func (r *Record) isNewerThan(old *Record) bool {
	if r.Read != old.Read {
		return r.Read
	}
	return r.Time > old.Time
}

const sortedSize = 8 + 8 + 8 + 8 + 1

// sortedInMemory is the number of records that are sorted in memory, 2.5 MiB.
const sortedInMemory = 1 << 16

// Changes collects records of stored files that were read, in bounded memory. Add may be called from several goroutines.
type Changes struct{ sorter extsort.Sorter[Record] }

// NewChanges returns an empty collection. dir is the folder for temporary files, "" that of the system.
func NewChanges(dir string) *Changes {
	return &Changes{extsort.Sorter[Record]{Dir: dir, Name: "snapcopy-verified-", Limit: sortedInMemory, Kind: extsort.Kind[Record]{
		Compare: func(a, b Record) int { return Compare(&a, &b) },
		Join: func(a *Record, b Record) {
			if b.isNewerThan(a) {
				*a = b
			}
		},
		Size:   sortedSize,
		Encode: encodeSorted,
		Decode: decodeSorted,
	}}}
}

// Add adds records. Store.Note returns an error of the temporary files.
func (c *Changes) Add(list ...Record) { c.sorter.Add(list...) }

// Close removes the temporary files.
func (c *Changes) Close() error { return c.sorter.Close() }

func encodeSorted(b []byte, r *Record) {
	binary.LittleEndian.PutUint64(b, r.Stored)
	binary.LittleEndian.PutUint64(b[8:], uint64(r.Tag))
	binary.LittleEndian.PutUint64(b[16:], r.Size)
	binary.LittleEndian.PutUint64(b[24:], uint64(r.Time))
	b[32] = 0
	if r.Read {
		b[32] = 1
	}
}

func decodeSorted(b []byte, r *Record) {
	*r = Record{
		Stored: binary.LittleEndian.Uint64(b), Tag: Tag(binary.LittleEndian.Uint64(b[8:])),
		Size: binary.LittleEndian.Uint64(b[16:]), Time: int64(binary.LittleEndian.Uint64(b[24:])), Read: b[32] != 0,
	}
}
