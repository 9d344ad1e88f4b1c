package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"snapcopy/internal/inside"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

var swapTime = time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)

const oldSuffix = ".before-2026-11-23T040506Z"

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// Guards: the new tree is exact, the old one is kept as it was, also if several exchanges fall into one second.
func TestSwapExchangesTrees(t *testing.T) {
	source := testarchive.BuiltTree(t, resumable())
	a := take(t, source)
	want := testtree.Take(t, source)
	folder := testarchive.BuiltTree(t, "dir site 0711 mtime=5\nfile site/own 0600 x\ndir site/deep 0500\nfile site/deep/f 0400 y\n"+
		"link site/l site/own")
	to := filepath.Join(folder, "site")
	old := testtree.Take(t, to)
	for i := range 3 {
		rep, err := Swap(context.Background(), a.OpenSnapshot, to, Options{}, swapTime)
		if err != nil {
			t.Fatal(err)
		}
		oldTree := to + oldSuffix + []string{"", ".2", ".3"}[i]
		if rep.Target != to || rep.OldTree != oldTree {
			t.Errorf("target %s, old tree %s", rep.Target, rep.OldTree)
		}
		testtree.Equal(t, "new", want, testtree.Take(t, to), 0)
		testtree.Equal(t, "old", old, testtree.Take(t, oldTree), 0)
		old = testtree.Take(t, to)
	}
	if got := names(t, folder); len(got) != 4 {
		t.Errorf("%q", got)
	}
}

// Guards: a missing target, a link to a folder, and what cannot be exchanged.
func TestSwapTargets(t *testing.T) {
	source := testarchive.BuiltTree(t, "file f 0644 x\nset . mtime=3")
	a := take(t, source)
	want := testtree.Take(t, source)
	folder := testarchive.BuiltTree(t, "dir real 0755\ndir real/site 0755\nfile real/site/own 0644\nsymlink link real/site\n"+
		"file file 0644\nsymlink broken nowhere")
	rep, err := Swap(context.Background(), a.OpenSnapshot, filepath.Join(folder, "new/site"), Options{}, swapTime)
	if err != nil || rep.OldTree != "" {
		t.Fatalf("%v, old tree %q", err, rep.OldTree)
	}
	testtree.Equal(t, "missing", want, testtree.Take(t, filepath.Join(folder, "new/site")), 0)
	if got := names(t, filepath.Join(folder, "new")); len(got) != 1 {
		t.Errorf("%q", got)
	}
	rep, err = Swap(context.Background(), a.OpenSnapshot, filepath.Join(folder, "link"), Options{}, swapTime)
	if err != nil || rep.OldTree != filepath.Join(folder, "real/site"+oldSuffix) {
		t.Fatalf("%v, %+v", err, rep)
	}
	testtree.Equal(t, "link", want, testtree.Take(t, filepath.Join(folder, "real/site")), 0)
	if to, err := os.Readlink(filepath.Join(folder, "link")); err != nil || to != "real/site" {
		t.Errorf("the link leads to %s, %v", to, err)
	}

	refused := func(to string, want error) {
		t.Helper()
		before := names(t, filepath.Dir(to))
		_, err := Swap(context.Background(), a.OpenSnapshot, to, Options{Fault: func(step string) error {
			t.Errorf("%s: step %s", to, step)
			return nil
		}}, swapTime)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", to, err)
		}
		if diff := cmp.Diff(before, names(t, filepath.Dir(to))); diff != "" {
			t.Errorf("%s: %s", to, diff)
		}
	}
	refused(filepath.Join(folder, "file"), os.ErrExist)
	refused(filepath.Join(folder, "broken"), os.ErrExist)
	refused(filepath.Dir(a.Dir), ErrHoldsArchive)
	refused(filepath.Dir(filepath.Dir(a.Dir)), ErrHoldsArchive)
	refused(a.Dir, inside.ErrTarget)
	refused("/", ErrMountPoint)
	mount := testarchive.BuiltTree(t, "dir tmpfs 0755\ndir bind 0755\ndir other 0755")
	testtree.Tmpfs(t, filepath.Join(mount, "tmpfs"), "size=1m")
	testtree.Bind(t, filepath.Join(mount, "other"), filepath.Join(mount, "bind"))
	refused(filepath.Join(mount, "tmpfs"), ErrMountPoint)
	refused(filepath.Join(mount, "bind"), ErrMountPoint)
}

