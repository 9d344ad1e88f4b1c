package snapshot_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// rot changes the content of a file of the source and puts its times back, but for the change time, which these tests
// ignore.
func (l *lab) rot(path, content string) {
	l.T.Helper()
	l.overwrite(filepath.Join(l.Src, path), content)
}

func (l *lab) overwrite(path, content string) {
	l.T.Helper()
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	if err == nil {
		err = os.WriteFile(path, []byte(content), 0o644)
	}
	if err == nil {
		err = unix.UtimesNano(path, []unix.Timespec{st.Atim, st.Mtim})
	}
	if err != nil {
		l.T.Fatal(err)
	}
}

// rehashLab has a source of some files that are not racy, and one snapshot.
func rehashLab(t *testing.T) *lab {
	l := newLab(t)
	l.Opt.IgnoreCtime, l.Opt.Rehash = true, 1
	l.Build(`
		file a 0644 "good a" mtime=5.5
		file b 0644 "good b" mtime=5.5
		file g1 0644 "good g" mtime=5.5
		link g2 g1`)
	testtree.Settle()
	l.Run()
	return l
}

func (l *lab) pinned() map[string]archive.Pin {
	l.T.Helper()
	a := l.Open()
	defer l.Close(a)
	pins, err := a.Pins()
	if err != nil {
		l.T.Fatal(err)
	}
	return pins
}

// Guards: a file whose content differs although its stat data do not is told, in each run; the snapshots keep the good
// version, and the one from before is pinned, once; as soon as the file is sound or changed, all is well.
func TestRottenSource(t *testing.T) {
	l := rehashLab(t)
	first := l.Order[0]
	rep := l.Run()
	if rep.Rehashed != 3 || rep.RottenCount != 0 || rep.Counts.Unchanged != 4 { // names of one inode are read once
		t.Fatalf("all sound: %+v", rep)
	}
	good := l.Order[1]
	l.rot("a", "evil a")
	l.rot("g1", "evil g")
	for night := range 2 {
		if night == 1 {
			l.Opt.Rehash = 0 // those that are known are read all the same
			a := l.Open()
			if _, err := a.Unpin(good); err != nil {
				t.Error(err)
			}
			l.Close(a)
		}
		rep = l.runChanging()
		if rep.RottenCount != 2 || len(rep.Rotten) != 2 || rep.Counts.Unchanged != 4 || rep.Incomplete || rep.AlteredCount != 0 {
			t.Fatalf("night %d: %+v", night, rep)
		}
		for _, r := range rep.Rotten {
			if r.Good != good || !r.Kept || len(r.Found) != 64 || r.Found == r.Recorded {
				t.Errorf("night %d: %+v", night, r)
			}
		}
		if got, err := os.ReadFile(l.Path(rep.Snapshot, "a")); string(got) != "good a" {
			t.Errorf("night %d: the snapshot has %q, %v", night, got, err)
		}
		l.Shared(true, "a", "g1", "g2", "b")
		if _, pinned := l.pinned()[good]; pinned != (night == 0) {
			t.Errorf("night %d: pins %v", night, l.pinned())
		}
		if e := l.Entries(rep.Snapshot); e["a"].Flags&index.Rotten == 0 || e["g2"].Flags&index.Rotten == 0 || e["b"].Flags&index.Rotten != 0 {
			t.Errorf("night %d: flags %v", night, e)
		}
	}
	l.Verify()
	l.rot("a", "good a") // as a restore does
	l.Build(`write g1 "changed"`)
	rep = l.Run()
	if rep.RottenCount != 0 || rep.Counts.Changed != 2 || rep.Rehashed != 1 {
		t.Errorf("sound again: %+v", rep)
	}
	if rep = l.Run(); rep.Rehashed != 0 || rep.RottenCount != 0 {
		t.Errorf("afterwards: %+v", rep)
	}
	l.Opt.Rehash = 1
	l.Opt.IgnoreCtime = false
	l.Run()
	if first == good {
		t.Error("the first snapshot was not the good one")
	}
	l.Intact()
	l.Verify()
}

// Guards: a pin that a person has made keeps its label.
func TestRottenKeepsPin(t *testing.T) {
	l := rehashLab(t)
	a := l.Open()
	if err := a.Pin(l.Order[0], "mine", time.Now()); err != nil {
		t.Fatal(err)
	}
	l.Close(a)
	l.rot("a", "evil a")
	l.runChanging()
	if p := l.pinned()[l.Order[0]]; p.Label != "mine" {
		t.Errorf("%+v", p)
	}
}

// Guards: if the stored file is damaged too, nobody says that the archive has the good version, and the source's content
// is stored.
func TestBothDamaged(t *testing.T) {
	l := rehashLab(t)
	l.rot("a", "evil a")
	l.overwrite(l.Path(l.Order[0], "a"), "worse ")
	rep := l.Run()
	if rep.RottenCount != 0 || rep.AlteredCount != 1 || rep.Altered[0].Path != "a" || len(l.pinned()) != 0 {
		t.Errorf("%+v", rep)
	}
	l.Shared(false, "a")
}

// Guards: where the stored file is gone, too, nobody says that it has the good version.
func TestRottenAndLost(t *testing.T) {
	l := rehashLab(t)
	l.rot("a", "evil a")
	if err := os.Remove(l.Path(l.Order[0], "a")); err != nil {
		t.Fatal(err)
	}
	rep := l.Run()
	if rep.RottenCount != 0 || rep.AlteredCount != 1 {
		t.Errorf("%+v", rep)
	}
}

// Guards: a dry run reads nothing.
func TestDryRunDoesNotRehash(t *testing.T) {
	l := rehashLab(t)
	l.rot("a", "evil a")
	l.Opt.DryRun = true
	rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
	if err != nil || rep.RottenCount != 0 || rep.Rehashed != 0 {
		t.Errorf("dry run: %v, %+v", err, rep)
	}
}

// Guards: shares cover all files in turn, and none twice.
func TestRehashInTurn(t *testing.T) {
	l := newLab(t)
	for i := range 60 {
		l.Build(fmt.Sprintf("file f%d 0644 %d mtime=5.5", i, i))
	}
	testtree.Settle()
	l.Run()
	l.Opt.Rehash = 0.25
	var turns []uint64
	for range 4 {
		turns = append(turns, l.Run().Rehashed)
	}
	if sum := turns[0] + turns[1] + turns[2] + turns[3]; sum != 60 || slices.Max(turns) == 60 {
		t.Errorf("read %v files", turns)
	}
}

// Guards: a disk that changes a byte by itself is found, by all of stat data with the change time.
func TestRottenDisk(t *testing.T) {
	l := newLab(t)
	disk := testtree.NewDisk(t, "ext4", 64<<20)
	l.Src = filepath.Join(disk.Path, "source")
	if err := os.Mkdir(l.Src, 0o755); err != nil {
		t.Fatal(err)
	}
	const content = "content that is nowhere else on the disk, for it is looked for there"
	l.Build(`file f 0644 "` + content + `" mtime=5.5`)
	testtree.Settle()
	l.Opt.Rehash = 1
	l.Run()
	disk.Spoil([]byte(content))
	rep := l.runChanging()
	if rep.RottenCount != 1 || rep.Rotten[0].Path != "f" || rep.Rotten[0].Good != l.Order[0] {
		t.Errorf("%+v", rep)
	}
}
