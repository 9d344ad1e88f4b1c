package tree

import (
	"reflect"
	"slices"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// pairOf gives an entry, and the inode that it describes.
func pairOf(kind uint32) (e index.Entry, st fsat.Stat) {
	st = fsat.Stat{Type: kind, Mode: 0o644, UID: 1, GID: 2, Nlink: 3, Ino: 4, Size: 5, Mtime: fsat.Time{Sec: 6, Nsec: 7},
		Ctime: fsat.Time{Sec: 8, Nsec: 9}}
	if IsDevice(TypeOf(kind)) {
		st.Major, st.Minor = 10, 11
	}
	Describe(&e, &st)
	e.Stored = st.Ino
	return e, st
}

func TestDiffStat(t *testing.T) {
	for _, test := range []struct {
		name string
		kind uint32
		edit func(*fsat.Stat)
		want Fields
	}{
		{"nothing", fsat.Regular, func(*fsat.Stat) {}, 0},
		{"type", fsat.Fifo, func(s *fsat.Stat) { s.Type = fsat.Socket }, Type},
		{"unknown type", fsat.Fifo, func(s *fsat.Stat) { s.Type = 0xe000 }, Type},
		{"size", fsat.Regular, func(s *fsat.Stat) { s.Size++ }, Size},
		{"size of a folder", fsat.Directory, func(s *fsat.Stat) { s.Size++ }, 0},
		{"size of a link", fsat.Symlink, func(s *fsat.Stat) { s.Size++ }, 0},
		{"mode", fsat.Regular, func(s *fsat.Stat) { s.Mode ^= 0o4000 }, Mode},
		{"user", fsat.Regular, func(s *fsat.Stat) { s.UID++ }, UID},
		{"group", fsat.Regular, func(s *fsat.Stat) { s.GID++ }, GID},
		{"second", fsat.Regular, func(s *fsat.Stat) { s.Mtime.Sec++ }, Mtime},
		{"nanosecond", fsat.Regular, func(s *fsat.Stat) { s.Mtime.Nsec++ }, Mtime},
		{"change time", fsat.Regular, func(s *fsat.Stat) { s.Ctime.Nsec++ }, Ctime},
		{"inode", fsat.Regular, func(s *fsat.Stat) { s.Ino++ }, Ino | Stored},
		{"names", fsat.Regular, func(s *fsat.Stat) { s.Nlink++ }, Nlink},
		{"names of a folder", fsat.Directory, func(s *fsat.Stat) { s.Nlink++ }, 0},
		{"major", fsat.CharDevice, func(s *fsat.Stat) { s.Major++ }, Rdev},
		{"minor", fsat.BlockDevice, func(s *fsat.Stat) { s.Minor++ }, Rdev},
		{"device number of a file", fsat.Regular, func(s *fsat.Stat) { s.Major++ }, 0},
	} {
		e, st := pairOf(test.kind)
		test.edit(&st)
		if got := DiffStat(&e, &st); got != test.want {
			t.Errorf("%s: %b, want %b", test.name, got, test.want)
		}
	}
}

func TestDiff(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func(*index.Entry)
		want Fields
	}{
		{"nothing", func(*index.Entry) {}, 0},
		{"type", func(e *index.Entry) { e.Type = index.Fifo }, Type},
		{"size", func(e *index.Entry) { e.Size++ }, Size},
		{"content", func(e *index.Entry) { e.Hash[31]++ }, Content},
		{"target", func(e *index.Entry) { e.Target = "x" }, Target},
		{"major", func(e *index.Entry) { e.Major++ }, Rdev},
		{"minor", func(e *index.Entry) { e.Minor++ }, Rdev},
		{"mode", func(e *index.Entry) { e.Mode++ }, Mode},
		{"owner", func(e *index.Entry) { e.UID++; e.GID++ }, Owner},
		{"time", func(e *index.Entry) { e.Mtime.Nsec++ }, Mtime},
		{"xattrs", func(e *index.Entry) { e.XattrHash[0]++ }, Xattrs},
		{"attributes", func(e *index.Entry) { e.Attrs ^= 0x10 }, Attrs},
		{"names", func(e *index.Entry) { e.Nlink++ }, Nlink},
		{"change time", func(e *index.Entry) { e.Ctime.Sec++ }, Ctime},
		{"source inode", func(e *index.Entry) { e.Ino++ }, Ino},
		{"stored inode", func(e *index.Entry) { e.Stored++ }, Stored},
		{"where it is recorded", func(e *index.Entry) { e.Name, e.Dev, e.Blocks, e.Flags, e.Xattrs = "x", 1, 1, 1, 1 }, 0},
	} {
		a, _ := pairOf(fsat.Regular)
		b := a
		test.edit(&b)
		if got, back := Diff(&a, &b), Diff(&b, &a); got != test.want || back != got {
			t.Errorf("%s: %b and back %b, want %b", test.name, got, back, test.want)
		}
	}
	a, _ := pairOf(fsat.Directory)
	b := a
	if b.Nlink++; Diff(&a, &b) != 0 {
		t.Error("the number of names of a directory counts")
	}
}

