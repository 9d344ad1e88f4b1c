package prune

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// sums counts from the model what Top has to find: of each stored file the first name that is met, snapshots going side by
// side, and the folders of every snapshot.
func (a *series) sums(names []string, met map[uint64]bool, own uint64) map[string]uint64 {
	sums := map[string]uint64{}
	var side func(path string, in []*folder) uint64
	side = func(path string, in []*folder) uint64 {
		var sum uint64
		all := map[string]bool{}
		for _, f := range in {
			sum += own
			for name := range f.files {
				all[name] = true
			}
			for name := range f.folders {
				all[name] = true
			}
		}
		for _, name := range sortedKeys(all) {
			var below []*folder
			for _, f := range in {
				if ino, ok := f.files[name]; ok && !met[ino] {
					met[ino] = true
					sums[joinPath(path, name)] += blocksOf(ino) * 512
					sum += blocksOf(ino) * 512
				}
				if sub := f.folders[name]; sub != nil {
					below = append(below, sub)
				}
			}
			if len(below) > 0 {
				sum += side(joinPath(path, name), below)
			}
		}
		if path != "" {
			sums[path+"/"] += sum
		}
		return sum
	}
	var in []*folder
	for _, name := range names {
		in = append(in, a.folders[name])
	}
	side("", in)
	return sums
}

func sortedKeys(m map[string]bool) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// Guards: every stored file counts once, under one of its names, and folders with all that is below them.
func TestTop(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 3))
		a := newSeries(t)
		top := newFolder()
		var next uint64
		var gone []uint64
		for night := range 8 {
			for range rng.IntN(15) {
				a.change(top, rng, &next, &gone)
			}
			a.publish(fmt.Sprint(night), top, 1)
		}
		compare := func(what string, want map[string]uint64, files, folders []Place) {
			t.Helper()
			got := map[string]uint64{}
			for _, p := range files {
				got[p.Path] = p.Bytes
			}
			for _, p := range folders {
				got[p.Path+"/"] = p.Bytes
			}
			for path, bytes := range want {
				if got[path] != bytes {
					t.Fatalf("seed %d %s: %q takes %d, want %d", seed, what, path, got[path], bytes)
				}
				if bytes == 0 {
					delete(got, path)
				}
			}
			if len(got) > len(want) {
				t.Fatalf("seed %d %s: %d places, want %d", seed, what, len(got), len(want))
			}
		}
		list := a.list()
		files, folders, err := Top(context.Background(), list, nil, 1000)
		if err != nil {
			t.Fatal(err)
		}
		compare("all", a.sums(a.names, map[uint64]bool{}, 4096), files, folders)
		if !slices.IsSortedFunc(files, comparePlaces) || !slices.IsSortedFunc(folders, comparePlaces) {
			t.Error("not sorted")
		}
		few, _, err := Top(context.Background(), list, nil, 3)
		if err != nil || !slices.Equal(few, files[:min(3, len(files))]) {
			t.Errorf("the largest three of %v: %v, %v", files, few, err)
		}
		// What has grown with the last one.
		met := map[uint64]bool{}
		a.folders[a.names[6]].all(func(f *folder) {
			for _, ino := range f.files {
				met[ino] = true
			}
		})
		files, folders, err = Top(context.Background(), list[7:], &list[6], 1000)
		if err != nil {
			t.Fatal(err)
		}
		compare("grown", a.sums(a.names[7:], met, 0), files, folders)
	}
}
