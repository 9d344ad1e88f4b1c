package index

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The bytes that a directory's hash covers, written down by hand after docs/format.md.
func TestGoldenRecord(t *testing.T) {
	entries := []Entry{
		{Name: "dev", Type: CharDevice, Mode: 0o620, GID: 5, Nlink: 1, Major: 136, Minor: 3, Ino: 9},
		{Name: "dir", Type: Dir, Mode: 0o1777, Mtime: Time{Sec: -1, Nsec: 999_999_999}, Hash: Hash{1}, Child: 300,
			Ctime: Time{Nsec: 1}, Stored: 8, Blocks: 16, Below: Totals{1, 2, 3, 24}, Inodes: Sum{0xab},
			Space: 301},
		{Name: "file", Type: File, Mode: 0o644, UID: 1000, GID: 1000, Mtime: Time{Sec: 1, Nsec: 2}, Attrs: 0x50, Size: 300, Nlink: 2,
			Hash: Hash{2}, XattrHash: Hash{3}, Dev: 1, Ino: 4, Ctime: Time{Sec: 3, Nsec: 4}, Stored: 5, Blocks: 200, Flags: Racy,
			Xattrs: 6},
		{Name: "link", Type: Symlink, Mode: 0o777, Nlink: 1, Target: "dir", Size: 3},
	}
	zeros := strings.Repeat("00", 31)
	public := "03646576" + "6190" + "00" + "05" + "00" + "00000000" + "00" + "01" + "8801" + "03" +
		"03646972" + "23ff" + "00" + "00" + "01" + "3b9ac9ff" + "00" + "01" + zeros +
		"0466696c65" + "91a4" + "e807" + "e807" + "02" + "00000002" + "50" + "02" + "ac02" + "02" + zeros + "03" + zeros +
		"046c696e6b" + "31ff" + "00" + "00" + "00" + "00000000" + "00" + "01" + "03646972"
	sum := "ab" + zeros[:30]
	private := "00" + "09" + "00" + "00000000" + "00" + "00" + "00" +
		"00" + "00" + "02" + "00000001" + "08" + "10" + "00" + "ac02" + "01" + "02" + "03" + "18" + sum + "ad02" +
		"01" + "04" + "04" + "00000004" + "05" + "c801" + "01" + "06" +
		"00" + "00" + "00" + "00000000" + "00" + "00" + "00"
	header := "07" + "04" + "04" + "03" + "af02" + "28" + fmt.Sprintf("%02x01", 0x80|len(public)/2&0x7f)
	length := (len(header) + len(public) + len(private)) / 2
	want := fmt.Sprintf("%02x%02x", 0x80|length&0x7f, length>>7) + header + public + private

	var self Entry
	rec, space := new(scratch).encode(7, entries, &self, new(nameTable))
	if got := hex.EncodeToString(rec); got != want {
		t.Errorf("record\n got %s\nwant %s", got, want)
	}
	covered, err := hex.DecodeString(public)
	if err != nil {
		t.Fatal(err)
	}
	if self.Hash != hashOf(covered) {
		t.Error("the hash is not that of the public section")
	}
	if want := (Totals{Files: 4, Dirs: 3, Bytes: 303, Structure: 40}); self.Below != want {
		t.Errorf("totals %+v, want %+v", self.Below, want)
	}
	name := hashOf([]byte("dir"))
	inodes := "01" + "0a" + "c801" + "01" + hex.EncodeToString(name[:4]) + sum
	if got, want := hex.EncodeToString(space), "1b"+inodes+"ad02"; got != want {
		t.Errorf("space\n got %s\nwant %s", got, want)
	}
	if covered, err = hex.DecodeString(inodes); err != nil || self.Inodes != sumOf(covered) {
		t.Errorf("the sum is not that of the inodes: %v", err)
	}
}

func TestGoldenXattrs(t *testing.T) {
	got, err := appendXattrs(nil, []Xattr{{Name: "user.b", Value: []byte{0, 255}}, {Name: "user.a"}})
	if want := "02" + "06757365722e61" + "00" + "06757365722e62" + "02" + "00ff"; hex.EncodeToString(got) != want ||
		err != nil {
		t.Errorf("got %x %v, want %s", got, err, want)
	}
}