// Guards: a file is taken for unchanged only if all that stat tells is as recorded, and the record can be relied on.
func TestUnchanged(t *testing.T) {
	edits := map[string]func(*index.Entry, *fsat.Stat){
		"type":   func(_ *index.Entry, s *fsat.Stat) { s.Type = fsat.Fifo },
		"size":   func(_ *index.Entry, s *fsat.Stat) { s.Size++ },
		"mode":   func(_ *index.Entry, s *fsat.Stat) { s.Mode ^= 1 },
		"user":   func(_ *index.Entry, s *fsat.Stat) { s.UID++ },
		"group":  func(_ *index.Entry, s *fsat.Stat) { s.GID++ },
		"mtime":  func(_ *index.Entry, s *fsat.Stat) { s.Mtime.Nsec++ },
		"ctime":  func(_ *index.Entry, s *fsat.Stat) { s.Ctime.Nsec++ },
		"inode":  func(_ *index.Entry, s *fsat.Stat) { s.Ino++ },
		"racy":   func(e *index.Entry, _ *fsat.Stat) { e.Flags |= index.Racy },
		"torn":   func(e *index.Entry, _ *fsat.Stat) { e.Flags |= index.Torn },
		"unread": func(e *index.Entry, _ *fsat.Stat) { e.Flags |= index.Unread },
	}
	for name, edit := range edits {
		for _, ignore := range []Fields{0, Ctime, Ino, Ctime | Ino} {
			e, st := pairOf(fsat.Regular)
			if !Unchanged(&e, &st, ignore) {
				t.Fatal("an unchanged file counts as changed")
			}
			edit(&e, &st)
			want := ignore&Ctime != 0 && name == "ctime" || ignore&Ino != 0 && name == "inode"
			if got := Unchanged(&e, &st, ignore); got != want {
				t.Errorf("%s, ignoring %b: %v", name, ignore, got)
			}
		}
	}
	e, st := pairOf(fsat.Regular)
	e.Flags, e.Stored, st.Nlink = index.OwnerCatalogOnly|index.AtLinkLimit, 99, 7
	if !Unchanged(&e, &st, 0) {
		t.Error("what the archive holds, or how many names there are, counts as a change of the file")
	}
}

