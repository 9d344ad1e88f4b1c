package snapshot_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"snapcopy/internal/testtree"
	"snapcopy/internal/verify"
)

// spoil changes the content of a stored file as a failing disk does: its metadata stay.
func spoil(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	check(t, err)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteAt([]byte("damage"), 0)
	check(t, err)
	check(t, f.Close())
	check(t, os.Chtimes(path, time.Time{}, info.ModTime()))
}

// remember is a check of all contents that remembers what it finds.
func (l *lab) remember() {
	l.T.Helper()
	if len(l.Damage(verify.Options{Remember: true})) == 0 {
		l.T.Fatal("verify found nothing")
	}
}

// damagedIn lists what a check finds in one snapshot.
func (l *lab) damagedIn(snapshot string) (list []string) {
	l.T.Helper()
	for _, d := range l.Damage(verify.Options{}) {
		if d.Snapshot == snapshot {
			list = append(list, d.Path)
		}
	}
	return list
}

// Guards: a stored file that a check has found damaged is in no new snapshot, neither by its path nor by its content, in the
// archive and in a copy of it; the source's file is stored anew, once, and that is told.
func TestDamagedIsNotLinked(t *testing.T) {
	for _, c := range []struct{ name, change, alter, want, counts string }{
		{name: "unchanged", want: "d/f: a check has found its content damaged", counts: "4 unchanged"},
		{name: "link group", alter: "a", want: "a: a check has found its content damaged", counts: "4 unchanged"},
		{name: "new time", change: "set d/f mtime=77\nset d/f mtime=5", want: "d/f: a check has found its content damaged", counts: "4 unchanged"},
		{name: "moved", change: "mv d/f moved", counts: "1 new, 3 unchanged, 1 deleted"},
	} {
		for _, copied := range []bool{false, true} {
			t.Run(c.name+map[bool]string{true: ", copied"}[copied], func(t *testing.T) {
				l := newLab(t)
				l.Build(`dir d 0755
					file d/f 0644 random=100000:1 mtime=5
					file other 0644 content mtime=5
					file a 0644 group
					link b a`)
				testtree.Settle()
				first := l.Run()
				alter := c.alter
				if alter == "" {
					alter = "d/f"
				}
				spoil(t, l.Path(first.Snapshot, alter))
				l.remember()
				if copied {
					to := t.TempDir() + "/copy"
					if out, err := exec.Command("cp", "-a", l.Arch, to).CombinedOutput(); err != nil {
						t.Fatalf("%v: %s", err, out)
					}
					l.Arch = to
				}
				if c.change != "" {
					l.Build(c.change)
					testtree.Settle()
				}
				second := l.Run()
				l.Counts(second, c.counts)
				if c.want != "" {
					wantFound(t, second, c.want)
				}
				if bad := l.damagedIn(second.Snapshot); len(bad) > 0 {
					t.Errorf("the new snapshot is damaged: %s", strings.Join(bad, ", "))
				}
				third := l.Run()
				wantFound(t, third)
				if third.Counts.BytesStored != 0 {
					t.Errorf("the run after stored %d bytes", third.Counts.BytesStored)
				}
				if bad := l.damagedIn(third.Snapshot); len(bad) > 0 {
					t.Errorf("the snapshot after is damaged: %s", strings.Join(bad, ", "))
				}
			})
		}
	}
}
