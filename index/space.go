package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// Held is what a catalog says about the space that a directory's entries take: the stored inodes, and nothing else of
// them. Counting reads that instead of records, which are ten times longer.
type Held struct {
	Inodes []HeldInode
	Dirs   []HeldDir
}

// HeldInode is one name of an inode in the archive.
type HeldInode struct {
	Stored uint64
	Blocks uint64 // of 512 bytes each
}

// HeldDir is a child directory.
type HeldDir struct {
	Name  uint32 // the first four bytes of the BLAKE3 hash of its name
	Sum   Sum    // equal for two directories only if what they hold is: the same inodes, with the same blocks
	Space uint64 // where its own Held is
}

// fill describes entries.
func (h *Held) fill(entries iter.Seq2[int, *Entry]) {
	h.Inodes, h.Dirs = h.Inodes[:0], h.Dirs[:0]
	for _, e := range entries {
		switch {
		case e.Type == Dir:
			name := hashOf([]byte(e.Name))
			h.Dirs = append(h.Dirs, HeldDir{binary.BigEndian.Uint32(name[:]), e.Inodes, e.Space})
		case e.Stored != 0:
			h.Inodes = append(h.Inodes, HeldInode{e.Stored, e.Blocks})
		}
	}
}

// encode appends the body of a record of the space stream to b. What it says of the inodes comes first: the sum of the
// directory covers it, and not where its children are recorded.
func (h *Held) encode(b []byte) (body []byte, sum Sum) {
	start := len(b)
	b = appendUvarint(b, uint64(len(h.Inodes)))
	last := uint64(0)
	for _, f := range h.Inodes {
		b = appendSigned(b, int64(f.Stored-last))
		b = appendUvarint(b, f.Blocks)
		last = f.Stored
	}
	b = appendUvarint(b, uint64(len(h.Dirs)))
	for i := range h.Dirs {
		b = binary.BigEndian.AppendUint32(b, h.Dirs[i].Name)
		b = append(b, h.Dirs[i].Sum[:]...)
	}
	sum = sumOf(b[start:])
	for i := range h.Dirs {
		b = appendUvarint(b, h.Dirs[i].Space)
	}
	return b, sum
}

// The least bytes that an inode and a directory take in a record.
const (
	minHeldInode = 1 + 1
	minHeldDir   = 4 + 16 + 1
)

// decode reads the body of the record at position pos.
func (h *Held) decode(body []byte, pos uint64) error {
	h.Inodes, h.Dirs = h.Inodes[:0], h.Dirs[:0]
	d := decoder{b: body}
	n := d.uvarint()
	if n > uint64(d.left()/minHeldInode) {
		d.fail(errShort)
		n = 0
	}
	last := uint64(0)
	for range n {
		last += uint64(d.signed())
		h.Inodes = append(h.Inodes, HeldInode{last, d.uvarint()})
		if last == 0 {
			d.fail(errZero)
		}
	}
	n = d.uvarint()
	if n > uint64(d.left()/minHeldDir) {
		d.fail(errShort)
		n = 0
	}
	for range n {
		dir := HeldDir{Name: d.uint32()}
		copy(dir.Sum[:], d.take(uint64(len(dir.Sum))))
		h.Dirs = append(h.Dirs, dir)
	}
	for i := range h.Dirs {
		h.Dirs[i].Space = d.uvarint()
		if d.err == nil && (h.Dirs[i].Space == 0 || h.Dirs[i].Space >= pos) {
			d.fail(fmt.Errorf("%w: directory %d comes after its parent", errOrder, i))
		}
	}
	return d.end()
}

// Held reads what a directory holds into h, whose slices are used again; pos is the Space of its entry.
func (c *Catalog) Held(pos uint64, h *Held) error {
	body, _, err := c.readHeld(pos)
	if err != nil {
		return err
	}
	if err := h.decode(body, pos); err != nil {
		return c.damagedAt(&c.tail.space, pos-1, err)
	}
	if c.tail.settled != nil {
		for i := range h.Inodes {
			if blocks, ok := c.tail.settled[h.Inodes[i].Stored]; ok {
				h.Inodes[i].Blocks = blocks
			}
		}
	}
	return nil
}

func (c *Catalog) readHeld(pos uint64) (body []byte, end uint64, err error) {
	if pos == 0 || pos > c.tail.space.raw {
		return nil, 0, c.damaged(c.end, fmt.Errorf("no record of space at position %d: %w", pos, errRange))
	}
	return c.readSized(&c.tail.space, pos-1)
}

var errSpace = errors.New("contradicts the directory's record")

// checkHeld makes sure that the space stream says of a directory what its record does, and returns how long that is.
func (c *Catalog) checkHeld(r *Record, pos uint64, sum Sum) (length uint64, err error) {
	body, end, err := c.readHeld(pos)
	if err != nil {
		return 0, err
	}
	var h Held
	h.fill(r.written().Entries())
	want, wantSum := h.encode(nil)
	if string(body) != string(want) || sum != wantSum {
		return 0, c.damagedAt(&c.tail.space, pos-1, fmt.Errorf("directory %d: %w", r.id, errSpace))
	}
	return end - (pos - 1), nil
}
