package tree_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
	"snapcopy/internal/tree"
)

func TestMain(m *testing.M) {
	if err := testarchive.BecomeUser(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// bench is a folder in which one inode is made, in each of the ways to reach it.
type bench struct {
	*testing.T
	dir int
	set tree.Setter
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, set: tree.Setter{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}}
	var err error
	if b.dir, err = fsat.OpenRoot(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.must(fsat.Close(b.dir)) })
	return b
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// reached makes an inode of a type and reaches it by a way: "opened", "noded" or "named".
func (b *bench) reached(way string, typ index.Type, name string) tree.Inode {
	b.Helper()
	switch typ {
	case index.File:
		fd, err := fsat.Create(b.dir, name, 0o600)
		b.must(err)
		b.must(fsat.Close(fd))
	case index.Dir:
		b.must(fsat.Mkdir(b.dir, name, 0o700))
	case index.Symlink:
		b.must(fsat.MakeSymlink("nowhere", b.dir, name))
	default:
		b.must(fsat.MakeNode(b.dir, name, tree.KindOf(typ), 0o600, 1, 3))
	}
	open := fsat.OpenNode
	switch {
	case way == "named":
		return tree.Named(b.dir, name)
	case way == "opened" && typ == index.Dir:
		open = fsat.OpenDir
	case way == "opened":
		open = fsat.OpenFile
	}
	fd, err := open(b.dir, name)
	b.must(err)
	b.Cleanup(func() { b.must(fsat.Close(fd)) })
	if way == "noded" {
		return tree.Noded(fd, b.dir, name)
	}
	return tree.Opened(fd)
}

// differs sets the metadata of an entry, and gives the fields in which the inode differs from that afterwards.
func (b *bench) differs(n tree.Inode, e *index.Entry, set []index.Xattr, how tree.Setting) (tree.Done, tree.Fields) {
	b.Helper()
	done, err := b.set.Set(n, e, set, how)
	b.must(err)
	var st fsat.Stat
	b.must(fsat.StatAt(b.dir, e.Name, &st))
	if st != done.Stat {
		b.Errorf("%s: it was said to be %+v, and is %+v", e.Name, done.Stat, st)
	}
	fields := tree.DiffStat(e, &st) & (tree.Type | tree.Settable(e.Type))
	have, err := fsat.XattrsAt(b.dir, e.Name)
	b.must(err)
	if index.HashXattrs(have) != index.HashXattrs(set) {
		fields |= tree.Xattrs
	}
	return done, fields
}

// Guards: whatever an inode is and however it is reached, it has everything that its entry says.
func TestSet(t *testing.T) {
	testtree.NeedRoot(t)
	acl := index.Xattr{Name: tree.AccessACL, Value: []byte("\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x02\x00\x04\x00\x05\x00\x00\x00" +
		"\x04\x00\x05\x00\xff\xff\xff\xff\x10\x00\x05\x00\xff\xff\xff\xff\x20\x00\x05\x00\xff\xff\xff\xff")}
	note := index.Xattr{Name: "user.note", Value: []byte("x")}
	trusted := index.Xattr{Name: "trusted.note", Value: []byte("y")}
	program := index.Xattr{Name: tree.Capability, Value: []byte("\x01\x00\x00\x02\x00\x04\x00\x00" + strings.Repeat("\x00", 12))}
	for _, c := range []struct {
		name string
		typ  index.Type
		ways string
		mode uint32
		set  []index.Xattr
	}{
		{"plain", index.File, "opened noded named", 0o640, nil},
		{"program", index.File, "opened noded named", 0o6755, []index.Xattr{program, note}},
		{"acl", index.File, "opened noded named", 0o4755, []index.Xattr{acl, trusted, note}},
		{"closed", index.File, "opened noded named", 0, []index.Xattr{note}},
		{"dir", index.Dir, "opened noded named", 0o1755, []index.Xattr{acl, note}},
		{"link", index.Symlink, "noded named", 0o777, []index.Xattr{trusted}},
		{"fifo", index.Fifo, "noded named", 0o644, []index.Xattr{trusted}},
		{"socket", index.Socket, "noded named", 0o755, nil},
		{"device", index.CharDevice, "noded named", 0o622, []index.Xattr{trusted}},
	} {
		for way := range strings.FieldsSeq(c.ways) {
			for _, how := range []tree.Setting{{}, {Plain: true}, {Plain: true, Made: 0o600}} {
				t.Run(fmt.Sprint(c.name, " ", way, how), func(t *testing.T) {
					b := newBench(t)
					n := b.reached(way, c.typ, c.name)
					e := index.Entry{Name: c.name, Type: c.typ, Mode: c.mode, UID: 5, GID: 6, Mtime: index.Time{Sec: -5, Nsec: 7}}
					if done, differ := b.differs(n, &e, c.set, how); differ != 0 || done.CatalogOnly != 0 || done.Mode != c.mode {
						t.Errorf("differs in %b, not held %b, mode %o", differ, done.CatalogOnly, done.Mode)
					}
				})
			}
		}
	}
}

// Guards: what privileges do not allow is told, and makes no program of another owner.
func TestSetWithoutPrivileges(t *testing.T) {
	if testtree.Root() {
		testarchive.AsUser(t)
		return
	}
	if os.Geteuid() == 0 {
		t.Skip("needs all privileges of root, or none")
	}
	own := tree.Setter{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	program := index.Xattr{Name: tree.Capability, Value: []byte("x")}
	note := index.Xattr{Name: "user.note", Value: []byte("x")}
	for _, c := range []struct {
		name        string
		readable    bool
		uid, gid    uint32
		mode        uint32
		set         []index.Xattr
		want        fsat.Stat
		catalogOnly tree.Fields
	}{
		{"own", false, own.UID, own.GID, 0o6711, []index.Xattr{note}, fsat.Stat{UID: own.UID, GID: own.GID, Mode: 0o6711}, 0},
		{"group", false, own.UID, testarchive.HelperOther, 0o2750, nil,
			fsat.Stat{UID: own.UID, GID: testarchive.HelperOther, Mode: 0o2750}, 0},
		{"stranger", false, 0, testarchive.HelperOther, 0o6440, []index.Xattr{program, note},
			fsat.Stat{UID: own.UID, GID: testarchive.HelperOther, Mode: 0o440}, tree.UID | tree.Mode | tree.Xattrs},
		{"readable", true, 0, 0, 0o6044, nil, fsat.Stat{UID: own.UID, GID: own.GID, Mode: 0o444}, tree.Owner | tree.Mode},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.gid == testarchive.HelperOther && !inGroup(t, testarchive.HelperOther) {
				t.Skip("needs root, or a user of that group")
			}
			b := newBench(t)
			b.set.Readable = c.readable
			n := b.reached("opened", index.File, "f")
			e := index.Entry{Name: "f", Type: index.File, Mode: c.mode, UID: c.uid, GID: c.gid}
			done, differ := b.differs(n, &e, c.set, tree.Setting{Plain: true, Made: 0o600})
			if done.CatalogOnly != c.catalogOnly || differ != c.catalogOnly || done.Stat.Mode != c.want.Mode || done.Stat.UID != c.want.UID ||
				done.Stat.GID != c.want.GID {
				t.Errorf("not held %b, differs in %b, %+v", done.CatalogOnly, differ, done.Stat)
			}
		})
	}
}

