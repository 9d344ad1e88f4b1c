package pax

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"testing"
)

const (
	exampleACL = "\x02\x00\x00\x00" + "\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\x39\x30\x00\x00" +
		"\x04\x00\x05\x00\xff\xff\xff\xff" + "\x08\x00\x02\x00\xfe\xff\xff\xff" + "\x10\x00\x06\x00\xff\xff\xff\xff" +
		"\x20\x00\x00\x00\xff\xff\xff\xff"
	exampleText = "user::rwx,user:12345:r--,group::r-x,group:4294967294:-w-,mask::rw-,other::---"
)

func TestACLText(t *testing.T) {
	if got, err := aclText([]byte(exampleACL)); err != nil || got != exampleText {
		t.Errorf("%q, %v; want %q", got, err, exampleText)
	}
	for _, bad := range []string{"", "\x02\x00\x00\x00", "\x01" + exampleACL[1:], exampleACL[:len(exampleACL)-1],
		exampleACL + "\x00", "\x02\x00\x00\x00\x03\x00\x07\x00\xff\xff\xff\xff",
		"\x02\x00\x00\x00\x01\x00\x08\x00\xff\xff\xff\xff"} {
		if got, err := aclText([]byte(bad)); err == nil {
			t.Errorf("%q was taken for %q", bad, got)
		}
	}
}

// parseACL is aclText backwards; entries without an id get the one that the kernel gives them.
func parseACL(t *testing.T, text string) []byte {
	t.Helper()
	b := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for entry := range strings.SplitSeq(text, ",") {
		parts := strings.Split(entry, ":")
		if len(parts) != 3 || len(parts[2]) != 3 {
			t.Fatalf("entry %q", entry)
		}
		id, tag := uint64(0xffffffff), uint16(0)
		for number, kind := range aclTags {
			if kind.name == parts[0] && kind.hasID == (parts[1] != "") {
				tag = number
			}
		}
		if parts[1] != "" {
			var err error
			if id, err = strconv.ParseUint(parts[1], 10, 32); err != nil {
				t.Fatal(err)
			}
		}
		perm := uint16(0)
		for i, letter := range "rwx" {
			if rune(parts[2][i]) == letter {
				perm |= 4 >> i
			}
		}
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, perm)
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return b
}

// What is accepted can be made of the text again, but for ids that mean nothing.
func FuzzACLText(f *testing.F) {
	f.Add([]byte(exampleACL))
	f.Add([]byte("\x02\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, value []byte) {
		text, err := aclText(value)
		if err != nil {
			return
		}
		want := bytes.Clone(value)
		for at := aclHeader; at < len(want); at += aclEntry {
			if !aclTags[binary.LittleEndian.Uint16(want[at:])].hasID {
				binary.LittleEndian.PutUint32(want[at+4:], 0xffffffff)
			}
		}
		if got := parseACL(t, text); !bytes.Equal(got, want) {
			t.Errorf("%q means %q, not %q", text, got, want)
		}
	})
}