// Guards: what is planted under the new tree's name is not followed, and a user's folder of that name stays as it is.
func TestSwapDoesNotFollowAPlantedLink(t *testing.T) {
	a := take(t, testarchive.BuiltTree(t, "file f 0644 x"))
	folder := testarchive.BuiltTree(t, "dir site 0755\ndir outside 0700\nfile outside/own 0600 x\nsymlink .site.snapcopy-new outside")
	testtree.Build(t, folder, "dir .site.snapcopy-new-2 0700\nfile .site.snapcopy-new-2/mine 0600 x\n"+
		"file .site.snapcopy-new-2/"+unfinishedName+" 0600 mine\nfile .site.snapcopy-new-3 0600 x\ndir .site.snapcopy-new-4 0755")
	before := testtree.Take(t, folder)
	rep, err := Swap(context.Background(), a.OpenSnapshot, filepath.Join(folder, "site"), Options{}, swapTime)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(filepath.Join(folder, "site/f")); err != nil || string(content) != "x" {
		t.Error(string(content), err)
	}
	after := testtree.Take(t, folder)
	for _, tree := range []testtree.Tree{before, after} {
		tree.Remove(func(path string) bool {
			return path == "." || path == "site/f" || path == "site" || path == filepath.Base(rep.OldTree)
		})
	}
	testtree.Equal(t, "what was there", before, after, 0)
}

// Guards: nothing is exchanged if anything could not be restored; the next run goes on from there.
func TestSwapOfADamagedSnapshot(t *testing.T) {
	source := testarchive.BuiltTree(t, "file f 0644 good\nfile g 0644 also\nset . mtime=4")
	a := take(t, source)
	folder := testarchive.BuiltTree(t, "dir site 0755\nfile site/own 0644")
	to := filepath.Join(folder, "site")
	before := states(t, to)
	if err := os.WriteFile(filepath.Join(a.Dir, "g"), []byte("alzo"), 0o644); err != nil {
		t.Fatal(err)
	}
	rep, err := Swap(context.Background(), a.OpenSnapshot, to, Options{}, swapTime)
	if !errors.Is(err, ErrIncomplete) || rep.Damaged != 1 {
		t.Fatalf("%v, %+v", err, rep)
	}
	if diff := cmp.Diff(before, states(t, to)); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(filepath.Join(a.Dir, "g"), []byte("also"), 0o644); err != nil {
		t.Fatal(err)
	}
	rep, err = Swap(context.Background(), a.OpenSnapshot, to, Options{}, swapTime)
	if err != nil || rep.Unchanged != 1 || rep.Files != 1 {
		t.Fatalf("%v, %+v", err, rep)
	}
	testtree.Equal(t, "new", testtree.Take(t, source), testtree.Take(t, to), 0)
}