// Guards: what an archive could not hold is no difference of a stored file, and everything else is.
func TestDiffStored(t *testing.T) {
	for _, test := range []struct {
		name  string
		kind  uint32
		flags index.Flags
		want  Fields
	}{
		{"holds all", fsat.Regular, 0, Size | Mode | Owner | Mtime | Stored},
		{"no owner", fsat.Regular, index.OwnerCatalogOnly, Size | Mode | Mtime | Stored},
		{"no mode", fsat.Regular, index.ModeCatalogOnly, Size | Owner | Mtime | Stored},
		{"no time", fsat.Regular, index.TimeCatalogOnly, Size | Mode | Owner | Stored},
		{"no xattrs", fsat.Regular, index.XattrsCatalogOnly | index.LinksCatalogOnly, Size | Mode | Owner | Mtime | Stored},
		{"link", fsat.Symlink, 0, Owner | Mtime | Stored},
		{"device", fsat.CharDevice, 0, Rdev | Mode | Owner | Mtime | Stored},
	} {
		e, st := pairOf(test.kind)
		e.Flags = test.flags
		if got := DiffStored(&e, &st); got != 0 {
			t.Errorf("%s: %b of one as recorded", test.name, got)
		}
		st.Size, st.Mode, st.UID, st.GID, st.Mtime.Sec, st.Ino, st.Minor, st.Nlink, st.Ctime.Sec = 99, 0, 99, 99, 99, 99, 99, 99, 99
		if got := DiffStored(&e, &st); got != test.want {
			t.Errorf("%s: %b, want %b", test.name, got, test.want)
		}
	}
}

func TestCatalogOnlyFlags(t *testing.T) {
	for _, fields := range []Fields{0, Owner, Mode, Mtime, Xattrs, Owner | Xattrs, OfInode} {
		if got := fieldsCatalogOnly(fields.Flags()); got != fields {
			t.Errorf("%b becomes %b", fields, got)
		}
	}
	if flags := (Type | UID).Flags(); flags != index.OwnerCatalogOnly {
		t.Errorf("flags of type and user: %b", flags)
	}
}

// Guards: the index's fingerprint of metadata covers OfInode and nothing else, in each field that an entry has or gets.
func TestMetaFingerprintIsOfInode(t *testing.T) {
	a, _ := pairOf(fsat.Regular)
	for i := range reflect.TypeFor[index.Entry]().NumField() {
		b := a
		name := reflect.TypeFor[index.Entry]().Field(i).Name
		if !increase(reflect.ValueOf(&b).Elem().Field(i)) {
			t.Fatalf("the test cannot change the field %s", name)
		}
		differs := index.MetaFingerprint(&a) != index.MetaFingerprint(&b)
		if want := Diff(&a, &b)&OfInode != 0; differs != want {
			t.Errorf("%s: the fingerprint differs: %v, want %v", name, differs, want)
		}
	}
}

// increase changes a value, or its first part.
func increase(v reflect.Value) bool {
	switch {
	case v.CanUint():
		v.SetUint(v.Uint() + 1)
	case v.CanInt():
		v.SetInt(v.Int() + 1)
	case v.Kind() == reflect.String:
		v.SetString(v.String() + "x")
	case v.Kind() == reflect.Array:
		return increase(v.Index(0))
	case v.Kind() == reflect.Struct:
		return increase(v.Field(0))
	default:
		return false
	}
	return true
}

func TestNames(t *testing.T) {
	if got := (Version | Metadata).Names(); !slices.Equal(got, []string{"mode", "owner", "mtime", "xattrs", "attributes", "links"}) {
		t.Error(got)
	}
	if got := (GID | Type).Names(); !slices.Equal(got, []string{"owner"}) {
		t.Error(got)
	}
}

// Guards: comparing costs no memory.
func TestComparingAllocatesNothing(t *testing.T) {
	e, st := pairOf(fsat.Regular)
	other := e
	sum := Fields(0)
	if n := testing.AllocsPerRun(100, func() {
		sum |= Diff(&e, &other) | DiffStored(&e, &st)
		if !Unchanged(&e, &st, 0) {
			t.Fatal("changed")
		}
	}); n != 0 || sum != 0 {
		t.Errorf("%v allocations, %b", n, sum)
	}
}

func BenchmarkUnchanged(b *testing.B) {
	e, st := pairOf(fsat.Regular)
	for b.Loop() {
		if !Unchanged(&e, &st, 0) {
			b.Fatal("changed")
		}
	}
}
