package index

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// Summary describes the snapshot of a catalog as a whole.
type Summary struct {
	Snapshot    string // name of the snapshot
	Start, End  Time   // of the run
	Source      string // absolute path of the source, bytes as they are
	Host        string
	Previous    string // name of the snapshot compared with, "" if none
	Anchor      uint64 // identity of the archive's .snapcopy folder; stored inode numbers depend on it
	Granularity uint64 // of the source's timestamps, in nanoseconds
	Incomplete  bool
	Counts      Counts
}

// Counts are the figures of a run. Bytes are of regular files.
type Counts struct {
	New         uint64 `json:"new"`
	Changed     uint64 `json:"changed"`
	Moved       uint64 `json:"moved"`
	Unchanged   uint64 `json:"unchanged"`
	Deleted     uint64 `json:"deleted"`
	Failed      uint64 `json:"failed"`
	Vanished    uint64 `json:"vanished"`
	Excluded    uint64 `json:"excluded"`
	Dirs        uint64 `json:"dirs"`
	Files       uint64 `json:"files"`
	Contents    uint64 `json:"contents"` // newly stored files, which the content-hash index has to learn
	BytesRead   uint64 `json:"bytes_read"`
	BytesStored uint64 `json:"bytes_stored"`
	BytesLinked uint64 `json:"bytes_linked"`
	BytesTotal  uint64 `json:"bytes_total"`

	BytesAllocated uint64 `json:"bytes_allocated"` // to new inodes of every kind, folders included

	Kept uint64 `json:"kept"` // could not be read, and carried along from the previous snapshot
}

// numbers is how many of the counts every summary has. The last one follows only if the snapshot has entries carried
// along.
const numbers = 16

// fields lists the counts in the order of the format.
func (c *Counts) fields() []*uint64 {
	return []*uint64{
		&c.New, &c.Changed, &c.Moved, &c.Unchanged, &c.Deleted, &c.Failed, &c.Vanished, &c.Excluded,
		&c.Dirs, &c.Files, &c.Contents, &c.BytesRead, &c.BytesStored, &c.BytesLinked, &c.BytesTotal,
		&c.BytesAllocated, &c.Kept,
	}
}

// tail is the content of a catalog's last block.
type tail struct {
	records, xattrs stream
	space           stream
	dirs            stream
	root            Entry
	devices         []uint64
	finalBlocks     map[uint64]uint64 // final numbers of blocks, by stored inode, where they differ from the record
	names           []string          // of the snapshots as of which entries are kept; an entry has its number
	summary         Summary
}

// stream is one of the four byte strings of a catalog, cut into blocks.
type stream struct {
	kind   byte
	raw    uint64 // length
	rows   uint64 // of the directory table
	blocks []blockRef
}

func (t *tail) encode() []byte {
	b := make([]byte, 0, 1<<10)
	b = t.records.encode(b)
	b = t.dirs.encode(b)
	b = t.xattrs.encode(b)
	b = t.space.encode(b)
	b = appendPublic(b, &t.root)
	b = appendPrivate(b, &t.root, new(nameTable))
	b = appendUvarint(b, uint64(len(t.devices)))
	for _, dev := range t.devices {
		b = appendUvarint(b, dev)
	}
	b = t.summary.encode(appendFinalBlocks(b, t.finalBlocks), t.hasKept())
	if t.hasKept() {
		b = appendNames(appendUvarint(b, t.summary.Counts.Kept), t.names)
	}
	return b
}

func appendFinalBlocks(b []byte, finalBlocks map[uint64]uint64) []byte {
	b = appendUvarint(b, uint64(len(finalBlocks)))
	last := uint64(0)
	for _, ino := range slices.Sorted(maps.Keys(finalBlocks)) {
		b = appendUvarint(appendUvarint(b, ino-last), finalBlocks[ino])
		last = ino
	}
	return b
}

func decodeFinalBlocks(d *decoder) map[uint64]uint64 {
	n := d.uvarint()
	if n > uint64(d.left()/2) {
		d.fail(errShort)
	}
	if d.err != nil || n == 0 {
		return nil
	}
	finalBlocks := make(map[uint64]uint64, n)
	last := uint64(0)
	for range n {
		step := d.uvarint()
		if step == 0 || step > math.MaxUint64-last {
			d.fail(errOrder)
		}
		last += step
		finalBlocks[last] = d.uvarint()
		if d.err != nil {
			return nil
		}
	}
	return finalBlocks
}

func (s *stream) encode(b []byte) []byte {
	b = appendUvarint(b, s.raw)
	if s.kind == dirBlock {
		b = appendUvarint(b, uint64(len(s.blocks)))
	}
	for i := range s.blocks {
		ref := &s.blocks[i]
		b = appendUvarint(b, uint64(ref.offset))
		b = appendUvarint(b, uint64(ref.size))
		if s.kind == dirBlock {
			b = appendUvarint(b, uint64(ref.raw))
			b = appendUvarint(b, uint64(ref.rows))
		}
	}
	return b
}

