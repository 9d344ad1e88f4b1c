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
	"snapcopy/internal/fsat"
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
	b := builder{t, filepath.Join(tempDir(t), "source")}
	b.file("dir/sub/file", "x")
	b.file("dir/sub/more/file", "x")
	b.check(os.Symlink("x", b.path("dir/sub/symlink")))
	b.check(unix.Mkfifo(b.path("dir/sub/fifo"), 0o666))
	b.deep("dir/deep", dirhandles.MaxIdle+5)
	a := archive(t, b.root)
	for _, planted := range []string{"dir", "dir/sub", "dir/sub/more", "dir/sub/file", "dir/sub/fifo", "dir/deep"} {
		t.Run(planted, func(t *testing.T) {
			outside := builder{t, tempDir(t)}
			outside.file("file", "old")
			outside.dir("sub")
			before := describe(t, outside.root)
			to := tempDir(t)
			name := filepath.Join(to, planted)
			swapped := false
			swap := func(string) error {
				if _, err := os.Lstat(name); swapped || err != nil {
					return nil
				}
				swapped = true
				dest := outside.root
				if filepath.Base(name) != "dir" && !strings.HasSuffix(name, "sub") {
					dest = outside.path("file")
				}
				return errors.Join(os.Rename(name, name+".away"), os.Symlink(dest, name))
			}
			rep, err := Run(context.Background(), a.Source, nil, to, Options{Threads: 1, Fault: swap})
			if !swapped {
				t.Fatal("nothing was swapped")
			}
			if err == nil && rep == nil {
				t.Error("neither a report nor an error")
			}
			sameTree(t, before, describe(t, outside.root))
		})
	}
}

// A folder that is moved out of the target while it is filled does not take the run with it: the folder it is moved
// into gets neither entries nor metadata.
func TestMovedFolderLeadsNowhere(t *testing.T) {
	b := builder{t, filepath.Join(tempDir(t), "source")}
	b.deep("deep", dirhandles.MaxIdle+20)
	a := archive(t, b.root)
	outside := builder{t, tempDir(t)}
	outside.mode("", 0o700)
	to := tempDir(t)
	steps := 0
	_, err := Run(context.Background(), a.Source, nil, to, Options{Threads: 1, Fault: func(step string) error {
		if step != "mkdir" {
			return nil
		}
		if steps++; steps != dirhandles.MaxIdle+15 {
			return nil
		}
		return os.Rename(filepath.Join(to, "deep/0/1/2"), outside.path("moved"))
	}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(outside.root)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder outside became %v, %v", info.Mode(), err)
	}
	list, err := os.ReadDir(outside.root)
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
	b := builder{t, filepath.Join(tempDir(t), "source")}
	b.file("dir/README/x", "x")
	b.file("dir/file", "x")
	a := archive(t, b.root)
	to := builder{t, tempDir(t)}
	made := once("mkdir", 2, func() error { return os.Mkdir(to.path("dir/README"), 0o711) })
	rep := a.restore(nil, to.root, Options{Threads: 1, Fault: made})
	wantFailed(t, rep, "dir/README")
	if len(rep.Failed) == 1 && !errors.Is(rep.Failed[0].Err, ErrExists) {
		t.Error(rep.Failed[0].Err)
	}
	if _, err := os.Lstat(to.path("dir/README/x")); err == nil {
		t.Error("the folders were merged")
	}
}

// The file that further names are linked to was replaced meanwhile: nothing foreign gets into the restored tree.
func TestReplacedLinkSource(t *testing.T) {
	b := builder{t, filepath.Join(tempDir(t), "source")}
	b.file("a/file", "shared")
	b.link("a/file", "b/file")
	a := archive(t, b.root)
	to := builder{t, tempDir(t)}
	replace := once("link", 1, func() error {
		return errors.Join(os.Remove(to.path("a/file")), os.WriteFile(to.path("a/file"), []byte("foreign"), 0o644))
	})
	rep := a.restore(nil, to.root, Options{Threads: 1, Fault: replace})
	wantFailed(t, rep)
	if content, err := os.ReadFile(to.path("b/file")); err != nil || string(content) != "shared" || rep.NotHeld.Links != 1 {
		t.Errorf("b/file holds %q, %v; %d links not held", content, err, rep.NotHeld.Links)
	}
}

// Where others may change names, one of our own folders could be put in the place of the new one.
func TestSwappedFolderIsNotFilled(t *testing.T) {
	b := builder{t, filepath.Join(tempDir(t), "source")}
	b.file("dir/file", "x")
	b.mode("dir", 0o777)
	a := archive(t, b.root)
	to := builder{t, tempDir(t)}
	to.file("mine/diary", "x")
	to.mode("mine", 0o700)
	d := &dir{parent: &dir{}, name: "dir", own: true}
	r := &run{from: a.Source}
	var err error
	if d.handles.dst, err = openForTest(to.path("mine")); err != nil {
		t.Fatal(err)
	}
	d.handles.src = fsat.NoDir
	if err := r.startDir(new(worker), d); !errors.Is(err, errMoved) {
		t.Errorf("error %v", err)
	}
	b.check(d.closeHandles())
	if info, err := os.Stat(to.path("mine")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("our folder became %v, %v", info.Mode(), err)
	}
}

// A device or a pipe that was put in the place of the one just made gets no metadata.
func TestReplacedSpecialFile(t *testing.T) {
	b := builder{t, filepath.Join(tempDir(t), "source")}
	b.check(os.Mkdir(b.root, 0o755))
	b.check(unix.Mkfifo(b.path("fifo"), 0o666))
	a := archive(t, b.root)
	e, ok, err := a.Catalog.Lookup("fifo")
	if err != nil || !ok {
		t.Fatal(err)
	}
	to := builder{t, tempDir(t)}
	to.check(unix.Mkfifo(to.path("other"), 0o600))
	to.check(os.Link(to.path("other"), to.path("fifo")))
	fd, err := openForTest(to.root)
	to.check(err)
	if _, err := openMade(fd, "fifo", &e); !errors.Is(err, errReplaced) {
		t.Errorf("a link to another pipe: %v", err)
	}
	to.check(errors.Join(os.Remove(to.path("fifo")), os.Symlink("other", to.path("fifo"))))
	if _, err := openMade(fd, "fifo", &e); !errors.Is(err, errReplaced) {
		t.Errorf("a symbolic link: %v", err)
	}
	to.check(unix.Close(fd))
}

func openForTest(path string) (int, error) {
	return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// A stored file shrinks, is written to or grows between being opened and being read. What was stored is restored, or
// nothing.
func TestStoredFileChangesWhileItIsRead(t *testing.T) {
	b := builder{t, filepath.Join(tempDir(t), "source")}
	b.file("grows", "content")
	b.file("shrinks", "content")
	b.file("spoilt", "content")
	a := archive(t, b.root)
	change := 0
	rep := a.restore(nil, filepath.Join(tempDir(t), "to"), Options{Threads: 1, Fault: func(step string) error {
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
	if i := slices.IndexFunc(rep.Failed, func(f FailedItem) bool { return !errors.Is(f.Err, ErrDamaged) }); i >= 0 {
		t.Error(rep.Failed[i].Err)
	}
}
