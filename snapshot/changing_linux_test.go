package snapshot_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/dirhandles"
	"snapcopy/internal/source"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// at makes the n-th occurrence of a step (from 0) carry out an edit of the source; n < 0 means every occurrence.
func (l *lab) at(step string, n int, script string) {
	count := -1
	l.Opt.Threads = 1
	l.Opt.Fault = func(name string) error {
		if name == step {
			if count++; n < 0 || count == n {
				l.Build(script)
			}
		}
		return nil
	}
}

// runChanging takes a snapshot of a source that changes meanwhile.
func (l *lab) runChanging() *archive.Report {
	l.T.Helper()
	before := testtree.OpenDescriptors(l.T)
	rep, err := snapshot.Run(l.T.Context(), l.Src, l.Arch, l.Opt)
	if err != nil {
		l.T.Fatalf("run: %v", err)
	}
	if after := testtree.OpenDescriptors(l.T); after != before {
		l.T.Errorf("the run left %d descriptors open", after-before)
	}
	l.Note(rep)
	l.Verify()
	l.Opt.Fault = nil
	return rep
}

// Guards: a source that changes while it is read gives a snapshot with a state the file had, or says that it has not,
// and never ends the run.
func TestSourceChangesMeanwhile(t *testing.T) {
	const files = `
		file a 0644 "aaaa"
		file b 0644 random=2500000:1
		file c 0644 "cccc"
		dir d 0755
		file d/f 0644 "f"`
	for _, c := range []struct {
		name, step string
		n          int
		script     string
		counts     string
		want       string // a script that makes of the files what the snapshot has to hold; "-": not looked at
	}{
		{"small file grows", "write", 0, `append a "more"`, "4 new", `append a "more"`},
		{"large file grows", "write", 1, `append b "more"`, "4 new", `append b "more"`},
		{"large file shrinks", "write", 1, `write b "short"`, "4 new", `write b "short"`},
		{"large file becomes empty", "write", 1, `write b ""`, "4 new", `write b ""`},
		{"metadata changes", "write", 0, `set a mode=0600`, "4 new", `set a mode=0600`},
		{"replaced while open", "write", 0, "file t 0600 \"new\"\nmv t a", "4 new", `-`},
		{"removed while open", "write", 0, "rm a", "4 new", `-`},
		{"the next vanishes", "create", 1, "rm b", "3 new, 1 vanished", `rm b`},
		{"folder vanishes", "create", 1, "rm d", "3 new, 1 vanished", `rm d`},
		{"folder becomes a file", "create", 1, "rm d\nfile d 0600 \"file\"", "4 new", "rm d\nfile d 0600 \"file\""},
		{"folder becomes a link", "create", 1, "mv d ../e\nsymlink d /etc", "4 new", "rm d\nsymlink d /etc"},
		{"file becomes a folder", "create", 1, "rm c\ndir c 0755\nfile c/g 0644 \"g\"", "4 new", "rm c\ndir c 0755\nfile c/g 0644 \"g\""},
		{"file becomes a pipe", "create", 1, "rm c\nfifo c 0600", "4 new", "rm c\nfifo c 0600"},
		{"folder loses a file after it was listed", "mkdir", 0, "rm d/f", "3 new, 1 vanished", "rm d/f"},
		{"file keeps changing", "write", -1, `append a "x"`, "4 new, 1 failed", `-`},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.Build(files)
			l.at(c.step, c.n, c.script)
			rep := l.runChanging()
			l.Counts(rep, c.counts)
			if rep.Incomplete != (rep.Counts.Failed > 0) {
				t.Errorf("incomplete: %v", rep.Incomplete)
			}
			if c.want != "-" {
				want := t.TempDir()
				testtree.Build(t, want, files+"\n"+c.want)
				testtree.Equal(t, "snapshot", testtree.Take(t, want), l.Taken[rep.Snapshot], testtree.Mtime)
			}
			l.Run()
			l.Intact()
			l.Verify()
		})
	}
}

// Guards: a file that becomes a folder after it was looked at is left out by a pattern for folders.
func TestFileBecomesExcludedFolder(t *testing.T) {
	l := newLab(t)
	l.Build("file a 0644 a\nfile b 0644 b\nfile c 0644 c")
	l.Opt.Exclude = archivetest.Patterns(t, "c/")
	l.at("create", 2, "rm c\ndir c 0755\nfile c/secret 0600 secret") // after the first, all may be looked at again
	rep := l.runChanging()
	l.Counts(rep, "2 new, 1 excluded")
	if _, err := os.Lstat(filepath.Join(l.Arch, rep.Snapshot, "c")); err == nil {
		t.Error("the excluded folder is in the snapshot")
	}
}

