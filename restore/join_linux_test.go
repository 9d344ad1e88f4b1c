package restore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/internal/outcome"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtree"
)

// Guards: a missing name of a link group becomes a link to the name that the target still has, whichever the restore
// meets first, and what exists keeps its inode and its names outside of the restored paths.
func TestMissingNamesJoinTheirGroup(t *testing.T) {
	source := testarchive.TempDir(t)
	b := testarchive.Builder{T: t, Root: source}
	for _, dir := range []string{"a", "b", "c"} {
		b.Dir(dir)
	}
	b.File("a/r", "content")
	b.Link("a/r", "a/q")
	b.Link("a/r", "b/r2")
	b.Link("a/r", "c/r3")
	b.File("c/alone", "content")
	want := testarchive.Describe(t, source)
	a := take(t, source)
	for _, c := range []struct {
		name   string
		remove []string
		paths  []string
		opt    Options
	}{
		{"first", []string{"a/r"}, nil, Options{}},
		{"first two", []string{"a/r", "a/q"}, nil, Options{}},
		{"folder", []string{"a"}, nil, Options{}},
		{"last", []string{"c/r3"}, nil, Options{}},
		{"all but one", []string{"a/r", "b/r2", "c"}, nil, Options{Overwrite: OverwriteChanged}},
		{"in place", []string{"a/r", "a/q"}, []string{"a/r", "a/q"}, Options{InPlace: true}},
		{"in place, two folders", []string{"a", "b/r2"}, []string{"a", "b"}, Options{InPlace: true}},
		{"in place, the last", []string{"c"}, []string{"c"}, Options{InPlace: true, Overwrite: OverwriteChanged}},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := filepath.Join(testarchive.TempDir(t), "target")
			a := archived{a.OpenSnapshot, t}
			a.restore(nil, target, Options{})
			outside := target + "-outside"
			check(t, os.Link(filepath.Join(target, "a/q"), outside))
			for _, name := range c.remove {
				if name == "c" { // of its group, b/r2 or the outside name alone is left
					check(t, os.Remove(filepath.Join(target, "c/alone")))
				}
				check(t, os.RemoveAll(filepath.Join(target, name)))
			}
			dry := c.opt
			dry.DryRun = true
			if rep := a.restore(c.paths, target, dry); rep.FailedCount > 0 {
				t.Errorf("dry run: %v", rep.Failed)
			}
			if rep := a.restore(c.paths, target, c.opt); rep.FailedCount > 0 {
				t.Errorf("failed: %v", rep.Failed)
			}
			testarchive.SameTree(t, withoutFolders(want), withoutFolders(testarchive.Describe(t, target)))
			one, err := os.Stat(outside)
			check(t, err)
			two, err := os.Stat(filepath.Join(target, "b/r2"))
			check(t, err)
			if !os.SameFile(one, two) {
				t.Error("what existed has lost its other names")
			}
		})
	}
}

// withoutFolders drops the lines of folders, whose times may be those of the last change.
func withoutFolders(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.Contains(line, "type=4000") })
}

// Guards: a restored file never becomes a name of the archive's stored file, though the target has another name of its
// group that is one.
func TestNoJoiningWithTheStoredFile(t *testing.T) {
	source := testarchive.TempDir(t)
	b := testarchive.Builder{T: t, Root: source}
	b.Dir("a")
	b.Dir("b")
	b.File("a/x", "content")
	b.Link("a/x", "b/x")
	a := take(t, source)
	target := filepath.Join(t.TempDir(), "target")
	if out, err := exec.Command("cp", "-al", a.Dir, target).CombinedOutput(); err != nil {
		t.Skip("the target cannot have hard links of the archive here: ", string(out))
	}
	check(t, os.RemoveAll(filepath.Join(target, "a")))
	a.restore([]string{"a/x"}, target, Options{InPlace: true})
	stored, err := os.Stat(filepath.Join(a.Dir, "a/x"))
	check(t, err)
	restored, err := os.Stat(filepath.Join(target, "a/x"))
	check(t, err)
	if os.SameFile(stored, restored) {
		t.Error("who writes to the restored file changes the snapshot")
	}
}

