package restore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/filter"
	"snapcopy/internal/outcome"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// exist checks which of some names a tree has.
func exist(t *testing.T, dir string, want bool, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v, and it should be there: %v", name, err, want)
		}
	}
}

func wantUnsaved(t *testing.T, rep *Report, items ...string) {
	t.Helper()
	var got []string
	for _, u := range rep.Unsaved {
		got = append(got, u.Path+": "+u.Why)
	}
	if !slices.Equal(got, items) || rep.UnsavedCount != uint64(len(items)) {
		t.Errorf("%d without a copy: %q, want %q", rep.UnsavedCount, got, items)
	}
}

// Guards: what is on a file system that the snapshot did not look into is never deleted while that is mounted, and
// without a word of the caller not in its mount point either. What is on one that it did look into is.
func TestDeleteStopsAtMountsThatTheSnapshotDidNotCross(t *testing.T) {
	needRoot(t)
	for _, stay := range []bool{true, false} {
		source := testarchive.BuiltTree(t, "dir mnt 0755\ndir empty 0755\ndir d 0755\nfile d/f 0644 x\nfile bound 0644")
		mnt := filepath.Join(source, "mnt")
		testtree.Tmpfs(t, mnt, "size=1m,mode=0755")
		testtree.Build(t, mnt, "file own 0644 x\ndir sub 0755\nfile sub/own 0644 x")
		testtree.Tmpfs(t, filepath.Join(source, "empty"), "size=1m,mode=0755")
		path := filepath.Join(testarchive.TempDir(t), "archive")
		run, err := snapshot.Run(context.Background(), source, path, snapshot.Options{OneFileSystem: stay})
		if err != nil {
			t.Fatal(err)
		}
		c, err := index.Open(filepath.Join(path, ".snapcopy", "catalogs", run.Snapshot+".cat"))
		if err != nil {
			t.Fatal(err)
		}
		defer testarchive.CloseAll(t, c)
		a := archived{archive.OpenSnapshot{Catalog: c, Snapshot: archive.Snapshot{Dir: filepath.Join(path, run.Snapshot)}}, t}
		testtree.Build(t, source, "file new 0644\nfile d/new 0644\nfile mnt/new 0644\nfile empty/new 0644\nfile file 0644")
		testtree.Bind(t, filepath.Join(source, "bound"), filepath.Join(source, "file"))

		opt := inPlace
		opt.Guard = &Guard{Filter: run.Filters}
		rep := a.restore(nil, source, opt)
		wantFailed(t, rep)
		wantUnsaved(t, rep)
		exist(t, source, false, "new", "d/new")
		exist(t, source, true, "mnt/own", "mnt/sub/own", "empty/new", "file")
		exist(t, source, stay, "mnt/new") // the snapshot has what was there if it has looked
		spared := []string{"empty", "file", "mnt"}
		if !stay {
			spared = []string{"empty", "file"}
		}
		if !slices.Equal(rep.Spared, spared) {
			t.Errorf("spared %q", rep.Spared)
		}
		if !stay {
			continue
		}
		opt.DeleteUnsaved = true
		wantFailed(t, a.restore(nil, source, opt))
		exist(t, source, true, "mnt/own", "mnt/sub/own", "mnt/new", "empty/new", "file")

		opt.DeleteUnsaved = false
		other := testarchive.BuiltTree(t, "dir mnt 0755\nfile mnt/under 0644")
		wantUnsaved(t, a.restore(nil, other, opt), "mnt/under: "+filter.RuleOneFileSystem)
		exist(t, other, true, "mnt/under")
		opt.DeleteUnsaved = true
		wantUnsaved(t, a.restore(nil, other, opt))
		exist(t, other, false, "mnt/under")
	}
}

// Guards: a directory that takes the place of what the snapshot has is not removed with what has no copy in it, and the
// attribute "no dump" counts as the run was told.
func TestInTheWayWithoutACopy(t *testing.T) {
	needRoot(t)
	source := testarchive.BuiltTree(t, "file x 0644 x\nset . mtime=5")
	a := take(t, source)
	to := testarchive.BuiltTree(t, "dir x 0755\nfile x/a 0644\ndir x/sub 0755\nfile x/sub/b 0644\nfile c 0644")
	if !chattr(t, "+d", to, []string{"x/sub/b", "c"}) {
		t.Skip("no file attributes here")
	}
	opt := mirror
	opt.Guard = &Guard{Filter: &filter.Filter{NoDump: true}}
	rep := a.restore(nil, to, opt)
	wantFailed(t, rep, "x")
	wantUnsaved(t, rep, "c: --respect-nodump", "x/sub/b: --respect-nodump")
	exist(t, to, true, "x/sub/b", "c")
	exist(t, to, false, "x/a")
	opt.DeleteUnsaved = true
	wantFailed(t, a.restore(nil, to, opt))
	exist(t, to, false, "x/sub/b", "c")
}

// Guards: the list of what was not deleted is bounded, its count exact.
func TestManyWithoutACopy(t *testing.T) {
	a := take(t, testarchive.BuiltTree(t, "dir d 0755\nset . mtime=5"))
	to := testarchive.BuiltTree(t, "dir d 0755")
	for i := range outcome.MaxListed + 1 {
		testtree.Build(t, to, fmt.Sprintf("file d/%d 0644", i))
	}
	opt := mirror
	opt.Guard = &Guard{Unnamed: "for all it knows"}
	rep := a.restore(nil, to, opt)
	if len(rep.Unsaved) != outcome.MaxListed || rep.UnsavedCount != outcome.MaxListed+1 || rep.Deleted != 0 {
		t.Errorf("%d named, %d counted, %d deleted", len(rep.Unsaved), rep.UnsavedCount, rep.Deleted)
	}
}