// Guards: of a folder that was taken away while the walk was far below it, the folders not entered yet are told of with
// the reason, or have vanished with it.
func TestFolderLostMeanwhile(t *testing.T) {
	const levels = dirhandles.MaxIdle + 5
	for _, c := range []struct{ instead, failed string }{
		{"dir p 0755\ndir p/z 0755", source.ErrMoved.Error()},
		{"", ""},
	} {
		l := newLab(t)
		l.Build("dir p 0755\ndir p/a 0755\ndir p/z 0755\nfile p/z/f 0644 x")
		deepTree(t, filepath.Join(l.Src, "p", "a"), levels, 0)
		l.at("mkdir", levels+1, "mv p/a ../a\nmv p ../p\n"+c.instead)
		rep := l.runChanging()
		if c.failed == "" && (rep.Counts.Vanished != 1 || len(rep.Failed) > 0) {
			t.Errorf("%d vanished, failed: %v", rep.Counts.Vanished, rep.Failed)
		}
		if c.failed != "" && (len(rep.Failed) != 1 || rep.Failed[0] != (archive.FailedItem{Path: "p/z", Error: c.failed})) {
			t.Errorf("failed: %v", rep.Failed)
		}
	}
}

// Guards: a file that kept changing is marked, and read again by the next run even if it did not change any more.
func TestTornFile(t *testing.T) {
	l := newLab(t)
	l.Build("file a 0644 \"a\"\nlink b a\nfile c 0644 \"c\"")
	l.at("write", -1, `append a "x"`)
	rep := l.runChanging()
	entries := l.Entries(rep.Snapshot)
	if entries["a"].Flags&index.Torn == 0 || entries["b"].Flags&index.Torn == 0 {
		t.Errorf("flags: %b, %b", entries["a"].Flags, entries["b"].Flags)
	}
	if len(rep.Failed) != 2 || rep.Failed[0].Path != "a" || !strings.Contains(rep.Failed[0].Error, "changing") {
		t.Errorf("failed: %v", rep.Failed)
	}
	l.Run()
	l.Verify()
}

