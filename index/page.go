package index

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/zeebo/blake3"
)

// The content-hash index is a sequence of pages: header, records, keys, Bloom filter.
const (
	indexMagic   = "\x89snapidx"
	indexVersion = 1

	pageSize     = 4096
	pagePayload  = pageSize - checksumSize
	recordSize   = 48
	pageRecords  = pagePayload / recordSize
	keySize      = 8
	pageKeys     = pagePayload / keySize
	headerFields = 8 + 2 + 2 + 4 + 8 + 8 + 8 + 4
)

// record is one stored file in the index, as encoded in the file: records sort as byte strings.
type record [recordSize]byte

// Offsets and sizes of the fields of a record.
const (
	hashSize   = 20 // of the content hash, its first bytes
	metaAt     = hashSize
	storedAt   = metaAt + 4
	identity   = storedAt + 8 // hash, meta and stored file: no two records share them
	snapshotAt = identity
	dirAt      = snapshotAt + 4
	entryAt    = dirAt + 4
	sizeKeyAt  = entryAt + 4
)

func makeRecord(e *Entry, snapshot uint32, dir DirID, pos uint32) (r record) {
	copy(r[:], e.Hash[:hashSize])
	meta := MetaFingerprint(e)
	binary.BigEndian.PutUint32(r[metaAt:], meta)
	binary.BigEndian.PutUint64(r[storedAt:], e.Stored)
	binary.BigEndian.PutUint32(r[snapshotAt:], snapshot)
	binary.BigEndian.PutUint32(r[dirAt:], uint32(dir))
	binary.BigEndian.PutUint32(r[entryAt:], pos)
	binary.BigEndian.PutUint32(r[sizeKeyAt:], sizeKey(e.Size, meta))
	return r
}

func (r *record) meta() uint32      { return binary.BigEndian.Uint32(r[metaAt:]) }
func (r *record) stored() uint64    { return binary.BigEndian.Uint64(r[storedAt:]) }
func (r *record) snapshot() uint32  { return binary.BigEndian.Uint32(r[snapshotAt:]) }
func (r *record) dir() DirID        { return DirID(binary.BigEndian.Uint32(r[dirAt:])) }
func (r *record) entry() uint32     { return binary.BigEndian.Uint32(r[entryAt:]) }
func (r *record) sizeKey() uint32   { return binary.BigEndian.Uint32(r[sizeKeyAt:]) }
func (r *record) key() uint64       { return binary.BigEndian.Uint64(r[:]) }
func (r *record) identity() []byte  { return r[:identity] }
func (r *record) setSnapshot(n int) { binary.BigEndian.PutUint32(r[snapshotAt:], uint32(n)) }

// MetaFingerprint is 32 bits of the metadata that two names must share to share an inode: mode, owner, mtime and
// extended attributes.
func MetaFingerprint(e *Entry) uint32 {
	b := make([]byte, 0, 64)
	b = binary.BigEndian.AppendUint32(b, e.Mode)
	b = binary.BigEndian.AppendUint32(b, e.UID)
	b = binary.BigEndian.AppendUint32(b, e.GID)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Mtime.Sec))
	b = binary.BigEndian.AppendUint32(b, e.Mtime.Nsec)
	b = append(b, e.XattrHash[:]...)
	return fingerprint(b)
}

func fingerprint(b []byte) uint32 {
	h := hashOf(b)
	return binary.BigEndian.Uint32(h[:])
}

// pageSum is the checksum of page number n. It covers the number, so that a page in the wrong place is found.
func pageSum(n uint64, payload []byte) (sum [checksumSize]byte) {
	var head [8]byte
	binary.BigEndian.PutUint64(head[:], n)
	h := blake3.New()
	h.Write(head[:])
	h.Write(payload)
	var full Hash
	h.Sum(full[:0])
	copy(sum[:], full[:])
	return sum
}

// sealPage writes the checksum of page number n into the page.
func sealPage(n uint64, page []byte) {
	sum := pageSum(n, page[:pagePayload])
	copy(page[pagePayload:], sum[:])
}

