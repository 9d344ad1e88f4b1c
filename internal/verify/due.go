package verify

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	"snapcopy/index"
	"snapcopy/internal/extsort"
	"snapcopy/internal/verified"
)

// due is a stored file whose turn to be read comes.
type due struct {
	time int64 // since when it was not looked at
	place
}

// dueSorter sorts stored files by their turn: those not read for the longest time first, and of those with one time, such
// as that of the run that stored them, in the order of their inode numbers, which is often that on the disk. A nil
// dueSorter ignores what is added.
type dueSorter struct {
	dir    string
	sorter *extsort.Sorter[due]
	// damaged has the times when damaged stored files were last read: they wait their turn like sound ones, so that they do not
	// take the time of others.
	damaged map[recordKey]int64
}

type recordKey struct {
	stored uint64
	tag    verified.Tag
}

func newDueSorter(dir string, seen map[soundKey]int64) *dueSorter {
	s := &dueSorter{dir: dir, damaged: make(map[recordKey]int64)}
	for key, at := range seen {
		s.damaged[recordKey{key.stored, verified.TagOf(key.hash)}] = at
	}
	s.sorter = s.empty()
	return s
}

func (s *dueSorter) empty() *extsort.Sorter[due] {
	return &extsort.Sorter[due]{Dir: s.dir, Name: "snapcopy-verify-", Limit: inMemory, Kind: extsort.Kind[due]{
		Compare: func(a, b due) int {
			return cmp.Or(cmp.Compare(a.time, b.time), verified.Compare(&a.record, &b.record))
		},
		Join: func(*due, due) {}, // no two are of one stored file
		Size: 8 + placeSize,
		Encode: func(b []byte, d *due) {
			binary.LittleEndian.PutUint64(b, uint64(d.time))
			d.encode(b[8:])
		},
		Decode: func(b []byte, d *due) {
			d.time = int64(binary.LittleEndian.Uint64(b))
			d.decode(b[8:])
		},
	}}
}

func (s *dueSorter) add(r *verified.Record, at *place) error {
	if s == nil {
		return nil
	}
	d := due{time: r.Time, place: *at}
	if seen, isDamaged := s.damaged[recordKey{r.Stored, r.Tag}]; isDamaged {
		d.time = max(d.time, seen)
	}
	s.sorter.Add(d)
	return nil
}

// reset forgets everything that was added.
func (s *dueSorter) reset() error {
	if s == nil {
		return nil
	}
	err := s.sorter.Close()
	s.sorter = s.empty()
	return err
}

func (s *dueSorter) close() error {
	if s == nil {
		return nil
	}
	return s.sorter.Close()
}

// catalogFailed is the error of reading a catalog.
func (k kind) catalogFailed(err error) error {
	if !errors.Is(err, index.ErrDamaged) {
		err = k.lookFailed("read", err)
	}
	return fmt.Errorf("catalog: %w", err)
}
