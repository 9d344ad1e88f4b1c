package snapshot_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
	"snapcopy/internal/verify"
	"snapcopy/snapshot"
)

// found gives what a run has found altered, "path: what".
func found(rep *archive.Report) (list []string) {
	for _, a := range rep.Altered {
		list = append(list, a.Path+": "+a.Found)
	}
	return list
}

// wantFound compares what a run has found altered with what begins in the given way, by path.
func wantFound(t *testing.T, rep *archive.Report, want ...string) {
	t.Helper()
	got := found(rep)
	ok := len(got) == len(want) && rep.AlteredCount == uint64(len(want))
	for i := range want {
		ok = ok && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("altered, %d in all:\n%s\nwant:\n%s", rep.AlteredCount, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Guards: whatever somebody does to a stored file in the archive, a run that looks at it stores it anew from the source and
// says what was done; the snapshot is exact, and the next run shares the new file.
func TestAlteredInArchive(t *testing.T) {
	for _, c := range []struct{ alter, want string }{
		{"truncate d/f 0", "d/f: modification time is"},
		{"append d/f more", "d/f: modification time is"},
		{"write d/f contenT", "d/f: modification time is"}, // as long as it was
		{"set d/f mode=777", "d/f: mode is 0777, was 0644"},
		{"set d/f mtime=77", "d/f: modification time is 1970-01-01T00:01:17Z, was 1970-01-01T00:00:05Z"},
		{"rm d/f\nsymlink d/f /etc/passwd", "d/f: it is a symbolic link, was a file"},
		{"rm d/f\nfifo d/f 0644", "d/f: it is a FIFO, was a file"},
		{"rm d/f\ndir d/f 0755", "d/f: it is a folder, was a file"},
		{"cp d/f d/new\nmv d/new d/f", "d/f: another file has taken its place"},
		{"rm d/f", "d/f: it is gone"},
		{"rm d\nsymlink d elsewhere", "d: something else has taken its place"},
		{"rm d", "d: it is gone"},
		{"set pipe mode=0666", "pipe: mode is 0666, was 0600"},
		{"rm link\nsymlink link other", "link: modification time is"},
		{"rm link\nfile link 0644 x", "link: it is a file, was a symbolic link"},
		{"set a mode=0600", "a: mode is 0600, was 0644"},       // the first name of a link group
		{"rm b\nfile b 0644 other", "b: modification time is"}, // a further one
		{"rm b", "b: it is gone"},
	} {
		t.Run(strings.ReplaceAll(c.alter, "\n", ", "), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.Parallel, l.Opt.Recheck = true, 1
			l.Build(`dir d 0755
				file d/f 0644 content mtime=5
				file other 0644 content mtime=5
				file a 0644 group
				link b a
				symlink link target
				fifo pipe 0600`)
			testtree.Settle()
			first := l.Run()
			testtree.Build(t, l.Path(first.Snapshot), c.alter)
			second := l.Run()
			wantFound(t, second, c.want)
			if len(second.Altered) == 0 {
				return
			}
			if second.Altered[0].Snapshot != first.Snapshot || second.Missing > 1 {
				t.Errorf("%+v, %d missing", second.Altered, second.Missing)
			}
			l.Counts(second, "6 unchanged")
			wantFound(t, l.Run())
			delete(l.Taken, first.Snapshot)
			l.AllShared()
			if _, all := archivetest.VerifyAll(t, l.Arch); len(all) == 0 {
				t.Error("verify does not find what was altered")
			}
			a := l.Open()
			defer l.Close(a)
			kept, err := a.Reports.Read(second.Snapshot)
			if err != nil || !slices.Equal(kept.Altered, second.Altered) {
				t.Errorf("kept report: %+v, %v", kept.Altered, err)
			}
		})
	}
}

// Guards: runs take turns, so that a share looks at each stored file once in 1 / share runs, whichever runs come between;
// a share of 0 looks at none.
func TestRecheckTakesTurns(t *testing.T) {
	l := newLab(t)
	for i := range 300 {
		l.Build(fmt.Sprintf("file f%d 0644 %d", i, i))
	}
	testtree.Settle()
	first := l.Run()
	testtree.Build(t, l.Path(first.Snapshot), "set f0 mode=0600\nset f150 mode=0600\nset f299 mode=0600")
	opt := l.Opt
	run := func(share float64) *archive.Report {
		opt.Recheck = share
		rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, opt)
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	if rep := run(0); rep.Rechecked != 0 || rep.AlteredCount != 0 {
		t.Errorf("a share of 0: %d looked at, %d altered", rep.Rechecked, rep.AlteredCount)
	}
	var looked, altered uint64
	for i := range 20 {
		rep := run(0.05)
		looked, altered = looked+rep.Rechecked, altered+rep.AlteredCount
		if rep.Rechecked > 60 {
			t.Errorf("run %d looked at %d of 300", i, rep.Rechecked)
		}
		opt.DryRun = true // takes no turn
		run(0.05)
		opt.DryRun = false
	}
	if altered != 3 || looked < 297 || looked > 303 { // the inodes of the three are others after they were found
		t.Errorf("20 runs looked at %d of 300 and found %d of 3", looked, altered)
	}
}

// Guards: a stored file that was altered is not linked under another name either, and that is told.
func TestAlteredIsNotLinkedByContent(t *testing.T) {
	l := newLab(t)
	l.Build("file f 0644 content acl=u:5:r\nfile g 0644 other acl=u:5:r")
	testtree.Settle()
	first := l.Run()
	testtree.Build(t, l.Path(first.Snapshot), "set f mode=0600\nnoacl g")
	l.Build("mv f moved\nmv g away")
	second := l.Run()
	wantFound(t, second, "f: mode is 0600, was 0644")
	l.Counts(second, "2 new, 2 deleted")
}

// Guards: an archive that was copied with losses has them in no new snapshot: all stored files are looked at, whatever the
// share, and a faithful copy is shared.
func TestCopiedArchive(t *testing.T) {
	for _, c := range []struct {
		command string
		want    []string
	}{
		{"cp -a", nil},
		{"cp -r", []string{"a: modification time", "acl: modification time", "f: modification time", "link: modification time"}},
		{"cp -r --preserve=timestamps", []string{"acl: extended attribute"}},
		{"cp -r --preserve=timestamps,mode,links", []string{"plain: extended attribute"}},
	} {
		t.Run(c.command, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.Parallel = true
			script := `file a 0644 group
				link b a
				file f 0644 content mtime=5
				file acl 0644 content acl=u:5:r
				symlink link target`
			if strings.Contains(c.command, "mode") { // which copies ACLs
				script = "file plain 0644 x xattr.user.k=v"
			}
			l.Build(script)
			testtree.Settle()
			l.Run()
			copied := t.TempDir() + "/copy"
			args := append(strings.Fields(c.command), l.Arch, copied)
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			l.Arch = copied
			rep := l.Run()
			wantFound(t, rep, c.want...)
			if !rep.Copied || rep.Rechecked == 0 || rep.Counts.Changed+rep.Counts.New > 0 {
				t.Errorf("report: %+v", rep)
			}
			again := l.Run()
			wantFound(t, again)
			l.AllShared()
			if again.Copied || again.Counts.BytesStored > 0 {
				t.Errorf("the run after: %+v", again)
			}
			for _, d := range l.Damage(verify.Options{}) {
				if d.Snapshot == rep.Snapshot || d.Snapshot == again.Snapshot {
					t.Errorf("verify: %+v", d)
				}
			}
		})
	}
}

// Guards: in an archive that was copied, a stored file is compared with the extended attributes that the previous catalog
// has for it, though the new catalog has that set at another place.
func TestCopiedArchiveComparesXattrsAsRecorded(t *testing.T) {
	l := newLab(t)
	l.Build("file a 0644 a xattr.user.k=one\nfile b 0644 b xattr.user.k=two\nfile c 0644 c xattr.user.k=three")
	testtree.Settle()
	l.Run()
	copied := t.TempDir() + "/copy"
	if out, err := exec.Command("cp", "-a", l.Arch, copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l.Arch = copied
	check(t, os.Remove(l.Src+"/a"))
	rep := l.Run()
	wantFound(t, rep)
	l.Counts(rep, "2 unchanged, 1 deleted")
	if rep.Counts.BytesStored > 0 {
		t.Errorf("%d bytes were stored again", rep.Counts.BytesStored)
	}
}

// Guards: a stored file whose extended attributes were lost with the copy of an archive is not taken for sound because
// the catalog cannot be read for them.
func TestCopiedArchiveWithDamagedXattrs(t *testing.T) {
	l := newLab(t)
	value := testtree.Random(300, 1) // which no compression changes
	l.Build("file a 0644 a xattr.user.k=" + strconv.Quote(string(value)))
	testtree.Settle()
	first := l.Run()
	copied := t.TempDir() + "/copy"
	if out, err := exec.Command("cp", "-r", "--preserve=timestamps,mode,links,ownership", l.Arch, copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l.Arch = copied
	catalog := archive.CatalogsDir + "/" + first.Snapshot + archive.CatalogExt
	text, err := os.ReadFile(l.Path(archive.MetaDir, catalog))
	check(t, err)
	at := bytes.Index(text, value)
	if at < 0 {
		t.Fatal("the catalog does not have the attribute as it is")
	}
	l.patch(catalog, int64(at), []byte("damage"))
	rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
	check(t, err)
	l.Note(rep)
	if rep.PreviousUnusable == "" {
		t.Fatal("the attributes can still be read from the previous catalog")
	}
	for _, d := range l.Damage(verify.Options{}) {
		if d.Snapshot == rep.Snapshot {
			t.Errorf("verify: %+v", d)
		}
	}
}

// Guards: what the archive could not hold is stored again once the rights for it are there, and not in each run for no
// other reason than that the probe could set an owner: a file system that maps some of them still does.
func TestRightsGained(t *testing.T) {
	testtree.NeedRoot(t)
	strace := testtree.Need(t, "strace")
	l := newLab(t)
	l.Without = testtree.Owner
	l.Build("file f 0644 content owner=5:6")
	testtree.Settle()
	cmd := archivetest.Job{Source: l.Src, Archive: l.Arch}.Command(t, false)
	cmd.Args = []string{strace, "-f", "-qq", "-o", "/dev/null", "-e", "inject=fchown:retval=0", cmd.Path}
	cmd.Path = strace
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("strace cannot inject results here: %v", err)
	}
	var first archivetest.Result
	if err := json.Unmarshal(out, &first); err != nil || first.Report.CatalogOnly.Owners != 1 || first.Report.SetsOwners {
		t.Fatalf("%s: %v", out, err)
	}
	sets := func(rep *archive.Report, owners bool) {
		t.Helper()
		a := l.Open()
		defer l.Close(a)
		rep.SetsOwners = owners
		lock, err := a.Lock()
		if err == nil {
			err = errors.Join(lock.WriteReport(rep), lock.Unlock())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sets(first.Report, true)
	second := l.Run()
	if second.Counts.BytesStored != 0 || second.CatalogOnly.Owners != 1 || !second.SetsOwners {
		t.Errorf("with no other rights than before: %+v", second)
	}
	sets(second, false)
	if third := l.Run(); third.Counts.BytesStored == 0 || third.CatalogOnly.Owners != 0 {
		t.Errorf("with rights gained: %+v", third)
	}
	l.Verify()
}
