package restore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/dirhandles"
	"snapcopy/internal/outcome"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/tree"
)

// once returns a fault that calls do before the n-th step of a kind, counted from 1, and fails no step.
func once(kind string, n int, do func() error) func(string) error {
	seen := 0
	return func(step string) error {
		if step != kind {
			return nil
		}
		if seen++; seen == n {
			return do()
		}
		return nil
	}
}

// Somebody who may write to the target swaps what was just made for a symbolic link.
func TestPlantedSymlinkLeadsNowhere(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("dir/sub/file", "x")
	b.File("dir/sub/more/file", "x")
	b.Check(os.Symlink("x", b.Path("dir/sub/symlink")))
	b.Check(unix.Mkfifo(b.Path("dir/sub/fifo"), 0o666))
	b.Deep("dir/deep", dirhandles.MaxIdle+5)
	a := take(t, b.Root)
	for _, planted := range []string{"dir", "dir/sub", "dir/sub/more", "dir/sub/file", "dir/sub/fifo", "dir/deep"} {
		t.Run(planted, func(t *testing.T) {
			outside := testarchive.Builder{T: t, Root: testarchive.TempDir(t)}
			outside.File("file", "old")
			outside.Dir("sub")
			before := testarchive.Describe(t, outside.Root)
			to := testarchive.TempDir(t)
			name := filepath.Join(to, planted)
			swapped := false
			swap := func(string) error {
				if _, err := os.Lstat(name); swapped || err != nil {
					return nil
				}
				swapped = true
				dest := outside.Root
				if filepath.Base(name) != "dir" && !strings.HasSuffix(name, "sub") {
					dest = outside.Path("file")
				}
				return errors.Join(os.Rename(name, name+".away"), os.Symlink(dest, name))
			}
			rep, err := Run(context.Background(), a.OpenSnapshot, nil, to, Options{Threads: 1, Fault: swap})
			if !swapped {
				t.Fatal("nothing was swapped")
			}
			if err == nil && rep == nil {
				t.Error("neither a report nor an error")
			}
			testarchive.SameTree(t, before, testarchive.Describe(t, outside.Root))
		})
	}
}

