package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// Space describes the space that a directory's entries take: their stored inodes and nothing else. Space accounting
// reads it in place of records, which are ten times longer.
type Space struct {
	Inodes []SpaceInode
	Dirs   []SpaceDir
}

// SpaceInode is one name of a stored inode.
type SpaceInode struct {
	Stored uint64
	Blocks uint64 // of 512 bytes each
}

// SpaceDir is a child directory.
type SpaceDir struct {
	Name  uint32 // the first four bytes of the BLAKE3 hash of its name
	Sum   Sum    // equal for two directories only if the same inodes, with the same blocks, are below both
	Space uint64 // position of its own record
}

// fill sets h to describe entries.
func (h *Space) fill(entries iter.Seq2[int, *Entry]) {
	h.Inodes, h.Dirs = h.Inodes[:0], h.Dirs[:0]
	for _, e := range entries {
		switch {
		case e.Type == Dir:
			name := hashOf([]byte(e.Name))
			h.Dirs = append(h.Dirs, SpaceDir{binary.BigEndian.Uint32(name[:]), e.Inodes, e.Space})
		case e.Stored != 0:
			h.Inodes = append(h.Inodes, SpaceInode{e.Stored, e.Blocks})
		}
	}
}

// encode appends the body of a record of the space stream to b. The inodes come first, because the sum of the
// directory covers them and not the positions of its child directories.
func (h *Space) encode(b []byte) (body []byte, sum Sum) {
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

// Sizes of the smallest encoding of an inode and of a directory.
const (
	minSpaceInode = 1 + 1
	minSpaceDir   = 4 + 16 + 1
)

// decode reads the body of the record at position pos of the space stream.
func (h *Space) decode(body []byte, pos uint64) error {
	h.Inodes, h.Dirs = h.Inodes[:0], h.Dirs[:0]
	d := decoder{b: body}
	n := d.uvarint()
	if n > uint64(d.left()/minSpaceInode) {
		d.fail(errShort)
		n = 0
	}
	last := uint64(0)
	for range n {
		last += uint64(d.signed())
		h.Inodes = append(h.Inodes, SpaceInode{last, d.uvarint()})
		if last == 0 {
			d.fail(errZero)
		}
	}
	n = d.uvarint()
	if n > uint64(d.left()/minSpaceDir) {
		d.fail(errShort)
		n = 0
	}
	for range n {
		dir := SpaceDir{Name: d.uint32()}
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

// ReadSpace reads the space record at pos, an entry's Space, into h, whose slices are reused.
func (c *Catalog) ReadSpace(pos uint64, h *Space) error {
	body, _, err := c.spaceBody(pos)
	if err != nil {
		return err
	}
	if err := h.decode(body, pos); err != nil {
		return c.damagedAt(&c.tail.space, pos-1, err)
	}
	if c.tail.finalBlocks != nil {
		for i := range h.Inodes {
			if blocks, ok := c.tail.finalBlocks[h.Inodes[i].Stored]; ok {
				h.Inodes[i].Blocks = blocks
			}
		}
	}
	return nil
}

func (c *Catalog) spaceBody(pos uint64) (body []byte, end uint64, err error) {
	if pos == 0 || pos > c.tail.space.raw {
		return nil, 0, c.damaged(c.end, fmt.Errorf("no record of space at position %d: %w", pos, errRange))
	}
	return c.readSized(&c.tail.space, pos-1)
}

var errSpace = errors.New("contradicts the directory's record")

// checkSpace proves that the space stream agrees with a directory's record, and returns the length of its part of that
// stream.
func (c *Catalog) checkSpace(r *Record, pos uint64, sum Sum) (length uint64, err error) {
	body, end, err := c.spaceBody(pos)
	if err != nil {
		return 0, err
	}
	var h Space
	h.fill(r.written().Entries())
	want, wantSum := h.encode(nil)
	if string(body) != string(want) || sum != wantSum {
		return 0, c.damagedAt(&c.tail.space, pos-1, fmt.Errorf("directory %d: %w", r.id, errSpace))
	}
	return end - (pos - 1), nil
}
