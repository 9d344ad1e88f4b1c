package fidelity

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
	"snapcopy/prune"
)

// blocks makes sure that each catalog says what its snapshot takes: of every entry what is allocated to its inode. On
// btrfs that is not settled when a run ends.
func (l *lab) blocks() {
	l.t.Helper()
	if !l.exactBlocks() {
		return
	}
	for _, name := range l.order {
		look := func(path string, e *index.Entry) {
			if e.Flags&index.NotStored != 0 {
				return
			}
			info, err := os.Lstat(l.path(name, path))
			if err != nil {
				return // too deep for a path, or not stored: not the matter here
			}
			st := info.Sys().(*syscall.Stat_t)
			if e.Stored != st.Ino || e.Blocks != uint64(st.Blocks) {
				l.t.Errorf("%s %q: catalog has inode %d with %d blocks, it is inode %d with %d", name, path, e.Stored,
					e.Blocks, st.Ino, st.Blocks)
			}
		}
		for path, e := range l.entries(name) {
			look(path, &e)
		}
		c := l.catalog(name)
		root := c.Root()
		l.check(c.Close())
		look("", &root)
	}
}

// exactBlocks reports whether the archive is on a file system where what is allocated is settled when a run ends.
func (l *lab) exactBlocks() bool {
	l.t.Helper()
	var fs unix.Statfs_t
	l.check(unix.Statfs(l.arch, &fs))
	return fs.Type != unix.BTRFS_SUPER_MAGIC
}

// usage counts what the snapshots of the archive take, and what is recorded of each, without what is the archive's own.
func (l *lab) usage() (u prune.Size) {
	l.t.Helper()
	met := make(map[uint64]bool)
	count := func(path string) {
		var st unix.Stat_t
		l.check(unix.Lstat(path, &st))
		if !met[st.Ino] {
			met[st.Ino] = true
			u.Bytes += uint64(st.Blocks) * 512
			u.Inodes++
		}
	}
	for _, name := range l.order {
		l.check(filepath.WalkDir(l.path(name), func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				count(path)
			}
			return err
		}))
	}
	for _, dir := range []string{"catalogs", "runs"} {
		list, err := os.ReadDir(l.path(".snapcopy", dir))
		l.check(err)
		for _, e := range list {
			count(l.path(".snapcopy", dir, e.Name()))
		}
	}
	return u
}

// account is what the program says the snapshots hold.
func (l *lab) account(a *archive.Archive, ledger string) *prune.Space {
	l.t.Helper()
	list, err := a.Snapshots()
	l.check(err)
	var catalogs []prune.Catalog
	for _, s := range list {
		records, err := a.RecordsOf(s.Name)
		l.check(err)
		catalogs = append(catalogs, prune.Catalog{Name: s.Name, Path: s.CatalogPath, Records: prune.Size(records)})
	}
	space, err := prune.Account(l.t.Context(), catalogs, prune.AccountOptions{Ledger: ledger, Anchor: a.Anchor,
		Note: func(err error) { l.t.Error(err) }})
	l.check(err)
	return space
}

// removals takes snapshots of a changing source, and removes some of them now and then: that frees exactly what was said.
func (l *lab) removals(rng *rand.Rand, rounds int) {
	l.check(os.Mkdir(filepath.Join(l.base, "outside"), 0o700))
	h := &historian{t: l.t, rng: rng, root: l.src}
	for round := range rounds {
		for range 1 + rng.IntN(4) {
			for range rng.IntN(12) {
				l.build(h.edit())
			}
			l.run()
		}
		a, err := archive.Open(l.arch)
		l.check(err)
		before := l.usage()
		space := l.account(a, a.LedgerPath())
		if total := space.Total(); total != before && l.exactBlocks() {
			l.blocks()
			l.t.Fatalf("round %d: all snapshots take %v, it is said %v", round, before, total)
		}
		var names []string
		var chosen []int
		for _, i := range rng.Perm(len(l.order))[:rng.IntN(min(4, len(l.order)))] {
			chosen, names = append(chosen, i), append(names, space.Snapshots[i])
		}
		_, err = a.Remove(l.t.Context(), names, archive.RemoveOptions{Threads: 1 + rng.IntN(4)})
		l.check(errors.Join(err, a.Close()))
		for _, name := range names {
			delete(l.taken, name)
			delete(l.want, name)
			l.order = slices.DeleteFunc(l.order, func(n string) bool { return n == name })
		}
		after, said := l.usage(), space.Freed(chosen...)
		freed := prune.Size{Bytes: before.Bytes - after.Bytes, Inodes: before.Inodes - after.Inodes}
		if freed != said && l.exactBlocks() {
			l.t.Fatalf("round %d: removing %v freed %v, it was said %v", round, names, freed, said)
		}
		l.intact()
	}
	l.verify()
}

// Guards: what removing snapshots frees is what was said before, to the byte, whatever the history; and what stays is
// what it was.
func TestRandomRemovals(t *testing.T) {
	eachHistory(t, func(l *lab, seed uint64) { l.removals(rand.New(rand.NewPCG(seed, 2)), 8) })
}

// Guards: the same by what the file system says of its room. Beside the snapshots only the index and what is remembered
// of space change.
func TestFreedRoom(t *testing.T) {
	needRoot(t)
	disk := testtree.NewDisk(t, "ext4", 200<<20)
	l := labAt(t, "ext4", disk.Path)
	rng := rand.New(rand.NewPCG(4, 4))
	l.check(os.Mkdir(filepath.Join(l.base, "outside"), 0o700))
	h := &historian{t: t, rng: rng, root: l.src}
	for range 6 {
		for range 10 {
			l.build(h.edit())
		}
		l.run()
	}
	a, err := archive.Open(l.arch)
	l.check(err)
	room := func() (bytes, inodes uint64) {
		unix.Sync()
		space, err := a.FileSystem()
		l.check(err)
		var st unix.Statfs_t
		l.check(unix.Statfs(l.arch, &st))
		own, err := a.Overhead()
		l.check(err)
		return st.Bfree*uint64(st.Bsize) + own.Bytes, space.FreeInodes + own.Inodes
	}
	space := l.account(a, a.LedgerPath())
	chosen := []int{0, 2, 3}
	said := space.Freed(chosen...)
	bytes, inodes := room()
	_, err = a.Remove(t.Context(), []string{l.order[0], l.order[2], l.order[3]}, archive.RemoveOptions{})
	l.check(err)
	bytesAfter, inodesAfter := room()
	if freed := (prune.Size{Bytes: bytesAfter - bytes, Inodes: inodesAfter - inodes}); freed != said {
		t.Errorf("freed %v, it was said %v", freed, said)
	}
	l.check(a.Close())
}
