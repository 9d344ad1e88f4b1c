package archive_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"snapcopy/internal/archive"
	"snapcopy/internal/fault"
	"snapcopy/internal/testtree"
)

const secretTree = `
	dir d 0755
	dir d/secret 0700 mtime=1000.5
	file d/secret/key 0600 "very secret" mtime=1000.25
	file d/secret/big 0600 random=200000:4
	dir d/secret/deep 0755
	file d/secret/deep/x 0644 deep
	file copy 0600 "very secret"
	file other 0644 other
	file a 0644 linked
	link d/secret/b a
	set d mtime=2000.125`

// secretLab has four snapshots; the first has no secret yet, and the content of one moves in the last.
func secretLab(l *lab) {
	l.Opt.Threads = 2
	l.Build("file early 0644 early")
	l.Run()
	l.Build(secretTree)
	l.Run()
	l.Build("write other changed\nset d/secret/big mode=0640")
	l.Run()
	l.Build("mv d/secret/deep/x moved\nset d mtime=2000.125")
	l.Run()
}

// forgets makes the lab expect a path in none of the snapshots.
func (l *lab) forgets(path string) {
	for _, tree := range l.Taken {
		for p := range tree {
			if p == path || strings.HasPrefix(p, path+"/") {
				delete(tree, p)
			}
		}
		names := make(map[string]int)
		for _, item := range tree {
			names[item.Group]++
		}
		for p, item := range tree {
			if names[item.Group] == 1 { // its other name is gone
				item.Group = ""
				tree[p] = item
			}
		}
	}
}

func (l *lab) forgetPath(path string, opt archive.ForgetOptions) (*archive.ForgetReport, error) {
	l.T.Helper()
	a := l.Open()
	defer l.Close(a)
	return a.ForgetPath(context.Background(), path, opt)
}

// Guards: a path is gone from every snapshot, its catalog and its report, and nothing else is touched; where the same
// content stays is told; and the next run is like any other.
func TestForgetPath(t *testing.T) {
	l := newLab(t)
	secretLab(l)
	var elsewhere []string
	tell := func(e archive.Elsewhere) error {
		elsewhere = append(elsewhere, fmt.Sprint(e.Path, " ", slices.Index(l.Order, e.Snapshot), " ", e.Linked))
		return nil
	}
	want := []string{"a 3 true", "copy 3 false", "moved 3 true"}
	for _, dry := range []bool{true, false} {
		elsewhere = nil
		rep, err := l.forgetPath("d/secret", archive.ForgetOptions{DryRun: dry, Elsewhere: tell})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(elsewhere)
		if !slices.Equal(elsewhere, want) || rep.Elsewhere != 3 {
			t.Errorf("elsewhere: %v, want %v", elsewhere, want)
		}
		if len(rep.Forgotten) != 3 || rep.Forgotten[0].Snapshot != l.Order[1] || rep.Forgotten[0].Below.Files != 4 ||
			rep.Forgotten[0].Below.Dirs != 2 || len(rep.Skipped) > 0 {
			t.Errorf("report: %+v", rep)
		}
		if dry {
			l.Intact()
		}
	}
	l.forgets("d/secret")
	l.Intact()
	l.Verify()
	for _, name := range l.Order {
		c, err := os.ReadFile(l.Path(archive.MetaDir, archive.CatalogsDir, name+archive.CatalogExt))
		if err != nil || strings.Contains(string(c), "secret") {
			t.Errorf("%s: %v, or its catalog has the name", name, err)
		}
	}
	if list, err := os.ReadDir(l.Path(archive.MetaDir, archive.TrashDir)); err != nil || len(list) > 0 {
		t.Errorf("trash: %v %v", list, err)
	}
	if err := os.RemoveAll(l.Src + "/d/secret"); err != nil {
		t.Fatal(err)
	}
	l.Build("mv other d/other")
	if rep := l.Run(); rep.IndexRebuilt != "" || rep.Counts.Moved != 1 {
		t.Errorf("the next run: index %q, %+v", rep.IndexRebuilt, rep.Counts)
	}
	l.Intact()
	l.Verify()
	if _, err := l.forgetPath("d/secret", archive.ForgetOptions{}); !errors.Is(err, archive.ErrInNoSnapshot) {
		t.Errorf("again: %v", err)
	}
	for _, path := range []string{"", ".", "/d", "d/", "d//other", "../source", "d/../d/other"} {
		if _, err := l.forgetPath(path, archive.ForgetOptions{}); err == nil {
			t.Errorf("forgets %q", path)
		}
	}
	l.Intact()
}