// Guards: a file that is as in the snapshot but for being a separate one stays without Overwrite, and the reason is told.
func TestSeparateFileInPlaceOfLink(t *testing.T) {
	source := testarchive.TempDir(t)
	b := testarchive.Builder{T: t, Root: source}
	b.File("r", "content")
	b.Link("r", "s")
	want := testarchive.Describe(t, source)
	a := take(t, source)
	target := filepath.Join(testarchive.TempDir(t), "target")
	a.restore(nil, target, Options{})
	check(t, os.Remove(filepath.Join(target, "s")))
	if out, err := exec.Command("cp", "-p", filepath.Join(target, "r"), filepath.Join(target, "s")).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	rep := a.restore(nil, target, Options{})
	wantFailed(t, rep, "s")
	if len(rep.Failed) == 1 && (!errors.Is(rep.Failed[0].Err, ErrExists) || !strings.Contains(rep.Failed[0].Err.Error(), "hard link of")) {
		t.Error(rep.Failed[0].Err)
	}
	a.restore(nil, target, Options{Overwrite: OverwriteChanged})
	testarchive.SameTree(t, want, testarchive.Describe(t, target))
}

// Guards: whatever names of link groups are removed from a restored tree, replaced or changed, restoring again gives the
// snapshot's groups.
func TestGroupsRestoredAgain(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			source := testarchive.TempDir(t)
			b := testarchive.Builder{T: t, Root: source}
			var names []string
			for i := range 5 {
				b.Dir(fmt.Sprint("d", i))
			}
			for i := range 24 {
				name := fmt.Sprintf("d%d/f%d", rng.IntN(5), i)
				if i < 6 {
					b.File(name, fmt.Sprint("content ", rng.IntN(3)))
				} else {
					b.Link(names[rng.IntN(len(names))], name)
				}
				names = append(names, name)
			}
			want := testarchive.Describe(t, source)
			a := take(t, source)
			target := filepath.Join(testarchive.TempDir(t), "target")
			a.restore(nil, target, Options{})
			for step := range 12 {
				gentle := step%2 == 0 // nothing but removals
				for range 1 + rng.IntN(8) {
					damageGroup(t, rng, filepath.Join(target, names[rng.IntN(len(names))]), gentle)
				}
				opt := Options{Overwrite: OverwriteChanged}
				if gentle {
					opt.Overwrite = OverwriteNever
				}
				if rep := a.restore(nil, target, opt); rep.FailedCount > 0 {
					t.Errorf("failed: %v", rep.Failed)
				}
				testarchive.SameTree(t, withoutFolders(want), withoutFolders(testarchive.Describe(t, target)))
				if t.Failed() {
					t.Fatalf("at step %d", step)
				}
			}
		})
	}
}