// Guards: names that change their type as fast as can be lead to no failure of the run, and never out of the source.
func TestStormOfTypes(t *testing.T) {
	l := newLab(t)
	outside := filepath.Join(filepath.Dir(l.Src), "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	testtree.Build(t, outside, `file secret 0644 "secret"`)
	const pairs = 12
	l.Build("dir swap 0755")
	for i := range pairs {
		l.Build(fmt.Sprintf(`
			file %[1]d 0644 "file"
			dir swap/d%[1]d 0755
			file swap/d%[1]d/secret 0600 "in a folder"
			symlink swap/l%[1]d %[2]s
			fifo swap/p%[1]d 0600
			file swap/f%[1]d 0600 "another"`, i, outside))
	}
	stop := make(chan struct{})
	var storm sync.WaitGroup
	storm.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			name := fmt.Sprint(l.Src, "/", n%pairs)
			other := fmt.Sprint(l.Src, "/swap/", "dlpf"[n/pairs%4:n/pairs%4+1], n%pairs)
			if err := unix.Renameat2(unix.AT_FDCWD, name, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range 25 {
		l.Opt.Threads = 1 + i%3
		rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
		if err != nil {
			t.Errorf("run: %v", err)
			break
		}
		l.Note(rep)
		for path, item := range l.Taken[rep.Snapshot] {
			if item.Type == "file" && filepath.Base(path) == "secret" && item.Mode != 0o600 {
				t.Errorf("%s was read outside of the source", path)
			}
		}
	}
	close(stop)
	storm.Wait()
	l.Run()
	l.Intact()
	l.Verify()
}

// Guards: names that are hard for other programs come back from the report as they are.
func TestStrangeNamesInReport(t *testing.T) {
	l := newLab(t)
	name := "bad\xff\nname"
	l.Build("file z 0644 z\nfile " + fmt.Sprintf("%q", name) + " 0644 x")
	l.at("write", -1, fmt.Sprintf("append %q y", name))
	rep := l.runChanging()
	a := l.Open()
	defer l.Close(a)
	read, err := a.Reports.Read(rep.Snapshot)
	if err != nil || len(read.Failed) != 1 || read.Failed[0].Path != name {
		t.Errorf("report: %+v, %v", read, err)
	}
}

// nobodyLab is a lab in which the user nobody can make an archive.
func nobodyLab(t *testing.T) *lab {
	testtree.NeedRoot(t)
	l := newLab(t)
	parent := filepath.Dir(l.Src)
	if err := errors.Join(os.Chmod(filepath.Dir(parent), 0o755), os.Chown(parent, archivetest.Nobody, archivetest.Nobody),
		os.Chown(l.Src, archivetest.Nobody, archivetest.Nobody)); err != nil {
		t.Fatal(err)
	}
	return l
}

// Guards: without root, what cannot be read is listed by name and the rest is stored; what cannot be set is in the
// catalog; the set-user-ID bit of another user's program is not put on one of ours.
func TestWithoutRoot(t *testing.T) {
	l := nobodyLab(t)
	l.Build(`
		file own 0640 "own" owner=65534:65534 xattr.user.a="1"
		file roots 0644 "root's" owner=0:0 mtime=5.5
		file suid 4755 "suid" owner=0:0
		file ownsuid 4755 "suid" owner=65534:65534
		file secret 0600 "secret" owner=0:0
		dir closed 0700 owner=0:0
		file closed/f 0644 "f"
		dir listonly 0744 owner=0:0
		file listonly/f 0644 "f"
		dir readonly 0555 owner=65534:65534 mtime=7.7
		file readonly/f 0444 "f" owner=65534:65534
		link readonly/g readonly/f
		dir readonly/sub 0555 owner=65534:65534
		link readonly/sub/h readonly/f
		char null 0666 1:3
		fifo p 0644
		file trusted 0644 "t" xattr.trusted.x="1"
		file acl 0640 "acl" acl=u:65534:r
		symlink s own`)
	testtree.Settle()
	var first archivetest.Result
	for round := range 3 {
		r := archivetest.Job{Source: l.Src, Archive: l.Arch, Verify: true}.Run(t, true)
		if r.Err != "" || len(r.Damaged) > 0 {
			t.Fatalf("run %d: %s %q", round, r.Err, r.Damaged)
		}
		l.Note(r.Report)
		var failed []string
		for _, f := range r.Report.Failed {
			if !strings.Contains(f.Error, "permission denied") {
				t.Errorf("failed: %+v", f)
			}
			failed = append(failed, f.Path)
		}
		if got := strings.Join(failed, " "); got != "closed listonly secret" || !r.Report.Incomplete {
			t.Errorf("failed: %s; incomplete: %v", got, r.Report.Incomplete)
		}
		if round == 0 {
			first = r
		}
		want, got := testtree.Take(t, l.Src), l.Taken[r.Report.Snapshot]
		for _, p := range []string{"secret", "closed/f", "listonly/f", "null"} {
			delete(want, p)
		}
		suid := want["suid"]
		suid.Mode = 0o755
		want["suid"] = suid
		trusted := want["trusted"]
		trusted.Xattrs = "" // only root can see it
		want["trusted"] = trusted
		testtree.Equal(t, "snapshot", want, got, testtree.Owner)
		if got["suid"].Owner != "65534:65534" {
			t.Errorf("suid belongs to %s", got["suid"].Owner)
		}
		if r.Report.CatalogOnly != first.Report.CatalogOnly || r.Report.CatalogOnly.Entries != 1 || r.Report.CatalogOnly.Modes != 1 ||
			r.Report.CatalogOnly.Owners == 0 {
			t.Errorf("not held: %+v, first %+v", r.Report.CatalogOnly, first.Report.CatalogOnly)
		}
		e := l.Entries(r.Report.Snapshot)
		if e["suid"].Mode != 0o4755 || e["suid"].UID != 0 || e["null"].Major != 1 || e["null"].Flags&index.NotStored == 0 {
			t.Errorf("catalog: %+v, %+v", e["suid"], e["null"])
		}
	}
	l.Shared(true, "own", "roots", "suid", "ownsuid", "readonly/f", "readonly/sub/h", "acl", "s", "p", "trusted")
	l.Intact()
	l.Verify() // as root
}

// Guards: an archive that may not be written to is refused, and stays as it is.
func TestArchiveOfSomebodyElse(t *testing.T) {
	l := nobodyLab(t)
	l.Build("file f 0644 x")
	l.Run()
	for _, mode := range []os.FileMode{0o700, 0o755} {
		if err := os.Chmod(l.Arch, mode); err != nil {
			t.Fatal(err)
		}
		if r := (archivetest.Job{Source: l.Src, Archive: l.Arch}).Run(t, true); !strings.Contains(r.Err, "permission denied") {
			t.Errorf("run: %s", r.Err)
		}
	}
	if err := os.Chmod(l.Arch, 0o700); err != nil {
		t.Fatal(err)
	}
	l.Intact()
	l.Verify()
}

// Guards: a file larger than the archive's file system can hold is listed, and the rest is stored.
func TestFileTooLarge(t *testing.T) {
	testtree.NeedRoot(t)
	l := newLab(t)
	l.Build("file big 0644 random=3000000:1\nfile f 0644 x\nfile sparse 0644 x hole=3000000")
	r := archivetest.Job{Source: l.Src, Archive: l.Arch, FileSize: 2 << 20, Verify: true}.Run(t, false)
	if r.Err != "" || len(r.Damaged) > 0 {
		t.Fatalf("run: %s, %q", r.Err, r.Damaged)
	}
	if len(r.Report.Failed) != 2 || r.Report.Failed[0].Path != "big" || r.Report.Failed[1].Path != "sparse" {
		t.Errorf("failed: %v", r.Report.Failed)
	}
	l.Note(r.Report)
	if got := l.Taken[r.Report.Snapshot]; len(got) != 2 || got["f"].Size != 1 {
		t.Errorf("snapshot: %+v", got)
	}
}