// A folder that is moved out of the target while it is filled does not take the run with it: the folder it is moved
// into gets neither entries nor metadata.
func TestMovedFolderLeadsNowhere(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.Deep("deep", dirhandles.MaxIdle+20)
	a := take(t, b.Root)
	outside := testarchive.Builder{T: t, Root: testarchive.TempDir(t)}
	outside.Mode("", 0o700)
	to := testarchive.TempDir(t)
	steps := 0
	_, err := Run(context.Background(), a.OpenSnapshot, nil, to, Options{Threads: 1, Fault: func(step string) error {
		if step != "mkdir" {
			return nil
		}
		if steps++; steps != dirhandles.MaxIdle+15 {
			return nil
		}
		return os.Rename(filepath.Join(to, "deep/0/1/2"), outside.Path("moved"))
	}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(outside.Root)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder outside became %v, %v", info.Mode(), err)
	}
	list, err := os.ReadDir(outside.Root)
	if err != nil || len(list) != 1 {
		t.Errorf("the folder outside holds %v, %v", list, err)
	}
	for _, name := range []string{"deep/0/1", "deep/0"} { // left in the end, with their own metadata
		if info, err := os.Stat(filepath.Join(to, name)); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// In a folder that the run has made itself, a name that exists stands for a second entry that the file system takes for
// the same, as one without upper and lower case does: the two must not be merged.
func TestCollidingFoldersAreNotMerged(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("dir/README/x", "x")
	b.File("dir/file", "x")
	a := take(t, b.Root)
	to := testarchive.Builder{T: t, Root: testarchive.TempDir(t)}
	made := once("mkdir", 2, func() error { return os.Mkdir(to.Path("dir/README"), 0o711) })
	rep := a.restore(nil, to.Root, Options{Threads: 1, Fault: made})
	wantFailed(t, rep, "dir/README")
	if len(rep.Failed) == 1 && !errors.Is(rep.Failed[0].Err, ErrExists) {
		t.Error(rep.Failed[0].Err)
	}
	if _, err := os.Lstat(to.Path("dir/README/x")); err == nil {
		t.Error("the folders were merged")
	}
}

// The file that further names are linked to was replaced meanwhile: nothing foreign gets into the restored tree.
func TestReplacedLinkSource(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("a/file", "shared")
	b.Link("a/file", "b/file")
	a := take(t, b.Root)
	to := testarchive.Builder{T: t, Root: testarchive.TempDir(t)}
	replace := once("link", 1, func() error {
		return errors.Join(os.Remove(to.Path("a/file")), os.WriteFile(to.Path("a/file"), []byte("foreign"), 0o644))
	})
	rep := a.restore(nil, to.Root, Options{Threads: 1, Fault: replace})
	wantFailed(t, rep)
	if content, err := os.ReadFile(to.Path("b/file")); err != nil || string(content) != "shared" || rep.CatalogOnly.Links != 1 {
		t.Errorf("b/file holds %q, %v; %d links not held", content, err, rep.CatalogOnly.Links)
	}
}

// Where others may change names, one of our own folders could be put in the place of the new one.
func TestSwappedFolderIsNotFilled(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("dir/file", "x")
	b.Mode("dir", 0o777)
	a := take(t, b.Root)
	to := testarchive.Builder{T: t, Root: testarchive.TempDir(t)}
	to.File("mine/diary", "x")
	to.Mode("mine", 0o700)
	d := &dir{parent: &dir{}, own: true}
	d.Begin(&d.parent.Folder, "dir")
	r := &run{scope: scope{OpenSnapshot: a.OpenSnapshot}}
	fd, err := openForTest(to.Path("mine"))
	if err != nil {
		t.Fatal(err)
	}
	d.Put(inTarget, fd, nil)
	if err := r.startDir(new(worker), d); !errors.Is(err, tree.ErrMoved) {
		t.Errorf("error %v", err)
	}
	b.Check(d.Close())
	if info, err := os.Stat(to.Path("mine")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("our folder became %v, %v", info.Mode(), err)
	}
}

// A device or a pipe that was put in the place of the one just made gets no metadata.
func TestReplacedSpecialFile(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.Check(os.Mkdir(b.Root, 0o755))
	b.Check(unix.Mkfifo(b.Path("fifo"), 0o666))
	a := take(t, b.Root)
	e, ok, err := a.Catalog.Lookup("fifo")
	if err != nil || !ok {
		t.Fatal(err)
	}
	to := testarchive.Builder{T: t, Root: testarchive.TempDir(t)}
	to.Check(unix.Mkfifo(to.Path("other"), 0o600))
	to.Check(os.Link(to.Path("other"), to.Path("fifo")))
	fd, err := openForTest(to.Root)
	to.Check(err)
	if _, err := openMade(fd, "fifo", &e); !errors.Is(err, errReplaced) {
		t.Errorf("a link to another pipe: %v", err)
	}
	to.Check(errors.Join(os.Remove(to.Path("fifo")), os.Symlink("other", to.Path("fifo"))))
	if _, err := openMade(fd, "fifo", &e); !errors.Is(err, errReplaced) {
		t.Errorf("a symbolic link: %v", err)
	}
	to.Check(unix.Close(fd))
}

func openForTest(path string) (int, error) {
	return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// A stored file shrinks, is written to or grows between being opened and being read. What was stored is restored, or
// nothing.
func TestStoredFileChangesWhileItIsRead(t *testing.T) {
	b := testarchive.Builder{T: t, Root: filepath.Join(testarchive.TempDir(t), "source")}
	b.File("grows", "content")
	b.File("shrinks", "content")
	b.File("spoilt", "content")
	a := take(t, b.Root)
	change := 0
	rep := a.restore(nil, filepath.Join(testarchive.TempDir(t), "to"), Options{Threads: 1, Fault: func(step string) error {
		if step != "write" {
			return nil
		}
		change++
		return os.WriteFile(filepath.Join(a.Dir, []string{"grows", "shrinks", "spoilt"}[change-1]),
			[]byte([]string{"content and more", "cont", "CONTENT"}[change-1]), 0o644)
	}})
	wantFailed(t, rep, "shrinks", "spoilt")
	if rep.Damaged != 2 || rep.Files != 1 {
		t.Errorf("damaged %d, files %d", rep.Damaged, rep.Files)
	}
	if i := slices.IndexFunc(rep.Failed, func(f outcome.Failure) bool { return !errors.Is(f.Err, tree.ErrDamaged) }); i >= 0 {
		t.Error(rep.Failed[i].Err)
	}
}
