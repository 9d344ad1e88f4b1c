package index

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// encodeAny encodes a record without any of the Writer's checks, and returns its body.
func encodeAny(id DirID, entries ...Entry) []byte {
	rec, _ := new(scratch).encode(id, entries, new(Entry), new(nameTable))
	d := decoder{b: rec}
	return d.take(d.uvarint())
}

// A decoder refuses what the format calls invalid, and names the reason.
func TestRecordDecoderRefuses(t *testing.T) {
	file := func(change func(*Entry)) Entry {
		e := Entry{Name: "b", Type: File, Nlink: 1}
		change(&e)
		return e
	}
	plain := file(func(*Entry) {})
	good := encodeAny(0, plain)
	if _, err := decodeRecord(good, 1, new(tail)); err != nil {
		t.Fatal(err)
	}
	edit := func(old, replace string) []byte {
		b := strings.Replace(string(good), old, replace, 1)
		if b == string(good) {
			t.Fatalf("%q is not in %q", old, good)
		}
		return []byte(b)
	}
	for name, c := range map[string]struct {
		body []byte
		want error
	}{
		"empty":            {nil, errShort},
		"trailing":         {append(good[:len(good):len(good)], 0), errTrailing},
		"cut":              {good[:len(good)-1], errShort},
		"long varint":      {append([]byte{0x80, 0}, good[1:]...), errVarint},
		"huge varint":      {append([]byte(strings.Repeat("\xff", 10)), good[1:]...), errRange},
		"big number":       {append([]byte(strings.Repeat("\xff", 5)+"\x01"), good[1:]...), errRange},
		"count too large":  {edit("\x00\x01\x01", "\x00\x05\x01"), errShort},
		"count too small":  {edit("\x00\x01\x01", "\x00\x00\x01"), errMismatch},
		"wrong totals":     {edit("\x00\x01\x01", "\x00\x01\x02"), errMismatch},
		"name with slash":  {edit("b", "/"), errName},
		"name with NUL":    {edit("b", "\x00"), errName},
		"name dot":         {edit("b", "."), errName},
		"name dot dot":     {encodeAny(0, file(func(e *Entry) { e.Name = ".." })), errName},
		"no name":          {encodeAny(0, file(func(e *Entry) { e.Name = "" }), plain), errName},
		"type 0":           {encodeAny(0, file(func(e *Entry) { e.Type = 0 })), errType},
		"attribute":        {encodeAny(0, file(func(e *Entry) { e.Attrs = 0x80000 })), errType},
		"reserved flag":    {encodeAny(0, file(func(e *Entry) { e.Flags = allFlags + 1 })), errType},
		"mtime":            {encodeAny(0, file(func(e *Entry) { e.Mtime.Nsec = 1e9 })), errRange},
		"ctime":            {encodeAny(0, file(func(e *Entry) { e.Ctime.Nsec = 1e9 })), errRange},
		"order":            {encodeAny(0, plain, file(func(e *Entry) { e.Name = "a" })), errOrder},
		"same name":        {encodeAny(0, plain, plain), errOrder},
		"zero xattr hash":  {encodeAny(0, file(func(e *Entry) { e.Xattrs = 1 })), errBothXattrs},
		"no child":         {encodeAny(0, file(func(e *Entry) { e.Type = Dir })), errZero},
		"child after self": {encodeAny(0, file(func(e *Entry) { e.Type, e.Child, e.Space = Dir, 9, 1 })), errOrder},
		"kept as of none":  {encodeAny(0, file(func(e *Entry) { e.Flags = Kept })), errRange},
		"kept, number":     {encodeAny(0, file(func(e *Entry) { e.Flags, e.AsOf = Kept, "2026-11-19T020000Z" })), errRange},
		"no space":         {encodeAny(0, file(func(e *Entry) { e.Type, e.Child = Dir, 1 })), errZero},
	} {
		if _, err := decodeRecord(c.body, 9, new(tail)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestXattrDecoderRefuses(t *testing.T) {
	for b, want := range map[string]error{
		"":                         errShort,
		"\x00":                     errZero,
		"\x01\x01a\x00\x00":        errTrailing,
		"\x01\x01a\x02x":           errShort,
		"\x02\x01b\x00\x01a\x00":   errOrder,
		"\x02\x01a\x00\x01a\x00":   errOrder,
		"\x01\x00\x00":             errName,
		"\x01\x01\x00\x00":         errName,
		"\x81\x00\x01a\x00":        errVarint,
		"\xff\xff\x03\x01a\x01x":   errShort,
		"\x01\xff\xff\xff\x0fabcd": errShort,
	} {
		if _, err := decodeXattrs([]byte(b)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", b, err, want)
		}
	}
}

func TestTailDecoderRefuses(t *testing.T) {
	encode := func(change func(*tail)) []byte {
		tl := tail{
			records: stream{kind: recordBlock, raw: 9, blocks: []blockRef{{offset: headerSize, size: 30, raw: 9}}},
			dirs: stream{kind: dirBlock, raw: 2, rows: 1,
				blocks: []blockRef{{offset: headerSize + 30, size: 40, raw: 2, rows: 1}}},
			xattrs:      stream{kind: xattrBlock},
			space:       stream{kind: spaceBlock, raw: 2, blocks: []blockRef{{offset: headerSize + 70, size: 30, raw: 2}}},
			root:        Entry{Type: Dir, Child: 1, Space: 1},
			finalBlocks: map[uint64]uint64{5: 8, 900: 1 << 33},
		}
		change(&tl)
		return tl.encode()
	}
	const end = headerSize + 100
	good := encode(func(*tail) {})
	if _, err := decodeTail(good, end); err != nil {
		t.Fatal(err)
	}
	incomplete := len(good) - numbers - 1
	flagged := append([]byte(nil), good...)
	flagged[incomplete] = 4
	kept := func(names ...string) []byte {
		return encode(func(t *tail) { t.names, t.summary.Counts.Kept = names, 1 })
	}
	none := append(good[:len(good):len(good)], 0, 0)
	none[incomplete] = 2
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"trailing":        {append(good[:len(good):len(good)], 0), errTrailing},
		"cut":             {good[:len(good)-1], errShort},
		"nothing kept":    {none, errZero},
		"kept as of /":    {kept("/"), errName},
		"kept as of both": {kept("a", "a"), errTwice},
		"root kept":       {encode(func(t *tail) { t.root.Flags = Kept }), errRange},
		"incomplete":      {flagged, errType},
		"start":           {encode(func(t *tail) { t.summary.Start.Nsec = 1e9 }), errRange},
		"gap":             {encode(func(t *tail) { t.dirs.blocks[0].offset++ }), errMismatch},
		"overlap":         {encode(func(t *tail) { t.records.blocks[0].size++ }), errMismatch},
		"end":             {encode(func(t *tail) { t.dirs.blocks[0].size++ }), errMismatch},
		"small block":     {encode(func(t *tail) { t.dirs.blocks[0].size = 3 }), errRange},
		"large block":     {encode(func(t *tail) { t.dirs.blocks[0].size = 1 << 20 }), errRange},
		"no rows":         {encode(func(t *tail) { t.dirs = stream{kind: dirBlock} }), errRange},
		"too many rows":   {encode(func(t *tail) { t.dirs.blocks[0].rows = 2 }), errRange},
		"many blocks":     {encode(func(t *tail) { t.records.raw = 1 << 60 }), errShort},
		"short stream":    {encode(func(t *tail) { t.dirs.raw++ }), errMismatch},
		"root's position": {encode(func(t *tail) { t.root.Child = 10 }), errRange},
		"root's space":    {encode(func(t *tail) { t.root.Space = 3 }), errRange},
		"space's end":     {encode(func(t *tail) { t.space.blocks[0].size++ }), errMismatch},
		"root's type":     {encode(func(t *tail) { t.root.Type = File }), errType},
		"root's name":     {encode(func(t *tail) { t.root.Name = "a" }), errName},
	} {
		if _, err := decodeTail(c.b, end); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestRowDecoderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		b    string
		ref  blockRef
		want error
	}{
		"root's name":   {"\x00\x01a", blockRef{rows: 1}, errName},
		"root's parent": {"\x01\x00", blockRef{rows: 1}, errName},
		"second root":   {"\x00\x00\x00\x00", blockRef{rows: 2}, errName},
		"own parent":    {"\x05\x01a", blockRef{rows: 1, first: 5}, errNoDir},
		"trailing":      {"\x00\x00\x00", blockRef{rows: 1}, errTrailing},
		"too few":       {"\x00\x00", blockRef{rows: 2}, errShort},
	} {
		if _, err := decodeRows([]byte(c.b), &c.ref); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Check finds what is wrong in a catalog in which every checksum is right.
func TestCheckFindsForgery(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	set, err := appendXattrs(nil, []Xattr{{Name: "user.a", Value: []byte("1")}})
	if err != nil {
		t.Fatal(err)
	}
	xattrs := append(appendUvarint(nil, uint64(len(set))), set...)

	type parts struct {
		rows   string
		count  uint64
		id     DirID // of the directory
		orphan bool
		dirs   []Entry // that refer to the child's record
		root   Entry
		xattrs []byte
		space  []byte // after the records of the space stream
		flip   int    // byte of them, from 1
	}
	// The sound form of all: a root with one directory "d", which holds one file.
	write := func(change func(*parts)) error {
		inner := Entry{Name: "f", Type: File, Size: 3, Stored: 9, Blocks: 8, XattrHash: hashOf(set), Xattrs: 1}
		child := Entry{Name: "d", Type: Dir, Child: 1, Space: 1}
		new(scratch).encode(1, []Entry{inner}, &child, new(nameTable))
		p := parts{
			rows: "\x00\x00" + "\x00\x01d", count: 2, id: 1, xattrs: xattrs,
			dirs: []Entry{child},
			root: Entry{Type: Dir},
		}
		change(&p)
		var root Entry // as it ought to be
		childRec, childSpace := new(scratch).encode(p.id, []Entry{inner}, new(Entry), new(nameTable))
		rootRec, rootSpace := new(scratch).encode(0, p.dirs, &root, new(nameTable))
		p.root.Hash[0] ^= root.Hash[0]
		copy(p.root.Hash[1:], root.Hash[1:])
		p.root.Inodes[0] ^= root.Inodes[0]
		copy(p.root.Inodes[1:], root.Inodes[1:])
		p.root.Below.Files += root.Below.Files
		p.root.Below.Dirs += root.Below.Dirs
		p.root.Below.Bytes += root.Below.Bytes
		p.root.Below.Structure += root.Below.Structure
		p.root.Child += uint64(len(childRec)) + 1
		p.root.Space += uint64(len(childSpace)) + 1

		w := forge(t, path)
		records := append(append([]byte(nil), childRec...), rootRec...)
		if p.orphan {
			orphan, _ := new(scratch).encode(1, nil, new(Entry), new(nameTable))
			records = append(records, orphan...)
		}
		w.records.raw, w.dirs.raw, w.xattrs.raw = uint64(len(records)), uint64(len(p.rows)), uint64(len(p.xattrs))
		w.dirs.rows = p.count
		w.cut(&w.records.stream, records)
		space := append(append(append([]byte(nil), childSpace...), rootSpace...), p.space...)
		if p.flip > 0 {
			space[p.flip-1] ^= 1
		}
		w.space.raw = uint64(len(space))
		w.cut(&w.space.stream, space)
		w.cut(&w.dirs.stream, []byte(p.rows))
		w.cut(&w.xattrs.stream, p.xattrs)
		for i := range w.dirs.blocks {
			w.dirs.blocks[i].rows = uint32(p.count)
		}
		w.finish(p.root)
		c, err := Open(path)
		if err != nil {
			return err
		}
		return errors.Join(c.Check(context.Background()), c.Close())
	}

	if err := write(func(*parts) {}); err != nil {
		t.Fatalf("the sound catalog: %v", err)
	}
	for name, change := range map[string]func(*parts){
		"root's hash":       func(p *parts) { p.root.Hash[0] = 1 },
		"root's totals":     func(p *parts) { p.root.Below.Bytes = 1 },
		"root's position":   func(p *parts) { p.root.Child++ },
		"hash":              func(p *parts) { p.dirs[0].Hash[5] ^= 1 },
		"totals":            func(p *parts) { p.dirs[0].Below.Files++ },
		"root's structure":  func(p *parts) { p.root.Below.Structure = 1 },
		"root's inodes":     func(p *parts) { p.root.Inodes[0] = 1 },
		"space after root":  func(p *parts) { p.space = []byte{1, 0} },
		"space":             func(p *parts) { p.flip = 2 },
		"root's space":      func(p *parts) { p.root.Space-- },
		"position of space": func(p *parts) { p.dirs[0].Space = 2 },
		"inodes":            func(p *parts) { p.dirs[0].Inodes[5] ^= 1 },
		"position":          func(p *parts) { p.dirs[0].Child++ },
		"name in table":     func(p *parts) { p.rows = "\x00\x00" + "\x00\x01e" },
		"parent in table":   func(p *parts) { p.rows, p.count, p.id = "\x00\x00"+"\x00\x01x"+"\x01\x01d", 3, 2 },
		"too few rows":      func(p *parts) { p.rows, p.count = "\x00\x00", 1 },
		"unreached record":  func(p *parts) { p.dirs = nil },
		"record after root": func(p *parts) { p.orphan = true },
		"reached twice":     func(p *parts) { e := p.dirs[0]; e.Name = "e"; p.dirs = append(p.dirs, e) },
		"no xattrs":         func(p *parts) { p.xattrs = nil },
		"other xattrs":      func(p *parts) { p.xattrs = []byte("\x04\x01\x01a\x00") },
		"broken xattrs":     func(p *parts) { p.xattrs = append(xattrs[:len(xattrs):len(xattrs)], 1, 0) },
	} {
		if err := write(change); !errors.Is(err, ErrDamaged) {
			t.Errorf("wrong %s: %v", name, err)
		}
	}
}

// Check finds an index whose pages are sound one by one, but not together.
func TestCheckFindsForgedIndex(t *testing.T) {
	write := func(change func(recs []record, keys, filter []byte, head *indexHeader)) error {
		head := indexHeader{snapshots: []string{"s"}, records: 100, large: 100}
		filter := newBloom(100)
		head.bloomBits = uint64(len(filter)) * 8
		recs := make([]record, 100)
		for i := range recs {
			recs[i][0], recs[i][sizeKeyAt] = byte(i), 1
			filter.add(recs[i].sizeKey())
		}
		keys := append(append([]byte(nil), recs[0][:8]...), recs[pageRecords][:8]...)
		change(recs, keys, filter, &head)

		pages := head.encode()
		n := uint64(head.pages)
		add := func(payload []byte) {
			for len(payload) > 0 {
				page := make([]byte, pageSize)
				payload = payload[copy(page[:pagePayload], payload):]
				sealPage(n, page)
				pages = append(pages, page...)
				n++
			}
		}
		var flat []byte
		for _, r := range recs {
			flat = append(flat, r[:]...)
		}
		add(flat)
		add(keys)
		add(filter)
		path := filepath.Join(t.TempDir(), "x")
		writeFile(t, path, pages)
		x, err := OpenIndex(path)
		if err != nil {
			return err
		}
		return errors.Join(x.Check(context.Background()), x.Close())
	}
	if err := write(func([]record, []byte, []byte, *indexHeader) {}); err != nil {
		t.Fatalf("the sound index: %v", err)
	}
	for name, change := range map[string]func(recs []record, keys, filter []byte, head *indexHeader){
		"order":        func(r []record, _, _ []byte, _ *indexHeader) { r[3], r[4] = r[4], r[3] },
		"same twice":   func(r []record, _, _ []byte, _ *indexHeader) { copy(r[4][:identity], r[3][:identity]) },
		"snapshot":     func(r []record, _, _ []byte, _ *indexHeader) { r[7].setSnapshot(1) },
		"key":          func(_ []record, k, _ []byte, _ *indexHeader) { k[15]++ },
		"key order":    func(_ []record, k, _ []byte, _ *indexHeader) { k[0] = 255 },
		"filter":       func(_ []record, _, f []byte, _ *indexHeader) { f[7] ^= 1 },
		"large":        func(_ []record, _, _ []byte, h *indexHeader) { h.large = 99 },
		"size key":     func(r []record, _, _ []byte, _ *indexHeader) { r[9][sizeKeyAt] = 0 },
		"count":        func(_ []record, _, _ []byte, h *indexHeader) { h.records = 99; h.large = 99 },
		"more records": func(_ []record, _, _ []byte, h *indexHeader) { h.records = 1000 },
		"filter bits":  func(_ []record, _, _ []byte, h *indexHeader) { h.bloomBits++ },
		"no snapshots": func(_ []record, _, _ []byte, h *indexHeader) { h.snapshots = nil },
		"bad name":     func(_ []record, _, _ []byte, h *indexHeader) { h.snapshots = []string{"a/b"} },
	} {
		if err := write(change); !errors.Is(err, ErrDamaged) {
			t.Errorf("wrong %s: %v", name, err)
		}
	}
}