func damageGroup(t *testing.T, rng *rand.Rand, path string, gentle bool) {
	t.Helper()
	if _, err := os.Lstat(path); err != nil {
		return
	}
	how := rng.IntN(5)
	if gentle {
		how %= 2
	}
	switch how {
	case 0:
		check(t, os.Remove(path))
	case 1:
		if rng.IntN(3) == 0 {
			check(t, os.RemoveAll(filepath.Dir(path)))
		}
	case 2:
		check(t, os.WriteFile(path, []byte("other"), 0o600))
	case 3:
		content, err := os.ReadFile(path)
		check(t, err)
		check(t, os.Remove(path))
		check(t, os.WriteFile(path, content, 0o644))
	case 4:
		check(t, os.Chmod(path, 0o601))
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Guards: a tree whose files are hard links of the stored ones (cp -al) gets files of its own, or is told of; the archive's
// stored files get no further names.
func TestTargetOfStoredFiles(t *testing.T) {
	a := take(t, testarchive.BuiltTree(t, "file a 0644 \"x\"\nlink b a\nlink c a\nfile d 0644 \"y\""))
	to := testarchive.TempDir(t)
	for _, name := range []string{"a", "b", "d"} {
		check(t, os.Link(filepath.Join(a.Dir, name), filepath.Join(to, name)))
	}
	wantFailed(t, a.restore(nil, to, Options{}), "a", "b", "d")
	if rep := a.restore(nil, to, Options{Overwrite: OverwriteChanged}); rep.FailedCount > 0 {
		t.Errorf("%+v", rep)
	}
	testtree.Equal(t, "overwritten", testtree.Take(t, a.Dir), testtree.Take(t, to), 0)
	var stored, own unix.Stat_t
	for _, name := range []string{"a", "b", "c", "d"} {
		check(t, errors.Join(unix.Stat(filepath.Join(a.Dir, name), &stored), unix.Stat(filepath.Join(to, name), &own)))
		if stored.Ino == own.Ino || stored.Nlink != own.Nlink {
			t.Errorf("%s: inode %d with %d names, stored %d with %d", name, own.Ino, own.Nlink, stored.Ino, stored.Nlink)
		}
	}
}

// Guards: where the stored file cannot be looked at, a name of the target that may be that file itself gets no further
// names: another name of its link group is not linked to it.
func TestTargetMayBeStoredFiles(t *testing.T) {
	for _, lost := range []string{"a", "a/x"} {
		t.Run(lost, func(t *testing.T) {
			a := take(t, testarchive.BuiltTree(t, "dir a 0755\nfile a/x 0644 \"x\"\nlink a/y a/x\nfile a/z 0644 \"z\""))
			to := testarchive.TempDir(t)
			x := filepath.Join(to, "a/x")
			check(t, os.Mkdir(filepath.Join(to, "a"), 0o755))
			check(t, os.Link(filepath.Join(a.Dir, "a/x"), x))
			var before, after unix.Stat_t
			check(t, os.Rename(filepath.Join(a.Dir, lost), filepath.Join(testarchive.TempDir(t), "lost")))
			check(t, unix.Stat(x, &before))
			for _, opt := range []Options{{}, {Overwrite: OverwriteChanged}, {InPlace: true}} {
				var paths []string
				if opt.InPlace {
					paths = []string{"a/x", "a/y"}
				}
				rep := a.restore(paths, to, opt)
				if !slices.ContainsFunc(rep.Failed, func(f outcome.Failure) bool { return f.Path == "a/x" }) {
					t.Errorf("%+v: a/x is not listed: %+v", opt, rep.Failed)
				}
				check(t, unix.Stat(x, &after))
				if after.Ino != before.Ino || after.Nlink != before.Nlink || after.Ctim != before.Ctim {
					t.Errorf("%+v: the stored file had %d names, and has %d; its time was %v, is %v", opt,
						before.Nlink, after.Nlink, before.Ctim, after.Ctim)
				}
			}
		})
	}
}

// Guards: a file of the target with a single name is no stored file of the archive, so that it is compared, and gets the
// other names of its link group, also where the stored file cannot be looked at.
func TestSingleNameIsNoStoredFile(t *testing.T) {
	for _, lost := range []string{"a", "a/x"} {
		for _, opt := range []Options{{}, {Overwrite: OverwriteChanged}, {InPlace: true}} {
			a := take(t, testarchive.BuiltTree(t, "dir a 0755\nfile a/x 0644 \"x\"\nlink a/y a/x\nfile z 0644 \"z\""))
			to := testarchive.TempDir(t)
			wantFailed(t, a.restore(nil, to, Options{}))
			want := testtree.Take(t, to)
			check(t, os.Remove(filepath.Join(to, "a/y")))
			check(t, os.Rename(filepath.Join(a.Dir, lost), filepath.Join(testarchive.TempDir(t), "lost")))
			var paths []string
			if opt.InPlace {
				paths = []string{"a/x", "a/y"}
			}
			wantFailed(t, a.restore(paths, to, opt))
			testtree.Equal(t, lost, want, testtree.Take(t, to), testtree.Mtime)
		}
	}
}
