package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/testarchive"
	"snapcopy/internal/testtools"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// night is a run that cannot read everything.
func (l *lab) night(opt snapshot.Options) *archive.Report {
	l.T.Helper()
	before := testtree.OpenDescriptors(l.T)
	rep, err := snapshot.Run(context.Background(), l.Src, l.Arch, opt)
	if err != nil {
		l.T.Fatal(err)
	}
	if after := testtree.OpenDescriptors(l.T); after != before && !l.Parallel {
		l.T.Errorf("the run left %d descriptors open", after-before)
	}
	if !opt.DryRun {
		l.Note(rep)
	}
	return rep
}

// failures lists the failed entries with what they are kept as of, by the names that nights have.
func failures(rep *archive.Report, nights ...*archive.Report) (list []string) {
	for _, f := range rep.Failed {
		text := f.Path
		for i, n := range nights {
			if n.Snapshot == f.KeptAsOf {
				text += fmt.Sprint(" as of ", i+1)
			}
		}
		list = append(list, text)
	}
	return list
}

// flagged lists the kept entries of a snapshot.
func (l *lab) flagged(rep *archive.Report, asOf string) (list []string) {
	l.T.Helper()
	for path, e := range l.Entries(rep.Snapshot) {
		if (e.Flags&index.Kept != 0) != (e.AsOf != "") || e.AsOf != "" && e.AsOf != asOf {
			l.T.Errorf("%s: flags %#x, as of %q; want %q", path, e.Flags, e.AsOf, asOf)
		}
		if e.AsOf != "" {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return list
}

func equalLists(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

const carryTree = `
file plain 0644 "p"
file secret 0644 "s" xattr.user.note=x
dir open 0755
file open/h 0644 "shared by two folders"
dir locked 0755 mtime=1000000000.5
link locked/h open/h
file locked/one 0600 "links"
link locked/two locked/one
symlink locked/sym target
dir locked/sub 0755
file locked/sub/z 0644 "z"
file was-file 0644 "w"
dir was-dir 0755
file was-dir/in 0644 "i"
dir some 0755
file some/new-later 0644 "n"
`

var carried = []string{"locked", "locked/h", "locked/one", "locked/sub", "locked/sub/z", "locked/sym", "locked/two", "secret",
	"was-dir", "was-dir/in", "was-file"}

// Guards: what exists and cannot be read is in the next snapshots as the last run that could has read it, flagged and
// linked, for as many nights as it takes; its link groups stay together, nothing of it counts as unchanged, gone or
// changed; and once it can be read again, it is unchanged.
func TestCarriesAlong(t *testing.T) {
	if testtools.MayDoAll() {
		testarchive.AsUser(t)
		return
	}
	l := newLab(t)
	l.Build(carryTree)
	first := l.Run()
	l.Build("rm was-file\ndir was-file 0755\nrm was-dir\nfile was-dir 0644 \"d\"")
	modes := map[string]os.FileMode{"secret": 0o644, "locked": 0o755, "was-file": 0o755, "was-dir": 0o644}
	lock := func(t *testing.T, mode func(os.FileMode) os.FileMode) {
		for name, was := range modes {
			if err := os.Chmod(l.Src+"/"+name, mode(was)); err != nil {
				t.Error(err)
			}
		}
	}
	unlock := func(m os.FileMode) os.FileMode { return m }
	lock(t, func(os.FileMode) os.FileMode { return 0 })
	t.Cleanup(func() { lock(t, unlock) })

	second := l.night(snapshot.Options{})
	l.Counts(second, "3 unchanged, 4 failed")
	if c := second.Counts; c.Kept != 8 || c.Files != 11 || !second.Incomplete {
		t.Errorf("counts %+v, incomplete %v", c, second.Incomplete)
	}
	if c := second.Baseline; c == nil || c.Unread != 8 || c.Deleted != 0 || c.Changed != 0 || len(second.Tripwires) > 0 {
		t.Errorf("compared with the base line: %+v, %v", c, second.Tripwires)
	}
	equalLists(t, "failures", failures(second, first), "locked as of 1", "secret as of 1", "was-dir as of 1", "was-file as of 1")
	if !strings.Contains(second.Failed[3].Error, "it has become a folder, and is kept as the file that it was") {
		t.Errorf("a file that became a folder: %s", second.Failed[3].Error)
	}
	equalLists(t, "flagged", l.flagged(second, first.Snapshot), carried...)
	l.AllShared()
	tree := l.Taken[second.Snapshot]
	if tree["locked/one"].Ino != tree["locked/two"].Ino || tree["locked/h"].Ino != tree["open/h"].Ino {
		t.Error("names of one inode are apart")
	}
	before, now := l.Entries(first.Snapshot), l.Entries(second.Snapshot)
	for path, e := range now {
		was := before[path]
		e.Flags, e.AsOf, e.Child, e.Space, e.Stored, e.Xattrs = was.Flags, "", was.Child, was.Space, was.Stored, was.Xattrs
		if e.Type != index.Dir && e != was {
			t.Errorf("%s: %+v\nwas %+v", path, e, was)
		}
	}
	l.Verify()

	l.Build(`write open/h "another content"`)
	third := l.night(snapshot.Options{})
	l.Counts(third, "1 changed, 2 unchanged, 4 failed")
	equalLists(t, "flagged again", l.flagged(third, first.Snapshot), carried...)
	if tree := l.Taken[third.Snapshot]; tree["locked/h"].Ino == tree["open/h"].Ino {
		t.Error("two contents on one inode")
	}
	l.Verify()

	dry := l.night(snapshot.Options{DryRun: true})
	l.Counts(dry, "3 unchanged, 4 failed")
	if dry.Counts.Kept != 8 {
		t.Errorf("a dry run keeps %d", dry.Counts.Kept)
	}

	lock(t, unlock)
	delete(modes, "was-file")
	delete(modes, "was-dir")
	l.Build("rm was-file\nrm was-dir\nrm locked/sub")
	fourth := l.Run()
	if c := fourth.Counts; c.Unchanged != 7 || c.Changed+c.Moved != 1 || c.Deleted != 3 || c.Kept != 0 { // locked/h has changed
		t.Errorf("counts %+v", c)
	}
	equalLists(t, "flagged at last", l.flagged(fourth, ""))
	l.Verify()
	l.Intact()

	a := l.Open()
	defer l.Close(a)
	snapshots, err := a.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	other := newLab(t)
	for _, s := range snapshots[1:3] { // a copy has flag and date, and the same links
		rep, err := snapshot.Copy(context.Background(), a, s, other.Arch, snapshot.Options{})
		if err != nil || rep.Counts.Kept != 8 {
			t.Fatalf("copy: %+v, %v", rep, err)
		}
		equalLists(t, "flagged in the copy", other.flagged(rep, first.Snapshot), carried...)
		other.Note(rep)
		was, now := l.Taken[s.Name], other.Taken[rep.Snapshot]
		if (was["locked/h"].Ino == was["open/h"].Ino) != (now["locked/h"].Ino == now["open/h"].Ino) || now["locked/one"].Ino != now["locked/two"].Ino {
			t.Errorf("the copy of %s has other links", s.Name)
		}
		other.Verify()
	}
}

// Guards: what the filters leave out now is not carried along, nor what is gone; and a stored file that is damaged is
// not carried along, but a failure.
func TestCarriesAlongOnlyWhatItShould(t *testing.T) {
	if testtools.MayDoAll() {
		testarchive.AsUser(t)
		return
	}
	l := newLab(t)
	l.Build(`
dir d 0755
file d/a 0644 "aaaa"
file d/large 0644 random=5000:1
file d/b.tmp 0644 "b"
dir d/cache 0755
file d/cache/CACHEDIR.TAG 0644 "Signature: 8a477f597d28d172789f06886806bc55"
file e 0644 "eeee"
file gone 0644 "g"
file broken 0644 "content"
`)
	first := l.Run()
	stored := l.Path(first.Snapshot, "broken")
	t.Cleanup(func() {
		if err := errors.Join(os.Chmod(l.Src+"/d", 0o755), os.Chmod(l.Src+"/broken", 0o644)); err != nil {
			t.Error(err)
		}
	})
	l.Build("rm gone\nset d mode=0\nset broken mode=0")
	if err := os.Truncate(stored, 3); err != nil {
		t.Fatal(err)
	}
	rep := l.night(snapshot.Options{Exclude: archivetest.Patterns(t, "*.tmp"), ExcludeCaches: true, ExcludeLarger: 4096})
	l.Counts(rep, "1 unchanged, 1 deleted, 2 failed, 3 excluded")
	equalLists(t, "failures", failures(rep, first), "broken", "d as of 1")
	if !strings.Contains(rep.Failed[0].Error, "permission denied; nor can it be kept as it is in snapshot "+first.Snapshot) {
		t.Errorf("broken: %s", rep.Failed[0].Error)
	}
	equalLists(t, "flagged", l.flagged(rep, first.Snapshot), "d", "d/a")
	if rep.AlteredCount != 1 {
		t.Errorf("altered %v", rep.Altered)
	}
}

// Guards: of a folder that can be listed and not searched, nothing can be read. It is carried along whole, for as many nights
// as it takes, and told once; one that was never stored is an empty folder and a failure.
func TestCarriesFolderThatCannotBeSearched(t *testing.T) {
	if testtools.MayDoAll() {
		testarchive.AsUser(t)
		return
	}
	l := newLab(t)
	l.Build(`
dir d 0755
file d/a 0644 "a"
symlink d/s a
dir d/e 0755
file d/e/b 0644 "b"
file z 0644 "z"
`)
	first := l.Run()
	l.Build("set d mode=0444")
	t.Cleanup(func() { check(t, os.Chmod(l.Src+"/d", 0o755)) })
	for range 3 {
		rep := l.night(snapshot.Options{})
		l.Counts(rep, "1 unchanged, 1 failed")
		equalLists(t, "failures", failures(rep, first), "d as of 1")
		equalLists(t, "flagged", l.flagged(rep, first.Snapshot), "d", "d/a", "d/e", "d/e/b", "d/s")
		if rep.Counts.Kept != 3 || rep.Missing != 0 || rep.Counts.Deleted != 0 || len(rep.Tripwires) > 0 {
			t.Errorf("%+v, %d missing, tripwires %v", rep.Counts, rep.Missing, rep.Tripwires)
		}
		l.AllShared()
		l.Verify()
	}
	l.Build("set d mode=0755\nrm d/a")
	l.Counts(l.Run(), "3 unchanged, 1 deleted")
	l.Verify()
	l.Intact()

	other := newLab(t)
	other.Build("dir d 0444\nfile z 0644 \"z\"")
	rep, err := snapshot.Run(t.Context(), other.Src, other.Arch, other.Opt)
	check(t, err)
	other.Counts(rep, "1 new, 1 failed")
	if e := other.Entries(rep.Snapshot)["d"]; e.Type != index.Dir || e.Flags&index.Unread == 0 {
		t.Errorf("never stored: %+v", e)
	}
}
