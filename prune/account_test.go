package prune

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"snapcopy/index"
)

// folder is a model of a folder in a snapshot: stored files by name, each with its inode, and folders.
type folder struct {
	files   map[string]uint64
	folders map[string]*folder
}

func newFolder() *folder { return &folder{map[string]uint64{}, map[string]*folder{}} }

func (f *folder) clone() *folder {
	c := &folder{maps.Clone(f.files), map[string]*folder{}}
	for name, sub := range f.folders {
		c.folders[name] = sub.clone()
	}
	return c
}

func (f *folder) all(fn func(*folder)) {
	fn(f)
	for _, name := range slices.Sorted(maps.Keys(f.folders)) {
		f.folders[name].all(fn)
	}
}

// generation counts how often an inode number was used again, and blocksOf makes up how much its file takes.
var generation = map[uint64]uint64{}

func blocksOf(ino uint64) uint64 { return (ino + 3*generation[ino]) % 7 * 8 }

func (f *folder) write(w *index.Writer, parent index.DirID, name string) (index.Entry, error) {
	e := index.Entry{Name: name, Type: index.Dir, Blocks: 8}
	id, err := w.StartDir(parent, name)
	if err != nil {
		return e, err
	}
	var entries []index.Entry
	for name, sub := range f.folders {
		child, err := sub.write(w, id, name)
		if err != nil {
			return e, err
		}
		entries = append(entries, child)
	}
	for name, ino := range f.files {
		kind := index.File
		if ino%11 == 0 {
			kind = index.Symlink
		}
		entries = append(entries, index.Entry{Name: name, Type: kind, Nlink: 1, Stored: ino, Blocks: blocksOf(ino)})
	}
	slices.SortFunc(entries, func(a, b index.Entry) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return e, w.AddDir(id, entries, &e)
}

// series is a number of snapshots, newest last, and their catalogs.
type series struct {
	t       *testing.T
	dir     string
	names   []string
	folders map[string]*folder
	anchor  map[string]uint64
}

func newSeries(t *testing.T) *series {
	return &series{t: t, dir: t.TempDir(), folders: map[string]*folder{}, anchor: map[string]uint64{}}
}

func (a *series) path(name string) string { return filepath.Join(a.dir, name+".cat") }

func (a *series) publish(name string, top *folder, anchor uint64) {
	a.t.Helper()
	f, err := os.Create(a.path(name))
	if err != nil {
		a.t.Fatal(err)
	}
	w, err := index.NewWriter(f)
	if err != nil {
		a.t.Fatal(err)
	}
	root, err := top.write(w, 0, "")
	if err == nil {
		err = w.Finish(root, []uint64{1}, index.Summary{Snapshot: name, Anchor: anchor})
	}
	if err = errors.Join(err, f.Close()); err != nil {
		a.t.Fatal(err)
	}
	a.names = append(a.names, name)
	a.folders[name], a.anchor[name] = top.clone(), anchor
}

func (a *series) remove(name string) {
	a.names = slices.DeleteFunc(a.names, func(n string) bool { return n == name })
	if err := os.Remove(a.path(name)); err != nil {
		a.t.Fatal(err)
	}
}

func (a *series) list() []Catalog {
	var list []Catalog
	for _, name := range a.names {
		list = append(list, Catalog{Name: name, Path: a.path(name), Records: Size{1000, 2}})
	}
	return list
}

func (a *series) account(opt AccountOptions) *Space {
	a.t.Helper()
	s, err := Account(context.Background(), a.list(), opt)
	if err != nil {
		a.t.Fatal(err)
	}
	return s
}

// Guards: a catalog that was copied into another snapshot's place is damage, and its space is not counted as that
// snapshot's.
func TestAccountCatalogOfAnother(t *testing.T) {
	a := newSeries(t)
	for i, name := range []string{"1", "2"} {
		a.publish(name, &folder{files: map[string]uint64{"f": uint64(i + 100)}}, 1)
	}
	content, err := os.ReadFile(a.path("2"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.path("1"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	if space, err := Account(context.Background(), a.list(), AccountOptions{}); !errors.Is(err, index.ErrDamaged) {
		t.Errorf("space %+v, error %v", space, err)
	}
	if files, _, err := Top(context.Background(), a.list(), nil, 1); !errors.Is(err, index.ErrDamaged) {
		t.Errorf("top %+v, error %v", files, err)
	}
}

// freed counts from the model what goes with some snapshots.
func (a *series) freed(removed ...string) Size {
	type key struct{ anchor, ino uint64 }
	left := map[key]bool{}
	for _, name := range a.names {
		if !slices.Contains(removed, name) {
			a.folders[name].all(func(f *folder) {
				for _, ino := range f.files {
					left[key{a.anchor[name], ino}] = true
				}
			})
		}
	}
	var sum Size
	for _, name := range removed {
		sum.add(Size{1000, 2})
		a.folders[name].all(func(f *folder) {
			sum.add(Size{4096, 1})
			for _, ino := range f.files {
				if k := (key{a.anchor[name], ino}); !left[k] {
					left[k] = true
					sum.add(Size{blocksOf(ino) * 512, 1})
				}
			}
		})
	}
	return sum
}

// same makes sure that a Space is right about each snapshot, some sets of them, and all.
func (a *series) same(what string, s *Space, rng *rand.Rand) {
	a.t.Helper()
	try := func(at ...int) {
		var names []string
		for _, i := range at {
			names = append(names, a.names[i])
		}
		if got, want := s.Freed(at...), a.freed(names...); got != want {
			a.t.Fatalf("%s: removing %v of %v frees %v, want %v", what, names, a.names, got, want)
		}
	}
	var every []int
	for i := range a.names {
		try(i)
		every = append(every, i)
	}
	for range 10 {
		try(rng.Perm(len(a.names))[:rng.IntN(len(a.names)+1)]...)
	}
	try(every...)
	if got, want := s.Total(), s.Freed(every...); got != want {
		a.t.Fatalf("%s: total %v, want %v", what, got, want)
	}
}

// has reports whether a snapshot has an inode.
func (a *series) has(ino uint64) (found bool) {
	for _, name := range a.names {
		a.folders[name].all(func(f *folder) {
			for _, other := range f.files {
				found = found || other == ino
			}
		})
	}
	return found
}

// change edits a tree as source and archive do: new files, some with the number of an inode that is gone, names that move,
// that get a second name, that go and come back with the same stored file; folders that move as a whole.
func (a *series) change(top *folder, rng *rand.Rand, next *uint64, gone *[]uint64) {
	var folders []*folder
	top.all(func(f *folder) { folders = append(folders, f) })
	any := func() *folder { return folders[rng.IntN(len(folders))] }
	inUse := func(ino uint64) (used bool) {
		top.all(func(f *folder) {
			for _, other := range f.files {
				used = used || other == ino
			}
		})
		return used || a.has(ino)
	}
	fresh := func() uint64 {
		for i, ino := range *gone {
			if !inUse(ino) {
				*gone = slices.Delete(*gone, i, i+1)
				generation[ino]++
				return ino
			}
		}
		*next++
		return *next
	}
	pick := func(f *folder) (string, bool) {
		names := slices.Sorted(maps.Keys(f.files))
		if len(names) == 0 {
			return "", false
		}
		return names[rng.IntN(len(names))], true
	}
	name := fmt.Sprint("n", rng.IntN(12))
	f := any()
	if f.folders[name] != nil {
		return
	}
	switch rng.IntN(8) {
	case 0, 1: // new or changed
		if old, ok := f.files[name]; ok {
			*gone = append(*gone, old)
		}
		f.files[name] = fresh()
	case 2: // deleted
		if old, ok := pick(f); ok {
			*gone = append(*gone, f.files[old])
			delete(f.files, old)
		}
	case 3: // moved
		from := any()
		if old, ok := pick(from); ok {
			ino := from.files[old]
			delete(from.files, old)
			f.files[name] = ino
		}
	case 4: // linked
		if old, ok := pick(any()); ok {
			if ino, ok := f.files[old]; ok {
				f.files[name] = ino
			}
		}
	case 5: // back again
		if len(*gone) > 0 {
			if ino := (*gone)[rng.IntN(len(*gone))]; a.has(ino) {
				f.files[name] = ino
			}
		}
	case 6: // a new folder, in which something is
		if _, ok := f.files[name]; !ok {
			sub := newFolder()
			sub.files["x"] = fresh()
			f.folders[name] = sub
		}
	case 7: // a folder goes, or moves to the top
		for sub := range f.folders {
			moved := f.folders[sub]
			delete(f.folders, sub)
			if _, taken := top.files["m"+sub]; !taken && rng.IntN(2) == 0 {
				top.folders["m"+sub] = moved
			}
			break
		}
	}
}

// Guards: what removing any snapshots frees is exactly what no other snapshot holds, whatever the histories of the files
// are; with and without a ledger, with one that is some snapshots behind, and after snapshots were removed.
func TestAccount(t *testing.T) {
	for seed := range uint64(40) {
		clear(generation)
		rng := rand.New(rand.NewPCG(seed, 7))
		a := newSeries(t)
		ledger := AccountOptions{Ledger: filepath.Join(a.dir, "space"), Threads: 2,
			Note: func(err error) { t.Errorf("seed %d: %v", seed, err) }}
		top := newFolder()
		var next uint64
		var gone []uint64
		anchor := uint64(1)
		for night := range 14 {
			for range rng.IntN(12) {
				a.change(top, rng, &next, &gone)
			}
			if seed%4 == 3 && rng.IntN(6) == 0 {
				anchor++
				top.all(func(f *folder) { // a copy has other inode numbers
					for name := range f.files {
						f.files[name] += 1000
					}
				})
				next, gone = next+1000, nil
			}
			a.publish(fmt.Sprintf("%03d", night), top, anchor)
			for rng.IntN(4) == 0 && len(a.names) > 1 {
				a.remove(a.names[rng.IntN(len(a.names))])
			}
			if rng.IntN(3) > 0 {
				a.same(fmt.Sprintf("seed %d, night %d", seed, night), a.account(ledger), rng)
			}
		}
		a.same(fmt.Sprintf("seed %d, anew", seed), a.account(AccountOptions{}), rng)
	}
}

// Guards: events that do not fit in memory go through files, to the same result.
func TestEventsSpill(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	sorter := newEventSorter(t.TempDir())
	sorter.Limit = 100
	want := map[string]int32{}
	for range 50 {
		var batch []event
		for range 37 {
			e := event{inode: inode{uint32(rng.IntN(2)), rng.Uint64N(60)}, snapshot: uint32(rng.IntN(3)), names: 1, blocks: 5}
			if rng.IntN(2) == 0 {
				e.names = -1
			}
			want[fmt.Sprint(e.inode, e.snapshot)] += e.names
			batch = append(batch, e)
		}
		sorter.Add(batch...)
	}
	merged, err := sorter.Merge()
	if err != nil {
		t.Fatal(err)
	}
	var last, e event
	for n := 0; ; n++ {
		ok, err := merged.Next(&e)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if n != len(want) {
				t.Errorf("%d events, want %d", n, len(want))
			}
			break
		}
		if n > 0 && last.compare(&e) >= 0 {
			t.Errorf("%v after %v", e, last)
		}
		if key := fmt.Sprint(e.inode, e.snapshot); want[key] != e.names || e.blocks != 5 {
			t.Errorf("%v, want %d names", e, want[key])
		}
		last = e
	}
	if err := sorter.Close(); err != nil {
		t.Error(err)
	}
}

// Guards: a ledger that is damaged anywhere, or of other catalogs, is noticed and made anew; it never changes the result.
func TestLedgerDamaged(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	a := newSeries(t)
	opt := AccountOptions{Ledger: filepath.Join(a.dir, "space")}
	top := newFolder()
	var next uint64
	var gone []uint64
	for night := range 5 {
		for range 20 {
			a.change(top, rng, &next, &gone)
		}
		a.publish(fmt.Sprint(night), top, 1)
	}
	a.same("first", a.account(opt), rng)
	good, err := os.ReadFile(opt.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	table := int(binary.LittleEndian.Uint64(good[len(good)-ledgerTrailer:]))
	a.change(top, rng, &next, &gone)
	names := slices.Clone(a.names)
	a.publish("new", top, 1)
	for _, withNew := range []bool{false, true} {
		if !withNew {
			a.names = names
		} else {
			a.names = append(slices.Clone(names), "new")
		}
		for at := range len(good) {
			bad := slices.Clone(good)
			bad[at] ^= 1 << (at % 8)
			if at%5 == 0 {
				bad = bad[:at]
			}
			if err := os.WriteFile(opt.Ledger, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			noted := 0
			opt.Note = func(error) { noted++ }
			a.same(fmt.Sprintf("byte %d", at), a.account(opt), rng)
			if noted == 0 && at < table { // in the table it may look like one of other catalogs
				t.Errorf("byte %d: nothing was said", at)
			}
		}
	}
	// Another catalog under a name that is known.
	if err := os.WriteFile(opt.Ledger, good, 0o600); err != nil {
		t.Fatal(err)
	}
	a.names = names[:4]
	a.change(top, rng, &next, &gone)
	a.publish(names[4], top, 1)
	a.same("replaced", a.account(opt), rng)
}

// Guards: an archive without snapshots takes nothing, whether or not a ledger is left of those that it had.
func TestAccountOfNothing(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "space")
	for range 2 {
		space, err := Account(t.Context(), nil, AccountOptions{Ledger: ledger})
		if err != nil || space.Total() != (Size{}) || space.Freed() != (Size{}) {
			t.Errorf("%+v, %v", space, err)
		}
		if err := os.WriteFile(ledger, []byte("left"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Guards: a ledger that cannot be written, for lack of space on the disk that is to be pruned or because another process
// has tidied up, is no obstacle to counting; a half of it never gets the name.
func TestLedgerWriteFails(t *testing.T) {
	for name, spoil := range map[string]func(*ledgerWriter) error{
		"writing fails": func(w *ledgerWriter) error { return w.file.File.Close() },
		"removed":       func(w *ledgerWriter) error { return os.Remove(w.file.Name()) },
	} {
		path := filepath.Join(t.TempDir(), "ledger")
		w, err := newLedgerWriter(path)
		if err != nil {
			t.Fatal(err)
		}
		w.sets, w.sizes = []sharers{newSharers(1)}, []Size{{}}
		if err := spoil(w); err != nil {
			t.Fatal(err)
		}
		const files = 200_000
		for i := range uint64(files) {
			if err := w.add(&account{inode: inode{number: i + 1}, blocks: 8, names: 1}); err != nil {
				t.Fatalf("%s: file %d: %v", name, i, err)
			}
		}
		if err := w.finish(nil); err == nil {
			t.Errorf("%s: not reported", name)
		}
		if err := w.close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
		if w.sizes[0].Inodes != files {
			t.Errorf("%s: %d files are counted", name, w.sizes[0].Inodes)
		}
		if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) > 0 {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}

// Guards: what is no file is no ledger, and nothing waits for it.
func TestLedgerIsAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "space")
	if out, err := exec.Command("mkfifo", path).CombinedOutput(); err != nil {
		t.Skipf("mkfifo: %v: %s", err, out)
	}
	done := make(chan error, 1)
	go func() {
		_, err := openLedger(path)
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, errLedger) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for a writer")
	}
}
