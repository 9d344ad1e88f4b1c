package verified

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Guards: the note keeps names that are not UTF-8, replaces what is known of the same stored file, loses what was found
// sound, and is not made where there is no damage.
func TestDamageNote(t *testing.T) {
	s := newStore(t)
	change := func(f func(*Note)) *Note {
		t.Helper()
		if err := s.UpdateDamage(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		n, err := s.Damage()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := change(func(n *Note) { n.Drop(func(*Damaged) bool { return true }) }); len(n.Damaged) != 0 {
		t.Errorf("damage %+v", n)
	}
	if _, err := os.Lstat(s.DamagePath); !os.IsNotExist(err) {
		t.Errorf("a note without damage was written: %v", err)
	}
	content := Damaged{Kind: Content, Stored: 5, Hash: [32]byte{1, 2}, Size: 9, Found: "hash 00", Seen: time.Unix(77, 0).UTC()}
	content.AddName(Name{"b", "x\xff"})
	content.AddName(Name{"a", "x"})
	content.AddName(Name{"b", "x\xff"})
	missing := Damaged{Kind: Missing, Found: "missing", Names: []Name{{"a", "y"}}, Seen: time.Unix(78, 0).UTC()}
	n := change(func(n *Note) { n.Add(missing); n.Add(content); n.Add(content) })
	if diff := cmp.Diff(&Note{Damaged: []Damaged{missing, content}}, n); diff != "" {
		t.Errorf("note: %s", diff)
	}
	n = change(func(n *Note) { n.DropNames(func(_ *Damaged, n Name) bool { return n.Snapshot == "a" }) })
	content.Names = content.Names[1:]
	if diff := cmp.Diff(&Note{Damaged: []Damaged{content}}, n); diff != "" {
		t.Errorf("after a snapshot was removed: %s", diff)
	}
	if n = change(func(n *Note) { n.Drop(func(d *Damaged) bool { return d.Stored == 5 }) }); len(n.Damaged) != 0 {
		t.Errorf("mended, but %+v", n)
	}
}

// Guards: however much of a disk is damaged, the note stays small enough to be read, and no damage is without a name.
func TestDamageNoteIsBounded(t *testing.T) {
	n, names := new(Note), 0
	for i := range 2*maxAllNames/maxNames + 1 {
		d := Damaged{Kind: Content, Stored: uint64(i)}
		for j := range maxNames {
			d.Names = append(d.Names, Name{"a", string(rune('a' + j))})
		}
		n.Add(d)
		n.Add(d)
	}
	for i := range n.Damaged {
		d := &n.Damaged[i]
		if names += len(d.Names); len(d.Names) == 0 || len(d.Names)+int(d.More) != maxNames {
			t.Fatalf("damage %d has %d names and %d more", i, len(d.Names), d.More)
		}
	}
	if names > maxAllNames+len(n.Damaged) {
		t.Errorf("%d names", names)
	}
}

// Guards: whatever the note contains, it is read or counts as empty, and damage can be added.
func FuzzDamage(f *testing.F) {
	f.Add([]byte(`{"damaged":[{"kind":"content","stored":3,"hash":"00","names":[{"snapshot":"a","path":"b","path_base64":"/w=="}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newStore(t)
		if err := os.WriteFile(s.DamagePath, b, 0o600); err != nil {
			t.Fatal(err)
		}
		d := Damaged{Kind: Content, Stored: 123456789, Names: []Name{{"a", "b"}}}
		if err := s.UpdateDamage(t.Context(), func(n *Note) { n.Add(d) }); err != nil {
			t.Fatal(err)
		}
		n, err := s.Damage()
		if err != nil || len(n.Damaged) == 0 {
			t.Errorf("%+v, %v", n, err)
		}
	})
}