func (s *Summary) encode(b []byte, hasKept bool) []byte {
	b = appendString(b, s.Snapshot)
	b = appendTime(b, s.Start)
	b = appendTime(b, s.End)
	b = appendString(b, s.Source)
	b = appendString(b, s.Host)
	b = appendString(b, s.Previous)
	b = appendUvarint(b, s.Anchor)
	b = appendUvarint(b, s.Granularity)
	flags := byte(0)
	if s.Incomplete {
		flags |= isIncomplete
	}
	if hasKept {
		flags |= hasKeptEntries
	}
	b = append(b, flags)
	for _, v := range s.Counts.fields()[:numbers] {
		b = appendUvarint(b, *v)
	}
	return b
}

// decodeTail reads the tail of a catalog whose blocks fill the file from headerSize to end. The tail keeps b.
func decodeTail(b []byte, end int64) (*tail, error) {
	d := decoder{b: b}
	t := &tail{records: stream{kind: recordBlock}, dirs: stream{kind: dirBlock}, xattrs: stream{kind: xattrBlock},
		space: stream{kind: spaceBlock}}
	t.records.decode(&d)
	t.dirs.decode(&d)
	t.xattrs.decode(&d)
	t.space.decode(&d)
	if d.err == nil {
		if err := decodeEntry(&t.root, &d, &d, true); err != nil {
			return nil, err
		}
	}
	n := d.uvarint()
	if n > uint64(d.left()) {
		d.fail(errShort)
	}
	for range n {
		if d.err != nil {
			break
		}
		t.devices = append(t.devices, d.uvarint())
	}
	t.finalBlocks = decodeFinalBlocks(&d)
	if t.summary.decode(&d) {
		t.summary.Counts.Kept, t.names = d.uvarint(), decodeNames(&d)
		if !t.hasKept() {
			d.fail(errZero)
		}
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	if t.root.Child > t.records.raw || t.root.Space > t.space.raw || t.dirs.rows == 0 || t.dirs.rows > math.MaxUint32 {
		return nil, errRange
	}
	return t, t.checkTiling(end)
}

// decode reads the list of blocks. All blocks of the record, xattr and space streams but the last are full; a block of
// the directory table has whole rows.
func (s *stream) decode(d *decoder) {
	s.raw = d.uvarint()
	count := s.raw/blockSize + min(s.raw%blockSize, 1)
	if s.kind == dirBlock {
		count = d.uvarint()
	}
	if count > uint64(d.left()/2) {
		d.fail(errShort)
		return
	}
	s.blocks = make([]blockRef, 0, count)
	left := s.raw
	for range count {
		ref := blockRef{first: DirID(s.rows)}
		offset := d.uvarint()
		ref.size = d.uvarint32()
		ref.raw = uint32(min(left, blockSize))
		if s.kind == dirBlock {
			ref.raw = d.uvarint32()
			ref.rows = d.uvarint32()
			if ref.rows == 0 || uint64(ref.rows) > uint64(ref.raw/2) {
				d.fail(errRange)
			}
		}
		if offset > math.MaxInt64 || ref.size < blockHeader || ref.size > blockHeader+maxPacked ||
			ref.raw == 0 || ref.raw > blockSize || uint64(ref.raw) > left {
			d.fail(errRange)
		}
		if d.err != nil {
			return
		}
		ref.offset = int64(offset)
		left -= uint64(ref.raw)
		s.rows += uint64(ref.rows)
		s.blocks = append(s.blocks, ref)
	}
	if left != 0 {
		d.fail(errMismatch)
	}
}

// decode reads a summary, and reports whether the number and the names for entries carried along follow.
func (s *Summary) decode(d *decoder) (hasKept bool) {
	s.Snapshot = d.string()
	s.Start = d.time()
	s.End = d.time()
	s.Source = d.string()
	s.Host = d.string()
	s.Previous = d.string()
	s.Anchor = d.uvarint()
	s.Granularity = d.uvarint()
	flags := byte(0)
	if b := d.take(1); b != nil {
		flags = b[0]
	}
	if flags&^(isIncomplete|hasKeptEntries) != 0 {
		d.fail(errType)
	}
	s.Incomplete = flags&isIncomplete != 0
	for _, v := range s.Counts.fields()[:numbers] {
		*v = d.uvarint()
	}
	return flags&hasKeptEntries != 0 && d.err == nil
}

// checkTiling proves that the blocks lie next to one another, without gap or overlap, from the header to end.
func (t *tail) checkTiling(end int64) error {
	all := slices.Concat(t.records.blocks, t.dirs.blocks, t.xattrs.blocks, t.space.blocks)
	slices.SortFunc(all, func(a, b blockRef) int { return cmp.Compare(a.offset, b.offset) })
	at := int64(headerSize)
	for _, ref := range all {
		if ref.offset != at {
			return errMismatch
		}
		at += int64(ref.size)
	}
	if at != end {
		return errMismatch
	}
	return nil
}
