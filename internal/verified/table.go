package verified

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"time"
)

// Table sums up the records, and says when the structure of each snapshot was last compared.
type Table struct {
	Updated    int64            // Unix time of the last change; 0: nothing is known
	Days       []Day            // in ascending order
	Structures map[string]int64 // Unix time, by the snapshot's name: its catalog, folders and metadata were compared
}

// Day sums up the stored files that were last read, or stored and never read back, on one day.
type Day struct {
	Number int64 // days since 1970-01-01 UTC
	Read   bool
	Files  uint64
	Bytes  uint64
	Oldest int64 // the earliest time among them
}

// DayOf returns the number of the day of a Unix time.
func DayOf(unix int64) int64 {
	const day = int64(24 * time.Hour / time.Second)
	n := unix / day
	if unix%day < 0 {
		n--
	}
	return n
}

type dayKey struct {
	number int64
	read   bool
}

// days collects the days of records.
type days map[dayKey]*Day

func (d days) add(r *Record) {
	key := dayKey{DayOf(r.Time), r.Read}
	day := d[key]
	if day == nil {
		day = &Day{Number: key.number, Read: key.read, Oldest: r.Time}
		d[key] = day
	}
	day.Files++
	day.Bytes += r.Size
	day.Oldest = min(day.Oldest, r.Time)
}

func (d days) list() (list []Day) {
	for _, day := range d {
		list = append(list, *day)
	}
	slices.SortFunc(list, compareDays)
	return list
}

func compareDays(a, b Day) int {
	switch {
	case a.Number != b.Number:
		return int(max(min(a.Number-b.Number, 1), -1))
	case a.Read == b.Read:
		return 0
	case b.Read:
		return -1
	}
	return 1
}

// Sum is a number of stored files and their bytes.
type Sum struct{ Files, Bytes uint64 }

func (s *Sum) add(d *Day) {
	s.Files += d.Files
	s.Bytes += d.Bytes
}

// Total sums up all records.
func (t *Table) Total() (s Sum) {
	for i := range t.Days {
		s.add(&t.Days[i])
	}
	return s
}

// NeverRead sums up the stored files that were never read back. oldest is the time at which the first of them was stored.
func (t *Table) NeverRead() (s Sum, oldest time.Time) {
	for i := range t.Days {
		d := &t.Days[i]
		if d.Read {
			continue
		}
		if s.Files == 0 {
			oldest = time.Unix(d.Oldest, 0)
		}
		s.add(d)
	}
	return s, oldest
}

// Oldest returns the time since which the longest-unverified content was not read: of its last check or of its storing.
// ok is false if there is no record.
func (t *Table) Oldest() (oldest time.Time, ok bool) {
	least := int64(math.MaxInt64)
	for i := range t.Days {
		least = min(least, t.Days[i].Oldest)
	}
	return time.Unix(least, 0), len(t.Days) > 0
}

// ReadSince sums up the stored files that were read on the day of a time or later.
func (t *Table) ReadSince(since time.Time) (s Sum) {
	for i := range t.Days {
		if d := &t.Days[i]; d.Read && d.Number >= DayOf(since.Unix()) {
			s.add(d)
		}
	}
	return s
}

func (t *Table) encode() []byte {
	b := binary.AppendVarint(nil, t.Updated)
	b = binary.AppendUvarint(b, uint64(len(t.Days)))
	for i := range t.Days {
		d := &t.Days[i]
		read := int64(0)
		if d.Read {
			read = 1
		}
		b = binary.AppendVarint(b, d.Number<<1|read)
		b = binary.AppendUvarint(b, d.Files)
		b = binary.AppendUvarint(b, d.Bytes)
		b = binary.AppendVarint(b, d.Oldest)
	}
	b = binary.AppendUvarint(b, uint64(len(t.Structures)))
	for _, name := range slices.Sorted(maps.Keys(t.Structures)) {
		b = append(binary.AppendUvarint(b, uint64(len(name))), name...)
		b = binary.AppendVarint(b, t.Structures[name])
	}
	return b
}

// decodeTable reads a table; ok is false if it is not one that encode has written.
func decodeTable(b []byte) (t *Table, ok bool) {
	d := decoder{b: b}
	t = &Table{Updated: d.signed(), Structures: make(map[string]int64)}
	count := d.unsigned()
	for range count {
		key := d.signed()
		day := Day{Number: key >> 1, Read: key&1 != 0, Files: d.unsigned(), Bytes: d.unsigned(), Oldest: d.signed()}
		if n := len(t.Days); d.bad || n > 0 && compareDays(t.Days[n-1], day) >= 0 {
			return nil, false
		}
		t.Days = append(t.Days, day)
	}
	count = d.unsigned()
	last := ""
	for i := range count {
		name := string(d.take(d.unsigned()))
		if d.bad || i > 0 && name <= last {
			return nil, false
		}
		t.Structures[name], last = d.signed(), name
	}
	return t, !d.bad && len(d.b) == 0
}

// decoder reads numbers from b; bad says that they ended early or were longer than necessary.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) unsigned() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n > 1 && d.b[n-1] == 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) signed() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 || n > 1 && d.b[n-1] == 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	part := d.b[:n]
	d.b = d.b[n:]
	return part
}

func (d *decoder) fail() { d.b, d.bad = nil, true }
