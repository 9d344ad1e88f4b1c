package snapshot_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
	"snapcopy/internal/verify"
	"snapcopy/snapshot"
)

// Guards: a file that is written to between the reading of two of its names is one file in the snapshot, with the content
// it had then, and nothing is said of it.
func TestGroupChangesBetweenItsNames(t *testing.T) {
	for _, c := range []struct{ name, script, change string }{
		{"new", "", `append a "more"`},
		{"unchanged", "", `append a "more"`},
		{"unchanged, mode", "", "set z/b mode=0600"},
		{"already changed", `append a "2"`, `append a "3"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.Parallel = true
			l.Build("file a 0644 \"content\"\ndir z 0755\nlink z/b a\nlink z/c a")
			if c.name != "new" {
				testtree.Settle()
				l.Run()
				l.Build("file m 0644 \"m\"\n" + c.script)
			}
			want := testtree.Take(t, l.Src)
			l.Opt.Threads = 1
			l.Opt.Fault = func(step string) error {
				if step == "mkdir" { // the top's names have been dealt with, and z's have not
					l.Build(c.change)
				}
				return nil
			}
			rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
			if err != nil {
				t.Fatal(err)
			}
			l.Opt.Fault = nil
			l.Note(rep)
			testtree.Equal(t, "snapshot", want, l.Taken[rep.Snapshot], 0)
			if rep.CatalogOnly != (archive.CatalogOnly{}) || rep.Incomplete {
				t.Errorf("not held: %+v, incomplete %v", rep.CatalogOnly, rep.Incomplete)
			}
			l.Verify()
			next := l.Run()
			if next.Counts.Changed != 3 {
				t.Errorf("then %d changed; want all 3 names", next.Counts.Changed)
			}
		})
	}
}

// Guards: a file that kept changing while it was read is still one file under all its names.
func TestTornGroupStaysTogether(t *testing.T) {
	l := newLab(t)
	l.Build("file a 0644 \"a\"\nlink b a\nlink c a")
	l.at("write", -1, `append a "x"`)
	rep := l.runChanging()
	taken := l.Taken[rep.Snapshot]
	if taken["a"].Ino != taken["b"].Ino || taken["a"].Ino != taken["c"].Ino {
		t.Error("the names have several stored files")
	}
	if rep.Counts.Failed != 3 || rep.CatalogOnly != (archive.CatalogOnly{}) {
		t.Errorf("%d failed, not held: %+v", rep.Counts.Failed, rep.CatalogOnly)
	}
	l.Run()
}

// Guards: a link group that the stored file has no room for is stored once more as a whole; one that no inode can hold is
// stored in parts, each linked to the one it was before while there is room. Nothing of either has changed.
func TestGroupBeyondTheLinkLimit(t *testing.T) {
	t.Parallel()
	const limit = 65_000 // EXT4_LINK_MAX
	disk := testtree.NewDisk(t, "ext4", 96*archivetest.MiB, "-N", "4096")
	for _, names := range []int{limit/2 + 500, limit + 1000} {
		l := newLab(t)
		l.Src = filepath.Join(t.TempDir(), "tmpfs")
		check(t, os.Mkdir(l.Src, 0o755))
		testtree.Tmpfs(t, l.Src, "mode=755")
		l.Arch = filepath.Join(disk.Path, fmt.Sprint("archive", names))
		l.Build("file f 0644 content")
		for i := 1; i < names; i++ {
			check(t, os.Link(filepath.Join(l.Src, "f"), fmt.Sprint(l.Src, "/f", i)))
		}
		for i := range 2 { // the second run reads the file again, because it has just been linked
			rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
			check(t, err)
			if want := fmt.Sprint(names, " unchanged"); i > 0 {
				l.Counts(rep, want)
			}
			if i > 0 && names < limit && rep.LinkLimit != 1 {
				t.Errorf("%d of %d names: the limit is reached by %d files", names, limit, rep.LinkLimit)
			}
			if (rep.CatalogOnly.Links > 0) != (names > limit) {
				t.Errorf("%d of %d names: %d links not held", limit, names, rep.CatalogOnly.Links)
			}
			if rep.CatalogOnly.Links > uint64(names) || rep.Counts.BytesStored > 2*7 {
				t.Errorf("%d links not held, %d bytes stored", rep.CatalogOnly.Links, rep.Counts.BytesStored)
			}
			testtree.Settle()
		}
		l.Opt.Threads = 0
		if found := l.Damage(verify.Options{}); len(found) > 0 {
			t.Errorf("verify: %v", found[0])
		}
	}
}

// Guards: in an archive that was copied to another place, whether the copy kept hard links or not, unchanged groups are
// unchanged and one file each.
func TestGroupsInCopiedArchive(t *testing.T) {
	for _, how := range []string{"-a", "-rp --preserve=all --no-preserve=links"} {
		t.Run(how, func(t *testing.T) {
			l := newLab(t)
			l.Build("dir a 0755\nfile a/r 0644 content\ndir b 0755\nlink b/r2 a/r\nlink b/r3 a/r\nsymlink s t\nlink b/s s\n" +
				"file single 0644 single")
			testtree.Settle()
			l.Run()
			moved := l.Arch + "-copy"
			if out, err := exec.Command("sh", "-c", "cp "+how+" "+l.Arch+" "+moved).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			l.Arch = moved
			l.Counts(l.Run(), "6 unchanged")
			l.Counts(l.Run(), "6 unchanged")
		})
	}
}

// Guards: whatever becomes of link groups in the source and in the archive between two runs, the snapshot has the
// source's groups, and a run after which nothing was changed finds everything unchanged.
func TestGroupsOverTime(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.Parallel = true
			rng := rand.New(rand.NewPCG(seed, 9))
			outside := filepath.Join(filepath.Dir(l.Src), "outside")
			check(t, os.Mkdir(outside, 0o755))
			l.Build("dir a 0755\ndir a/deep 0755\ndir b 0755\nfile a/f 0644 first")
			for step := range 10 {
				for range 1 + rng.IntN(3) {
					l.editGroups(rng, outside, step)
				}
				if rng.IntN(3) == 0 {
					testtree.Settle()
				}
				l.Run()
				if rng.IntN(4) == 0 {
					l.copyArchive(step)
				}
				if rng.IntN(3) == 0 {
					l.loseStored(rng)
				}
				rep := l.Run()
				if n := rep.Counts.Files; n > 0 {
					l.Counts(rep, fmt.Sprint(n, " unchanged"))
				}
				if t.Failed() {
					t.Fatalf("at step %d", step)
				}
			}
		})
	}
}

// editGroups makes, breaks or changes one name of the source, or one outside it.
func (l *lab) editGroups(rng *rand.Rand, outside string, step int) {
	l.T.Helper()
	var names []string
	for _, dir := range []string{l.Src, filepath.Join(l.Src, "a"), filepath.Join(l.Src, "a", "deep"),
		filepath.Join(l.Src, "b"), outside} {
		list, err := os.ReadDir(dir)
		check(l.T, err)
		for _, e := range list {
			if !e.IsDir() {
				names = append(names, filepath.Join(dir, e.Name()))
			}
		}
	}
	fresh := func() string {
		dir := []string{"", "a", "a/deep", "b", "../outside"}[rng.IntN(5)]
		return filepath.Join(l.Src, dir, fmt.Sprintf("n%d-%d", step, rng.IntN(1_000_000)))
	}
	if len(names) < 3 {
		check(l.T, os.WriteFile(fresh(), fmt.Append(nil, "content ", rng.IntN(3)), 0o644))
		return
	}
	name := names[rng.IntN(len(names))]
	switch rng.IntN(9) {
	case 0, 1, 2:
		check(l.T, os.Link(name, fresh()))
	case 3:
		check(l.T, os.Remove(name))
	case 4:
		check(l.T, os.Rename(name, fresh()))
	case 5:
		check(l.T, os.WriteFile(name, fmt.Append(nil, "content ", rng.IntN(3)), 0o644))
	case 6:
		check(l.T, os.Chmod(name, os.FileMode(0o600+rng.IntN(0o200))))
	case 7: // a copy takes the name's place
		content, err := os.ReadFile(name)
		check(l.T, err)
		check(l.T, os.Remove(name))
		check(l.T, os.WriteFile(name, content, 0o644))
	case 8:
		check(l.T, os.WriteFile(fresh(), fmt.Append(nil, "content ", rng.IntN(3)), 0o644))
	}
}

func (l *lab) copyArchive(step int) {
	l.T.Helper()
	moved := fmt.Sprint(filepath.Dir(l.Arch), "/archive", step)
	if out, err := exec.Command("cp", "-a", l.Arch, moved).CombinedOutput(); err != nil {
		l.T.Fatalf("%v: %s", err, out)
	}
	l.Arch = moved
}

// loseStored removes one name, or all names of one stored file, from the newest snapshot.
func (l *lab) loseStored(rng *rand.Rand) {
	l.T.Helper()
	newest := l.Order[len(l.Order)-1]
	taken := l.Taken[newest]
	var names []string
	for name, item := range taken {
		if item.Type != "dir" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	lost := names[rng.IntN(len(names))]
	all := rng.IntN(2) == 0
	for _, name := range names {
		if name == lost || all && taken[name].Ino == taken[lost].Ino {
			check(l.T, os.Remove(l.Path(newest, name)))
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