func checkPage(n uint64, page []byte) error {
	if pageSum(n, page[:pagePayload]) != [checksumSize]byte(page[pagePayload:]) {
		return errChecksum
	}
	return nil
}

// indexHeader is the content of the header pages.
type indexHeader struct {
	pages     uint32 // of the header itself
	records   uint64
	large     uint64 // records in the Bloom filter
	bloomBits uint64 // a multiple of 64
	snapshots []string
}

func (h *indexHeader) recordPages() uint64 { return pagesFor(h.records, pageRecords) }
func (h *indexHeader) keyPages() uint64    { return pagesFor(h.recordPages(), pageKeys) }
func (h *indexHeader) bloomPages() uint64  { return pagesFor(h.bloomBits/8, pagePayload) }
func (h *indexHeader) keysAt() uint64      { return uint64(h.pages) + h.recordPages() }
func (h *indexHeader) bloomAt() uint64     { return h.keysAt() + h.keyPages() }
func (h *indexHeader) allPages() uint64    { return h.bloomAt() + h.bloomPages() }

func pagesFor(n, perPage uint64) uint64 {
	return n/perPage + min(n%perPage, 1)
}

// encode returns the header's pages. Their number depends only on the snapshots, so that the header can be written
// last although it comes first.
func (h *indexHeader) encode() []byte {
	b := make([]byte, headerFields)
	copy(b, indexMagic)
	binary.BigEndian.PutUint16(b[8:], indexVersion)
	for _, name := range h.snapshots {
		b = appendString(b, name)
	}
	h.pages = uint32(pagesFor(uint64(len(b)), pagePayload))
	binary.BigEndian.PutUint32(b[12:], h.pages)
	binary.BigEndian.PutUint64(b[16:], h.records)
	binary.BigEndian.PutUint64(b[24:], h.large)
	binary.BigEndian.PutUint64(b[32:], h.bloomBits)
	binary.BigEndian.PutUint32(b[40:], uint32(len(h.snapshots)))

	pages := make([]byte, 0, h.pages*pageSize)
	for n := range uint64(h.pages) {
		page := make([]byte, pageSize)
		b = b[copy(page[:pagePayload], b):]
		sealPage(n, page)
		pages = append(pages, page...)
	}
	return pages
}

// decodeFields reads the fixed fields at the beginning of the first page.
func (h *indexHeader) decodeFields(b []byte) error {
	d := decoder{b: b[:headerFields], off: 10}
	reserved := d.uint16()
	h.pages = d.uint32()
	h.records = d.uint64()
	h.large = d.uint64()
	h.bloomBits = d.uint64()
	snapshots := d.uint32()
	const most = math.MaxUint32 * pageRecords
	if reserved != 0 || h.pages == 0 || h.records > most || h.large > h.records || h.bloomBits > most ||
		h.bloomBits%64 != 0 || uint64(snapshots) > uint64(h.pages)*pagePayload ||
		(h.large > 0) && h.bloomBits == 0 || (h.records > 0) && snapshots == 0 {
		return errRange
	}
	return nil
}

// decodeNames reads the table of snapshots from the payloads of all header pages.
func (h *indexHeader) decodeNames(payload []byte) error {
	count := binary.BigEndian.Uint32(payload[40:])
	d := decoder{b: payload, off: headerFields}
	for range count {
		name := string([]byte(d.string()))
		if d.err != nil {
			return d.err
		}
		if !validName(name) {
			return errName
		}
		h.snapshots = append(h.snapshots, name)
	}
	if pagesFor(uint64(d.off), pagePayload) != uint64(h.pages) || !allZero(payload[d.off:]) {
		return errTrailing
	}
	return nil
}

// pageSlot returns record i of a page.
func pageSlot(page []byte, i int) *record {
	return (*record)(page[i*recordSize:])
}

func compareIdentity(a, b *record) int { return bytes.Compare(a.identity(), b.identity()) }
