package journal

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io"
	"os"
	"sort"

	"snapcopy/internal/extsort"
)

// place is the position of a record under a key.
type place struct {
	key uint64
	at  int64
}

const placeSize = 16

var placeKind = extsort.Kind[place]{
	Compare: func(a, b place) int { return cmp.Compare(a.key, b.key) },
	Join:    func(a *place, b place) { a.at = max(a.at, b.at) },
	Size:    placeSize,
	Encode: func(b []byte, p *place) {
		binary.BigEndian.PutUint64(b, p.key)
		binary.BigEndian.PutUint64(b[8:], uint64(p.at))
	},
	Decode: func(b []byte, p *place) {
		p.key, p.at = binary.BigEndian.Uint64(b), int64(binary.BigEndian.Uint64(b[8:]))
	},
}

// Builder makes a Table.
type Builder struct {
	sorter extsort.Sorter[place]
	dir    string
	seed   maphash.Seed
}

// sortInMemory is the number of places that a Builder sorts in memory: 2 MiB.
const sortInMemory = 1 << 17

// NewBuilder returns a Builder with its temporary files in a folder.
func NewBuilder(dir string) *Builder {
	return &Builder{dir: dir, seed: maphash.MakeSeed(),
		sorter: extsort.Sorter[place]{Kind: placeKind, Dir: dir, Name: "journal-", Limit: sortInMemory}}
}

// Add adds a record at a position. A later record of the same path takes the place of an earlier one.
func (b *Builder) Add(r *Record, at int64) {
	b.sorter.Add(place{pathKey(b.seed, r.Dir, r.Entry.Name), at})
	if r.Entry.Linked() {
		b.sorter.Add(place{inodeKey(b.seed, r.Device, r.Entry.Ino), at})
	}
}

// Close removes the temporary files.
func (b *Builder) Close() error { return b.sorter.Close() }

// Table finds the positions of records. Two keys can share one: only the record proves what it is.
type Table struct {
	seed  maphash.Seed
	file  *os.File
	count int64
	first []uint64 // keys at the beginning of each page
}

// pagePlaces is the number of places that a lookup reads at once. The keys in memory cost a quarter of a byte for each record.
const pagePlaces = 32

// Table returns the table of all records added.
func (b *Builder) Table() (t *Table, err error) {
	merge, err := b.sorter.Merge()
	if err != nil {
		return nil, err
	}
	t = &Table{seed: b.seed}
	if t.file, err = os.CreateTemp(b.dir, "journal-"); err != nil {
		return nil, err
	}
	if err := errors.Join(os.Remove(t.file.Name()), t.fill(merge)); err != nil {
		return nil, errors.Join(err, t.file.Close())
	}
	return t, nil
}

func (t *Table) fill(merge *extsort.Merge[place]) error {
	out := bufio.NewWriterSize(t.file, 64<<10)
	var b [placeSize]byte
	for {
		var p place
		more, err := merge.Next(&p)
		if err != nil {
			return err
		}
		if !more {
			return out.Flush()
		}
		if t.count%pagePlaces == 0 {
			t.first = append(t.first, p.key)
		}
		t.count++
		placeKind.Encode(b[:], &p)
		if _, err := out.Write(b[:]); err != nil {
			return err
		}
	}
}

// Close removes the table.
func (t *Table) Close() error {
	if t == nil {
		return nil
	}
	return t.file.Close()
}

// FindPath returns the position of the last record of a path; ok is false if there is none.
func (t *Table) FindPath(dir, name string) (at int64, ok bool, err error) {
	return t.find(pathKey(t.seed, dir, name))
}

// FindInode returns the position of the last record of an inode of the source with several names.
func (t *Table) FindInode(device, ino uint64) (at int64, ok bool, err error) {
	return t.find(inodeKey(t.seed, device, ino))
}

func (t *Table) find(key uint64) (at int64, ok bool, err error) {
	page := sort.Search(len(t.first), func(i int) bool { return t.first[i] > key }) - 1
	if page < 0 {
		return 0, false, nil
	}
	var b [pagePlaces * placeSize]byte
	n, err := t.file.ReadAt(b[:], int64(page)*int64(len(b)))
	if err != nil && err != io.EOF {
		return 0, false, err
	}
	places := n / placeSize
	keyAt := func(i int) uint64 { return binary.BigEndian.Uint64(b[i*placeSize:]) }
	i := sort.Search(places, func(i int) bool { return keyAt(i) >= key })
	if i == places || keyAt(i) != key {
		return 0, false, nil
	}
	return int64(binary.BigEndian.Uint64(b[i*placeSize+8:])), true, nil
}

func pathKey(seed maphash.Seed, dir, name string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.WriteString(dir)
	_ = h.WriteByte('/')
	_, _ = h.WriteString(name)
	return h.Sum64()
}

func inodeKey(seed maphash.Seed, device, ino uint64) uint64 {
	var b [17]byte // the first byte, a zero, is in no path
	binary.BigEndian.PutUint64(b[1:], device)
	binary.BigEndian.PutUint64(b[9:], ino)
	return maphash.Bytes(seed, b[:])
}