// testdata holds catalogs written by the first release: every later one has to read them.
func TestGoldenCatalog(t *testing.T) {
	for name, c := range map[string]struct {
		root    *node
		summary Summary
		asOf    []string
	}{
		"v1.cat":   {goldenTree(), goldenSummary, nil},
		"kept.cat": {keptTree(), keptSummary(), []string{"2026-11-19T020000Z", "2026-11-20T020000Z"}},
	} {
		t.Run(name, func(t *testing.T) { goldenCatalog(t, name, c.root, c.summary, c.asOf) })
	}
}

func goldenCatalog(t *testing.T, name string, root *node, goldenSummary Summary, asOf []string) {
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		writeTree(t, path, root, []uint64{2049, 66306}, goldenSummary, 1)
	} else {
		// Fills in what the writer finds out.
		writeTree(t, filepath.Join(t.TempDir(), "c"), root, []uint64{2049, 66306}, goldenSummary, 1)
	}
	c := openCatalog(t, path)
	if err := c.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	if c.Root() != root.entry || c.Summary() != goldenSummary || !slices.Equal(c.Devices(), []uint64{2049, 66306}) {
		t.Errorf("root %+v\nsummary %+v\ndevices %v", c.Root(), c.Summary(), c.Devices())
	}
	equalTree(t, c, root)
	if !slices.Equal(c.AsOf(), asOf) {
		t.Errorf("kept as of %q, want %q", c.AsOf(), asOf)
	}
	const want = "94c153bfecaf2fea2b2a6175e390af7233207cd2460fecba81f4a79c8a3e066e"
	if got := fmt.Sprintf("%x", c.Root().Hash); got != want {
		t.Errorf("root hash %s, want %s", got, want)
	}
}

var goldenSummary = Summary{
	Snapshot: "2026-11-23T020000Z", Start: Time{Sec: 1795399200, Nsec: 5}, End: Time{Sec: 1795399260, Nsec: 6}, Source: "/home/\xff",
	Host: "box", Previous: "2026-11-22T020000Z", Anchor: 12, Granularity: 1, Incomplete: true,
	Counts: Counts{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0},
}

func keptSummary() Summary {
	s := goldenSummary
	s.Counts.Kept = 17
	return s
}

// keptTree is goldenTree with entries carried along, as of two snapshots. That is no difference for the root's hash.
func keptTree() *node {
	root := goldenTree()
	keep := func(e *Entry, asOf string) { e.Flags, e.AsOf = e.Flags|Kept, asOf }
	keep(&root.children[0].entry, "2026-11-20T020000Z")
	keep(&root.children[1].entry, "2026-11-20T020000Z")
	for _, n := range root.children[1].children {
		keep(&n.entry, "2026-11-19T020000Z")
	}
	keep(&root.children[2].entry, "2026-11-20T020000Z")
	return root
}

// goldenTree has one entry of each kind, a name that is not text, and enough files for a second mark.
func goldenTree() *node {
	root := &node{entry: Entry{Type: Dir, Mode: 0o755, Stored: 77}, xattrs: []Xattr{{Name: "user.root", Value: []byte("yes")}}}
	for typ := File; typ <= BlockDevice; typ++ {
		n := &node{entry: Entry{Name: fmt.Sprintf("%d\xfe", typ), Type: typ, Mode: 0o640, UID: 1, GID: 2,
			Mtime: Time{Sec: int64(typ) * 1e9, Nsec: 3}, Ctime: Time{Sec: 4, Nsec: 5}, Dev: 1, Ino: 6, Stored: 7, Blocks: 8, Flags: Torn,
			Attrs: 1 << typ & RecordedAttrs}}
		switch typ {
		case File:
			n.entry.Size, n.entry.Hash = 8, Hash{9}
			n.xattrs = []Xattr{{Name: "user.note", Value: []byte("x")}}
		case Dir:
			for i := range 70 {
				n.children = append(n.children, &node{entry: Entry{Name: fmt.Sprintf("%03d", i), Type: File,
					Size: uint64(i), Nlink: 1}})
			}
		case Symlink:
			n.entry.Target, n.entry.Size = "../a", 4
		case CharDevice, BlockDevice:
			n.entry.Major, n.entry.Minor = 1, 300
		}
		root.children = append(root.children, n)
	}
	return root
}