// Guards: forgetting that dies at any step, given again, ends as if nothing had happened, and nothing of it is left in
// the trash; a removal of something else finishes it as well.
func TestForgetPathRepeated(t *testing.T) {
	t.Parallel()
	steps := 0
	for at := 0; ; at++ {
		died := make([]bool, 2)
		for way := range died {
			l := newLab(t)
			l.Parallel = true
			secretLab(l)
			step := 0
			_, err := l.forgetPath("d/secret", archive.ForgetOptions{Fault: func(string) error {
				if step++; step > at {
					died[way] = true
					return fault.ErrCrash
				}
				return nil
			}})
			if !died[way] {
				break
			}
			if !errors.Is(err, fault.ErrCrash) {
				t.Fatalf("step %d: %v", at, err)
			}
			if way == 1 && at > 0 { // begun
				l.remove(l.Order[0])
			} else if rep, err := l.forgetPath("d/secret", archive.ForgetOptions{}); err != nil || at == 0 && len(rep.Forgotten) != 3 {
				t.Errorf("step %d: again: %+v, %v", at, rep, err)
			}
			if list, err := os.ReadDir(l.Path(archive.MetaDir, archive.TrashDir)); err != nil || len(list) > 0 {
				t.Errorf("step %d, way %d: trash: %v %v", at, way, list, err)
			}
			l.forgets("d/secret")
			l.Intact()
			l.Verify()
		}
		if !died[0] {
			steps = at
			break
		}
	}
	if steps < 13 {
		t.Errorf("%d steps", steps)
	}
}

// Guards: forgetting that dies at any step leaves sound snapshots once the lock was taken again, and goes on to its
// end.
func TestForgetPathCrashes(t *testing.T) {
	for at := 0; ; at++ {
		l := newLab(t)
		secretLab(l)
		step, died := 0, false
		_, err := l.forgetPath("d/secret", archive.ForgetOptions{Fault: func(string) error {
			if step++; step > at {
				died = true
				return fault.ErrCrash
			}
			return nil
		}})
		if !died {
			if err != nil || at < 12 {
				t.Errorf("%d steps, %v", at, err)
			}
			break
		}
		if !errors.Is(err, fault.ErrCrash) {
			t.Errorf("step %d: %v", at, err)
		}
		if at == 0 { // not begun
			l.Intact()
		} else {
			l.forgets("d/secret")
		}
		if err := os.RemoveAll(l.Src + "/d/secret"); err != nil {
			t.Fatal(err)
		}
		if rep := l.Run(); rep.IndexRebuilt != "" && at > 0 {
			t.Errorf("step %d: the index was made anew: %s", at, rep.IndexRebuilt)
		}
		l.Intact()
		l.Verify()
	}
}

// Guards: a snapshot that is being read keeps the path, and that is said; the others lose it.
func TestForgetPathInUse(t *testing.T) {
	l := newLab(t)
	secretLab(l)
	a := l.Open()
	defer l.Close(a)
	list, err := a.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	hold, err := list[2].Hold()
	if err != nil {
		t.Fatal(err)
	}
	kept := l.Taken[l.Order[2]]
	rep, err := l.forgetPath("d/secret/key", archive.ForgetOptions{})
	if err != nil || len(rep.Forgotten) != 2 || len(rep.Skipped) != 1 || rep.Skipped[0].Name != l.Order[2] {
		t.Errorf("%+v, %v", rep, err)
	}
	if err := hold.Release(); err != nil {
		t.Error(err)
	}
	l.Taken[l.Order[2]] = testtree.Tree{}
	l.forgets("d/secret/key")
	l.Taken[l.Order[2]] = kept
	l.Intact()
	l.Verify()
}

