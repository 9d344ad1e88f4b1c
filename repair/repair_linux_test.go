package repair_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/archive"
	"snapcopy/internal/testtree"
	"snapcopy/repair"
	"snapcopy/snapshot"
)

// damages are kinds of damage, each with the origin of what repairs it. A '+' stands for a further name.
var damages = []struct {
	name string
	do   func(l *lab)
	want []string
}{
	{"content, stored twice", func(l *lab) { l.each("twin1", rot) }, []string{"twin1 stored file++"}},
	{"content, in the source", func(l *lab) { l.each("kept", rot) }, []string{"kept source++"}},
	{"content with an attribute", func(l *lab) { l.each("d/e/f", rot) }, []string{"d/e/f source++"}},
	{"truncated", func(l *lab) { l.each("new", func(p string) error { return os.Truncate(p, 1) }) }, []string{"new source"}},
	{"content of a link group", func(l *lab) { l.each("g1", rot) }, []string{"d/g2 source+++++"}},
	{"mode", func(l *lab) { l.each("kept", func(p string) error { return os.Chmod(p, 0o600) }) }, []string{"kept itself++"}},
	{"time", func(l *lab) {
		l.each("twin2", func(p string) error { return os.Chtimes(p, time.Unix(1, 0), time.Unix(1, 0)) })
	}, []string{"twin2 itself++"}},
	{"attribute", func(l *lab) { l.each("d/e/f", func(p string) error { return unix.Removexattr(p, "user.note") }) }, []string{"d/e/f itself++"}},
	{"one name missing", func(l *lab) { l.must(os.Remove(l.Path(l.Order[1], "kept"))) }, []string{"kept stored file"}},
	{"one name of a group missing", func(l *lab) { l.must(os.Remove(l.Path(l.Order[2], "d/g2"))) }, []string{"d/g2 stored file"}},
	{"all names missing", func(l *lab) {
		for _, s := range l.Order {
			l.must(os.Remove(l.Path(s, "kept")))
		}
	}, []string{"kept source++"}},
	{"a folder in the place of a file", func(l *lab) {
		l.must(os.Remove(l.Path(l.Order[0], "kept")))
		l.must(os.MkdirAll(l.Path(l.Order[0], "kept", "below"), 0o755))
	}, []string{"kept stored file"}},
	{"a link in the place of a file", func(l *lab) {
		l.must(os.Remove(l.Path(l.Order[0], "kept")))
		l.must(os.Symlink("/etc/passwd", l.Path(l.Order[0], "kept")))
	}, []string{"kept stored file"}},
	{"a copy in a link group", func(l *lab) {
		path := l.Path(l.Order[0], "d/g2")
		text, err := os.ReadFile(path)
		l.must(err)
		info, err := os.Stat(path)
		l.must(err)
		l.must(os.Remove(path))
		l.must(os.WriteFile(path, text, 0o644))
		l.must(os.Chtimes(path, info.ModTime(), info.ModTime()))
	}, []string{"d/g2 stored file"}},
	{"a symbolic link", func(l *lab) {
		l.must(os.Remove(l.Path(l.Order[2], "s")))
		l.must(os.Symlink("elsewhere", l.Path(l.Order[2], "s")))
	}, []string{"s stored file"}},
	{"special files in all snapshots", func(l *lab) {
		for _, s := range l.Order {
			l.must(os.Remove(l.Path(s, "s")))
			l.must(os.Remove(l.Path(s, "p")))
		}
	}, []string{"p catalog++", "s catalog++"}},
	{"an empty file", func(l *lab) {
		for _, s := range l.Order {
			l.must(os.Remove(l.Path(s, "none")))
		}
	}, []string{"none catalog++"}},
	{"metadata of folders", func(l *lab) {
		l.must(os.Chmod(l.Path(l.Order[0], "d/e"), 0o755))
		l.must(os.Chmod(l.Path(l.Order[1]), 0o700))
		l.must(os.Chtimes(l.Path(l.Order[2], "locked"), time.Unix(1, 0), time.Unix(1, 0)))
	}, []string{" catalog", "d/e catalog", "locked catalog"}},
	{"a folder missing", func(l *lab) { l.must(os.RemoveAll(l.Path(l.Order[1], "d"))) },
		[]string{"d catalog", "d/e catalog", "d/e/deep catalog", "d/e/deep/x stored file", "d/e/f stored file", "d/g2 stored file", "d/once stored file"}},
	{"in a folder without write permission", func(l *lab) { l.each("locked/in", rot) }, []string{"locked/in source++"}},
	{"an extra name", func(l *lab) {
		l.must(os.WriteFile(l.Path(l.Order[1], "d/mine"), []byte("mine"), 0o600))
	}, []string{"extra catalog"}},
	{"the index", func(l *lab) { l.must(rot(l.Path(archive.MetaDir, archive.IndexFile))) }, []string{"index catalog"}},
	{"latest", func(l *lab) {
		l.must(os.Remove(l.Path(archive.LatestLink)))
		l.must(os.Symlink("2020-01-01T000000Z", l.Path(archive.LatestLink)))
	}, []string{"latest catalog"}},
}

// keepTimes calls do, and gives the folders of the snapshots the times that they had before, if keep says so: a folder whose
// time has moved is one more damage.
func (l *lab) keepTimes(keep bool, do func()) {
	l.T.Helper()
	times := make(map[string]time.Time)
	for _, name := range l.Order {
		for path, item := range l.Taken[name] {
			if item.Type == "dir" {
				info, err := os.Lstat(l.Path(name, path))
				l.must(err)
				times[l.Path(name, path)] = info.ModTime()
			}
		}
	}
	do()
	for path, at := range times {
		if !keep {
			break
		}
		if err := os.Chtimes(path, at, at); !errors.Is(err, os.ErrNotExist) {
			l.must(err)
		}
	}
}

