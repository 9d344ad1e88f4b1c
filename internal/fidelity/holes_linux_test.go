package fidelity

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"snapcopy/internal/testtree"
)

// holes are files with holes wherever there can be one.
func holes() string {
	var b strings.Builder
	text := strings.Repeat("data", 1024) // a block
	for _, size := range []int{1, 4095, 4096, 4097, 65536, 1048575, 1048576, 1048577, 3_000_001} {
		fmt.Fprintf(&b, "file all-%d 0644 hole=%[1]d\n", size)
		fmt.Fprintf(&b, "file last-%d 0644 hole=%d at=%d:z\n", size, size-1, size-1) // data in the last byte
		if size > 65536 {
			fmt.Fprintf(&b, "file start-%d 0644 hole=%[1]d at=%d:%s\n", size, size-len(text), text)
			fmt.Fprintf(&b, "file end-%d 0644 hole=%[1]d at=0:%s\n", size, text)
			fmt.Fprintf(&b, "file middle-%d 0644 hole=%[1]d at=0:%s at=%d:%s\n", size, text, size-len(text), text)
			fmt.Fprintf(&b, "file inside-%d 0644 hole=%[1]d at=%d:%s\n", size, size/2&^65535, text)
		}
	}
	b.WriteString("file comb 0644 hole=8000000")
	for at := 0; at < 8_000_000; at += 131072 {
		fmt.Fprintf(&b, " at=%d:%s", at, text)
	}
	b.WriteString("\nfile zeros 0644 at=0:\"" + strings.Repeat(`\x00`, 70000) + "\" hole=200000")
	b.WriteString("\nfile full 0644 random=2000000:7")
	return b.String()
}

// Guards: holes stay holes and data stays data, wherever they are; neither the stored file nor the restored one takes
// more room than the source.
func TestHoles(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		l.stages(holes(),
			"truncate all-65536 100000\ntruncate full 1000000\ntruncate comb 4000001",
			"set all-3000001 at=1500000:x\nset last-4096 at=0:x",
			"append last-1048577 y",
			"set inside-3000001 mode=0600\nset comb mtime=5.5")
	})
}

// Guards: the size of a hole costs neither time nor room: a file of more than 4 TiB is stored, linked, verified and
// restored as quickly as a small one.
func TestHugeHole(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		begin := time.Now()
		l.stages(fmt.Sprintf("file huge 0644 hole=%d at=%d:last\nfile none 0600 hole=%d", 5<<40, 5<<40+1000, 6<<40),
			fmt.Sprintf("set huge at=%d:more", 5<<40+2000), "set none mode=0644")
		l.sameAllocation("stored", l.last(0))
		if took := time.Since(begin); took > time.Minute { // to hash the zeros takes an hour
			t.Errorf("took %v", took)
		}
	})
}

// sameAllocation makes sure that no file of a copy takes more blocks than in the source, but for the few by which file
// systems differ.
func (l *lab) sameAllocation(what string, tree testtree.Tree) {
	l.t.Helper()
	const few = 68 << 10
	for path, want := range testtree.Take(l.t, l.src) {
		got := tree[path]
		if want.Type == "file" && (got.Allocated > want.Allocated+few || got.Allocated < want.Allocated-few) {
			l.t.Errorf("%s %q takes %d bytes, %d in the source", what, path, got.Allocated, want.Allocated)
		}
	}
}

// Guards: the same between file systems, where nothing can be shared and every file is written anew.
func TestHolesAcrossFileSystems(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		other := map[string]string{"ext4": "xfs", "xfs": "btrfs", "btrfs": "ext4"}[l.kind]
		l.arch = folderOn(t, other) + "/archive"
		l.to = folderOn(t, other)
		l.build(holes())
		testtree.Settle()
		rep := l.run()
		l.sameAllocation("stored", l.taken[rep.Snapshot])
		l.restored(rep.Snapshot, func(tree testtree.Tree) { l.sameAllocation("restored", tree) })
		l.to = l.base
		l.restored(rep.Snapshot, func(tree testtree.Tree) { l.sameAllocation("restored at the source's", tree) })
		l.build("set comb mode=0600\nset last-3000001 mtime=7.7")
		rep = l.run()
		l.sameAllocation("stored anew", l.taken[rep.Snapshot])
		l.later()
	})
}

// Guards: where the holes are is part of a file: zeros that become a hole, or a hole that becomes zeros, are a change even
// if nothing else is, and neither stands for the other.
func TestHolesComeAndGo(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		zeros := `at=0:"` + strings.Repeat(`\x00`, 1<<20) + `" at=1048576:"` + strings.Repeat(`\x00`, 1<<20) + `"`
		l.stages("file dug 0644 "+zeros+" mtime=5.5\nfile filled 0644 hole=2097152 mtime=6.5\n"+
			"file moved 0644 "+zeros+" mtime=7.5\nfile renewed 0644 "+zeros+" mtime=8.5",
			"truncate dug 0\nset dug hole=2097152 mtime=5.5",
			"set filled "+zeros+" mtime=6.5",
			"rm moved\nfile elsewhere 0644 hole=2097152 mtime=7.5",
			"truncate renewed 0\nset renewed hole=2097152 mtime=9.5",
			"file another 0644 "+zeros+" mtime=9.5")
		if l.kind != "xfs" { // which sets space aside beyond the end of files that grow
			l.sameAllocation("stored", l.last(0))
		}
	})
}

// Guards: space that was set aside and never written stays set aside, within the file and beyond its end; that there is
// nothing in it is no reason to write zeros.
func TestPreallocatedSpace(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		l.build(`
			file inside 0644 hole=4000000 reserve=0:4000000
			file behind 0644 "x" reserve=0:3000000
			file mixed 0644 random=500000:1 hole=3000000 reserve=1000000:1000000
			file plain 0644 random=500000:2`)
		// To read what was never written makes some file systems say that there is data.
		l.ignore = testtree.Holes
		testtree.Settle()
		for range 2 {
			rep := l.run()
			if rep.CatalogOnly.Space == 0 {
				l.sameAllocation("stored", l.taken[rep.Snapshot])
			}
			if rep.CatalogOnly.Space > 0 && l.kind == "ext4" {
				t.Errorf("not held: %+v", rep.CatalogOnly)
			}
			l.restored(rep.Snapshot, func(tree testtree.Tree) {
				if rep.CatalogOnly.Space == 0 {
					l.sameAllocation("restored", tree)
				}
			})
			l.build("set inside mode=0600\nset mixed mtime=5.5")
		}
		l.intact()
		l.verify()
	})
}