// Guards: an unreadable note says nothing about the path that was being forgotten, even if it names one: that no snapshot
// has the path is then told as an error.
func TestForgettingUnreadableNote(t *testing.T) {
	l := newLab(t)
	l.Build("file f 0644 f")
	l.Run()
	a := l.Open()
	defer l.Close(a)
	note := a.Meta.Path("forget.json")
	for _, text := range []string{`{"path_base64": "Z29uZQ=="}`, `{"path_base64": "Z29uZQ==", "snapshots": "all"}`} {
		if err := os.WriteFile(note, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if path, ok := a.Forgetting(); path != "" || ok {
			t.Errorf("%s: forgetting %q, %v", text, path, ok)
		}
		meaning := archive.Meaning{Paths: func(string) ([]string, error) { return []string{"gone"}, nil }}
		report, err := a.ForgetMeant(t.Context(), meaning, archive.ForgetOptions{})
		if !errors.Is(err, archive.ErrInNoSnapshot) {
			t.Errorf("%s: %+v, %v", text, report, err)
		}
		if _, err := os.Lstat(note); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the note is still there: %v", text, err)
		}
	}
}

// Guards: the catalog of another snapshot that has come into a snapshot's place meanwhile keeps the path neither in the
// folder nor in itself, and no metadata of its own get into the folder.
func TestForgetPathForeignCatalog(t *testing.T) {
	for _, from := range []int{0, 4} { // the first one has no folder above the path, the last one another mode of it
		l := newLab(t)
		secretLab(l)
		l.Build("set d mode=0700 mtime=3000.5")
		l.Run()
		crash := func(step string) error {
			if step == "take out" {
				return fault.ErrCrash
			}
			return nil
		}
		if _, err := l.forgetPath("d/secret", archive.ForgetOptions{Fault: crash}); !errors.Is(err, fault.ErrCrash) {
			t.Fatal(err)
		}
		a := l.Open()
		text, err := os.ReadFile(a.CatalogPath(l.Order[from]))
		if err == nil {
			err = os.WriteFile(a.CatalogPath(l.Order[1]), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		lock, err := a.Lock()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lock.Recover(t.Context()); err != nil {
			t.Error(err)
		}
		if err := lock.Unlock(); err != nil {
			t.Error(err)
		}
		if path, ok := a.Forgetting(); ok {
			t.Errorf("%q is not forgotten", path)
		}
		text, err = os.ReadFile(a.CatalogPath(l.Order[1]))
		if err != nil || strings.Contains(string(text), "secret") {
			t.Errorf("%v, or the catalog has the name", err)
		}
		if report, err := a.Reports.Read(l.Order[1]); err != nil || len(report.ForgottenIn) != 1 {
			t.Errorf("%+v, %v", report, err)
		}
		l.Close(a)
		l.forgets("d/secret")
		l.Intact()
	}
}

// Guards: the path goes from the folder of a snapshot whose catalog was lost meanwhile; a snapshot that was removed
// stops nothing.
func TestForgetPathLostCatalog(t *testing.T) {
	l := newLab(t)
	secretLab(l)
	crash := func(step string) error {
		if step == "take out" {
			return fault.ErrCrash
		}
		return nil
	}
	if _, err := l.forgetPath("d/secret", archive.ForgetOptions{Fault: crash}); !errors.Is(err, fault.ErrCrash) {
		t.Fatal(err)
	}
	a := l.Open()
	defer l.Close(a)
	if err := errors.Join(os.Remove(a.CatalogPath(l.Order[1])), os.Remove(a.CatalogPath(l.Order[2])), os.RemoveAll(l.Path(l.Order[2]))); err != nil {
		t.Fatal(err)
	}
	lock, err := a.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Recover(t.Context()); err != nil {
		t.Error(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
	if path, ok := a.Forgetting(); ok {
		t.Errorf("%q is not forgotten", path)
	}
	for _, name := range []string{l.Order[1], l.Order[3]} {
		if _, err := os.Lstat(l.Path(name, "d/secret")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s still has it: %v", name, err)
		}
	}
}