func (l *lab) must(err error) {
	l.T.Helper()
	if err != nil {
		l.T.Fatal(err)
	}
}

// Guards: each kind of damage is repaired in each snapshot, a dry run says the same and changes nothing, and the next run
// shares everything.
func TestRepair(t *testing.T) {
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			l := newLab(t)
			l.keepTimes(d.name != "metadata of folders", func() { d.do(l) })
			opt := l.found()
			before := testtree.Take(t, l.Arch)
			opt.DryRun = true
			l.repair(opt)
			if got := l.origins(); !slices.Equal(got, d.want) {
				t.Errorf("dry run: %q, want %q", got, d.want)
			}
			testtree.Equal(t, "after a dry run", before, testtree.Take(t, l.Arch), 0)
			opt.DryRun = false
			rep := l.repair(opt)
			if got := l.origins(); !slices.Equal(got, d.want) || rep.Unrepaired > 0 {
				t.Errorf("%q, want %q; %+v", got, d.want, rep)
			}
			l.same()
			l.inodes()
			l.LatestIs(l.Order[2])
			if next := l.Run(); next.Counts.BytesStored > 0 || next.AlteredCount > 0 || next.IndexRebuilt != "" {
				t.Errorf("the next run: %+v", next)
			}
			l.Verify()
		})
	}
}

// Guards: what another archive has is repaired from there, and only from there if the source has changed.
func TestRepairFromArchive(t *testing.T) {
	l := newLab(t)
	other := l.copied()
	l.each("kept", rot)
	l.each("changes", rot)
	l.each("d/once", rot)
	l.removeSource()
	opt := l.found()
	opt.From = []*archive.Archive{other}
	rep := l.repair(opt)
	want := []string{"changes archive", "changes archive+", "kept archive++", "once archive+"}
	if got := l.origins(); !slices.Equal(got, want) || rep.Unrepaired > 0 {
		t.Errorf("%q, want %q", got, want)
	}
	l.same()
	l.inodes()
}

// Guards: content with another hash is never put anywhere; what cannot be repaired is told with the nearest version.
func TestRepairNeverGuesses(t *testing.T) {
	l := newLab(t)
	first := l.Path(l.Order[0], "changes")
	l.must(rot(first))
	damaged := testtree.Take(t, l.Path(l.Order[0]))
	other := l.copied() // with the same damage
	opt := l.found()
	opt.From = []*archive.Archive{other}
	rep := l.repair(opt)
	if len(l.items) != 1 || !errors.Is(l.items[0].Err, repair.ErrNoContent) || rep.Unrepaired != 1 || rep.Repaired != 0 {
		t.Fatalf("%+v", l.items)
	}
	if n := l.items[0].Nearest; n == nil || n.Snapshot != l.Order[1] || n.Path != "changes" {
		t.Errorf("nearest: %+v", n)
	}
	testtree.Equal(t, "after the repair", damaged, testtree.Take(t, l.Path(l.Order[0])), 0)
}

// Guards: a snapshot that is being read is left alone, and that is told; the others are repaired.
func TestRepairInUse(t *testing.T) {
	l := newLab(t)
	l.each("kept", rot)
	opt := l.found()
	a := l.Open()
	defer l.Close(a)
	list, err := a.Snapshots()
	l.must(err)
	hold, err := list[1].Hold()
	l.must(err)
	rep := l.repair(opt)
	if got := strings.Join(l.origins(), " "); got != "kept lost kept source+" || rep.Unrepaired != 1 {
		t.Errorf("%q %+v", got, rep)
	}
	l.must(hold.Release())
	l.repair(l.found())
	l.same()
	l.inodes()
}

// Guards: a snapshot made after the search for damage, which has the damaged stored file, too, is repaired with the others.
func TestRepairLaterSnapshot(t *testing.T) {
	l := newLab(t)
	l.each("twin1", rot)
	opt := l.found()
	_, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
	l.must(err)
	rep := l.repair(opt)
	if got := strings.Join(l.origins(), " "); got != "twin1 stored file+++" || rep.Unrepaired != 0 {
		t.Errorf("%q %+v", got, rep)
	}
	l.Verify()
}

// Guards: what belongs to no snapshot is moved out of it also if something else is in the place of the folder for that,
// which stays under another name; nothing goes where a link in that place leads.
func TestRepairWithoutPlaceForExtraNames(t *testing.T) {
	for kind, plant := range map[string]func(path, outside string) error{
		"pipe": func(path, _ string) error { return unix.Mkfifo(path, 0o600) },
		"link": func(path, outside string) error { return os.Symlink(outside, path) },
	} {
		t.Run(kind, func(t *testing.T) {
			l := newLab(t)
			outside := t.TempDir()
			extra := l.Path(archive.MetaDir, archive.ExtraDir)
			l.must(os.WriteFile(l.Path(l.Order[0], "extra"), nil, 0o600))
			l.must(plant(extra, outside))
			if rep := l.repair(l.found()); rep.Unrepaired > 0 {
				t.Errorf("%+v", l.items)
			}
			l.same()
			_, err := os.Lstat(extra + ".aside")
			in, inErr := os.ReadDir(extra)
			out, outErr := os.ReadDir(outside)
			if errors.Join(err, inErr, outErr) != nil || len(in) != 1 || len(out) != 0 {
				t.Errorf("aside: %v; moved out: %v, %v; outside: %v, %v", err, in, inErr, out, outErr)
			}
		})
	}
}