// Guards: a fault or the death of the process at any step leaves the target as it was, or complete; the next exchange
// completes, be it of the same snapshot or another one, and the old tree is never lost. The same on file systems that
// cannot exchange names.
func TestSwapCutShort(t *testing.T) {
	source := testarchive.BuiltTree(t, "dir d 0500 mtime=1\nfile d/f 0644 x\nfile l 0600 shared\nlink d/l l\nset . mtime=2")
	other := testarchive.BuiltTree(t, "dir d 0755 mtime=1\nfile d/g 0644 other\nset . mtime=3")
	a, b := take(t, source), take(t, other)
	const before = "dir site 0711 mtime=5\nfile site/own 0600 x mtime=5\nset site mtime=5"
	old := testtree.Take(t, filepath.Join(testarchive.BuiltTree(t, before), "site"))
	want := []testtree.Tree{testtree.Take(t, source), testtree.Take(t, other)}
	for _, refuse := range []bool{false, true} {
		fault := func(n int, err error) (func(string) error, *[]string) {
			steps := new([]string)
			return func(step string) error {
				if *steps = append(*steps, step); len(*steps) == n {
					return err
				}
				if refuse && step == "exchange names" {
					return unix.EINVAL
				}
				return nil
			}, steps
		}
		for n := 1; ; n++ {
			folder := testarchive.BuiltTree(t, before)
			to := filepath.Join(folder, "site")
			f, steps := fault(n, unix.EIO)
			rep, err := Swap(context.Background(), a.OpenSnapshot, to, Options{Threads: 1, Fault: f}, swapTime)
			if n > len(*steps) {
				if err != nil || !slices.Contains(*steps, "exchange names") || refuse != slices.Contains(*steps, "second rename") {
					t.Errorf("%v; steps %q", err, *steps)
				}
				testtree.Equal(t, "new", want[0], testtree.Take(t, to), 0)
				testtree.Equal(t, "old", old, testtree.Take(t, to+oldSuffix), 0)
				break
			}
			what := fmt.Sprintf("step %d, %s, refused %v", n, (*steps)[n-1], refuse)
			if !errors.Is(err, unix.EIO) && !errors.Is(err, ErrIncomplete) {
				t.Errorf("%s: %v", what, err)
			}
			if exchanged := (*steps)[n-1] == "exchanged"; exchanged != errors.Is(err, ErrExchanged) {
				t.Errorf("%s: %v", what, err)
			} else if exchanged {
				testtree.Equal(t, what+": new", want[0], testtree.Take(t, to), 0)
				testtree.Equal(t, what+": old", old, testtree.Take(t, rep.OldTree), 0)
				continue
			}
			testtree.Equal(t, what, old, testtree.Take(t, to), 0)
			swapAgain(t, what, []archived{a, b}[n%2], want[n%2], old, folder)
		}
		for n := int64(1); ; n++ {
			folder := testarchive.BuiltTree(t, before)
			o := order{Catalog: a.catalogPath(), Dir: a.Dir, To: filepath.Join(folder, "site"), Swap: true, KillAt: n,
				Now: swapTime}
			if killed, _ := o.run(t); !killed {
				break
			}
			if _, err := os.Lstat(filepath.Join(o.To, "own")); err != nil { // that was after the exchange
				testtree.Equal(t, "new", want[0], testtree.Take(t, o.To), 0)
				testtree.Equal(t, "old", old, testtree.Take(t, o.To+oldSuffix), 0)
				continue
			}
			testtree.Equal(t, fmt.Sprintf("killed before step %d", n), old, testtree.Take(t, o.To), 0)
			swapAgain(t, fmt.Sprintf("killed before step %d", n), []archived{a, b}[n%2], want[n%2], old, folder)
		}
	}
}

// swapAgain exchanges, and looks for the old tree.
func swapAgain(t *testing.T, what string, a archived, want, old testtree.Tree, folder string) {
	t.Helper()
	to := filepath.Join(folder, "site")
	rep, err := Swap(context.Background(), a.OpenSnapshot, to, Options{}, swapTime)
	if err != nil {
		t.Errorf("%s: the next one: %v", what, err)
		return
	}
	testtree.Equal(t, what+": new", want, testtree.Take(t, to), 0)
	testtree.Equal(t, what+": old", old, testtree.Take(t, rep.OldTree), 0)
	for _, name := range names(t, folder) {
		if strings.HasPrefix(name, ".") {
			t.Errorf("%s: %s was left", what, name)
		}
	}
}

// Guards: a top folder that cannot be moved once it has its attributes gets them after the exchange; an old one that
// cannot be moved is told of before any work.
func TestSwapOfAnImmutableTop(t *testing.T) {
	source := testarchive.BuiltTree(t, "file f 0644 x\nset . mtime=2")
	folder := testarchive.BuiltTree(t, "dir site 0711\nfile site/own 0600 x")
	to := filepath.Join(folder, "site")
	if !chattr(t, "+i", source, []string{"."}) {
		t.Skip("no file attributes here")
	}
	t.Cleanup(func() { chattr(t, "-i", source, []string{"."}) })
	a := take(t, source)
	t.Cleanup(func() { chattr(t, "-i", to, []string{"."}) })
	rep, err := Swap(context.Background(), a.OpenSnapshot, to, Options{Attrs: true}, swapTime)
	if err != nil {
		t.Fatal(err)
	}
	testtree.Equal(t, "new", testtree.Take(t, source), testtree.Take(t, to), 0)
	if rep.CatalogOnly.Attrs > 0 {
		t.Errorf("attributes of %d entries were not held", rep.CatalogOnly.Attrs)
	}
	if err := os.WriteFile(filepath.Join(to, "new"), nil, 0o600); !errors.Is(err, unix.EPERM) {
		t.Errorf("the new top can be written to: %v", err)
	}
	before := names(t, folder)
	_, err = Swap(context.Background(), a.OpenSnapshot, to, Options{Attrs: true}, swapTime)
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "chattr") {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff(before, names(t, folder)); diff != "" {
		t.Error(diff)
	}
}