func inGroup(t *testing.T, gid int) bool {
	t.Helper()
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(groups, gid)
}

// Guards: an inode that was made with its mode gets it although the process masks some of it, and what is masked is told.
func TestSetMasked(t *testing.T) {
	b := newBench(t)
	n := b.reached("opened", index.File, "f") // of mode 0600
	e := index.Entry{Name: "f", Type: index.File, Mode: 0o664, UID: b.set.UID, GID: b.set.GID}
	if done, differ := b.differs(n, &e, nil, tree.Setting{Plain: true, Made: 0o664}); differ != 0 || done.Masked != 0o64 {
		t.Errorf("differs in %b, masked %o", differ, done.Masked)
	}
}

// Guards: mode bits that are kept for the time being are no difference, and the mode to come is told.
func TestSetKeep(t *testing.T) {
	b := newBench(t)
	n := b.reached("opened", index.Dir, "d")
	e := index.Entry{Name: "d", Type: index.Dir, Mode: 0o055, UID: b.set.UID, GID: b.set.GID}
	done, differ := b.differs(n, &e, nil, tree.Setting{Keep: 0o700})
	if differ != tree.Mode || done.CatalogOnly != 0 || done.Mode != 0o055 || done.Stat.Mode != 0o755 {
		t.Errorf("differs in %b, not held %b, mode %o and later %o", differ, done.CatalogOnly, done.Stat.Mode, done.Mode)
	}
}

// Guards: a link of which nothing may be set stays as it was made, and what it lacks is told.
func TestSetLeave(t *testing.T) {
	b := newBench(t)
	n := b.reached("named", index.Symlink, "l")
	e := index.Entry{Name: "l", Type: index.Symlink, Mode: 0o777, UID: b.set.UID + 1, GID: b.set.GID}
	set := []index.Xattr{{Name: "trusted.x", Value: []byte("x")}}
	done, err := b.set.Set(n, &e, set, tree.Setting{Leave: true})
	b.must(err)
	if done.CatalogOnly != tree.UID|tree.Mtime|tree.Xattrs || done.Stat.UID != b.set.UID {
		t.Errorf("not held %b, user %d", done.CatalogOnly, done.Stat.UID)
	}
}

// Guards: a fault, in whatever step, is told as it is.
func TestSetFault(t *testing.T) {
	fault := errors.New("fault")
	for _, step := range []string{"metadata", "mode"} {
		b := newBench(t)
		b.set.Fault = func(name string) error {
			if name == step {
				return fault
			}
			return nil
		}
		n := b.reached("opened", index.File, "f")
		if _, err := b.set.Set(n, &index.Entry{Name: "f", Type: index.File, Mode: 0o644}, nil, tree.Setting{}); err != fault {
			t.Errorf("%s: %v", step, err)
		}
	}
}

// Guards: what an inode has and its entry has not goes, ACLs with Set and the rest with DropXattrs.
func TestDropXattrs(t *testing.T) {
	b := newBench(t)
	n := b.reached("opened", index.File, "f")
	keep := []index.Xattr{{Name: "user.keep", Value: []byte("k")}}
	fd, err := fsat.OpenForWriting(b.dir, "f")
	b.must(err)
	defer func() { b.must(fsat.Close(fd)) }()
	for _, x := range append(keep, index.Xattr{Name: "user.drop"}) {
		if err := fsat.SetXattr(fd, x); fsat.IsRefused(err) {
			t.Skipf("no extended attributes here: %v", err)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	kept, err := tree.DropXattrs(fd, keep)
	b.must(err)
	e := index.Entry{Name: "f", Type: index.File, Mode: 0o600, UID: b.set.UID, GID: b.set.GID}
	if _, differ := b.differs(n, &e, keep, tree.Setting{}); differ != 0 || kept != 0 {
		t.Errorf("differs in %b, %d could not be removed", differ, kept)
	}
}
