package snapshot_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
	"snapcopy/internal/tree"
	"snapcopy/internal/verify"
	"snapcopy/snapshot"
)

// Guards: sources and archives that cannot be are refused with the right error, and nothing is made or changed.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(l *lab)
		want    error
	}{
		{"source missing", func(l *lab) { l.Src += "/none" }, fs.ErrNotExist},
		{"source is a file", func(l *lab) { l.Build("file f 0644"); l.Src += "/f" }, unix.ENOTDIR},
		{"source is the archive", func(l *lab) { l.Run(); l.Src = l.Arch }, snapshot.ErrInsideArchive},
		{"source is a snapshot", func(l *lab) { l.Src = l.Path(l.Run().Snapshot) }, snapshot.ErrInsideArchive},
		{"source is a folder of a snapshot by a link", func(l *lab) {
			l.Build("dir d 0755")
			name := l.Run().Snapshot
			l.Src = filepath.Join(filepath.Dir(l.Src), "link")
			if err := os.Symlink(l.Path(name, "d"), l.Src); err != nil {
				l.T.Fatal(err)
			}
		}, snapshot.ErrInsideArchive},
		{"archive is a file", func(l *lab) { testtree.Build(l.T, filepath.Dir(l.Arch), "file archive 0644 x") }, unix.ENOTDIR},
		{"archive is a folder with files", func(l *lab) {
			testtree.Build(l.T, filepath.Dir(l.Arch), "dir archive 0755\nfile archive/f 0644 x")
		}, archive.ErrNotArchive},
		{"parent of the archive missing", func(l *lab) { l.Arch += "/deeper" }, fs.ErrNotExist},
		{"no archive where one is required", func(l *lab) { l.Opt.RequireArchive = true }, archive.ErrNoArchive},
		{"newer archive format", func(l *lab) {
			l.Run()
			l.replace(archive.ArchiveFile, `"format": 1`, `"format": 2`)
		}, archive.ErrNewerFormat},
		{"clock behind", func(l *lab) {
			l.Run()
			l.Run()
			l.Opt.Now = func() time.Time { return time.Now().Add(-3 * time.Minute) }
		}, snapshot.ErrClock},
		{"newer catalog", func(l *lab) { l.Run(); l.patch(archive.CatalogsDir+"/"+l.Order[0]+archive.CatalogExt, 8, []byte{0xff}) }, index.ErrNewer},
		{"newer index", func(l *lab) { l.Build("file f 0644 x"); l.Run(); l.patch(archive.IndexFile, 8, []byte{0xff}) }, index.ErrNewer},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			parent := filepath.Dir(l.Arch)
			c.prepare(l)
			before := testtree.Take(t, parent)
			err := l.Fails(c.want)
			if err != nil && !strings.Contains(err.Error(), parent) && !errors.Is(err, snapshot.ErrInsideArchive) &&
				!errors.Is(err, snapshot.ErrClock) && !errors.Is(err, index.ErrNewer) {
				t.Errorf("the error names no path: %v", err)
			}
			after := testtree.Take(t, parent)
			delete(before, "archive/.snapcopy/lock") // says who tried last
			delete(after, "archive/.snapcopy/lock")
			records := 0
			for path := range after {
				if archive.IsUnpublished(filepath.Base(path)) {
					delete(after, path)
					records++
				}
			}
			delete(before, "archive/.snapcopy/runs") // its time
			delete(after, "archive/.snapcopy/runs")
			if want := min(len(l.Order), 1); records != want && !errors.Is(err, archive.ErrNewerFormat) {
				t.Errorf("%d records of runs that published nothing, want %d", records, want)
			}
			testtree.Equal(t, "what the refused run left", before, after, testtree.Mtime)
		})
	}
}

func (l *lab) replace(file, old, new string) {
	l.T.Helper()
	path := l.Path(archive.MetaDir, file)
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o600)
	}
	if err != nil {
		l.T.Fatal(err)
	}
}

// patch overwrites bytes of a file of the archive's own folder; a negative offset counts from the end.
func (l *lab) patch(file string, offset int64, b []byte) {
	l.T.Helper()
	f, err := os.OpenFile(l.Path(archive.MetaDir, file), os.O_RDWR, 0)
	if err != nil {
		l.T.Fatal(err)
	}
	info, err := f.Stat()
	if offset < 0 && err == nil {
		offset += info.Size()
	}
	if err == nil {
		_, err = f.WriteAt(b, offset)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		l.T.Fatal(err)
	}
}

// Guards: an archive inside the source is left out, and the report says so.
func TestArchiveInsideSource(t *testing.T) {
	l := newLab(t)
	l.Build("dir sub 0755\nfile sub/f 0644 x\nfile f 0644 y")
	l.Arch = filepath.Join(l.Src, "sub", "backup")
	for range 3 {
		rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
		if err != nil {
			t.Fatal(err)
		}
		if rep.SelfExcluded != "sub/backup" || rep.Counts.Excluded != 1 {
			t.Errorf("left out: %q, %d excluded", rep.SelfExcluded, rep.Counts.Excluded)
		}
		l.Note(rep)
		want := testtree.Take(t, l.Src)
		for p := range want {
			if strings.HasPrefix(p, "sub/backup") {
				delete(want, p)
			}
		}
		got := l.Taken[rep.Snapshot]
		testtree.Equal(t, "snapshot", want, got, testtree.Group)
	}
	l.Intact()
	l.Verify()
}

// Guards: a folder that holds only what mkfs leaves, or an archive whose making was cut short, becomes an archive.
func TestAlmostEmptyFolderBecomesArchive(t *testing.T) {
	l := newLab(t)
	l.Build("file f 0644 x")
	testtree.Build(t, filepath.Dir(l.Arch), "dir archive 0755\ndir archive/lost+found 0700\ndir archive/.snapcopy 0700")
	if rep := l.Run(); !rep.Created {
		t.Error("the report does not say that the archive was made")
	}
	l.Intact()
	if rep := l.Run(); rep.Created {
		t.Error("the report says that the archive was made again")
	}
}

// Guards: a new archive can be entered by its owner alone.
func TestArchiveIsPrivate(t *testing.T) {
	l := newLab(t)
	l.Run()
	info, err := os.Stat(l.Arch)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("archive folder: %v, %v", info.Mode(), err)
	}
}

// Guards: of two runs at once one is told that the archive is locked, and by whom; it disturbs nothing.
func TestTwoRunsAtOnce(t *testing.T) {
	l := newLab(t)
	l.Build(archivetest.Torture(t))
	l.Opt.Fault = func(step string) error {
		if step != "sync" {
			return nil
		}
		if _, err := snapshot.Run(context.Background(), l.Src, l.Arch, snapshot.Options{}); !errors.Is(err, archive.ErrLocked) ||
			!strings.Contains(err.Error(), "process ") {
			t.Errorf("second run: %v", err)
		}
		return nil
	}
	l.Run()
	l.Opt.Fault = nil
	l.Run() // the lock file is still there, its owner is not
	l.Intact()
	l.Verify()
}

// Guards: when several runs start at once on an archive that is not there yet, each succeeds or finds it locked.
func TestManyFirstRunsAtOnce(t *testing.T) {
	for range 10 {
		l := newLab(t)
		l.Build("dir d 0755\nfile d/f 0644 x\nfile g 0600 y")
		var wait sync.WaitGroup
		errs := make([]error, 4)
		reports := make([]*archive.Report, len(errs))
		for i := range errs {
			wait.Go(func() { reports[i], errs[i] = snapshot.Run(context.Background(), l.Src, l.Arch, l.Opt) })
		}
		wait.Wait()
		for i, err := range errs {
			if err == nil {
				l.Note(reports[i])
			} else if !errors.Is(err, archive.ErrLocked) {
				t.Errorf("run %d: %v", i, err)
			}
		}
		if len(l.Taken) == 0 {
			t.Error("no run succeeded")
		}
		l.Intact()
		l.Verify()
	}
}

// Guards: a clock that a test or a user has set for the names of snapshots does not blind the test for changes.
func TestSetClockDoesNotHideChanges(t *testing.T) {
	for _, skew := range []time.Duration{-10000 * time.Hour, 10000 * time.Hour} {
		// A slow machine may take so long to get to the file that it is rightly trusted: then once more.
		const tries = 20
		try := 0
		for try < tries && !changeIsSeen(t, skew) {
			try++
		}
		if try == tries {
			t.Errorf("clock %v off: a file just made is trusted", skew)
		}
	}
}

// changeIsSeen changes a file behind a run that has just read it, with the run's clock off by skew. It returns false if
// the run trusts what it has read.
func changeIsSeen(t *testing.T, skew time.Duration) bool {
	l := newLab(t)
	l.Opt.Now = func() time.Time { return time.Now().Add(skew) }
	l.Opt.Fault = func(step string) error {
		if step == "begin" {
			return os.WriteFile(l.Src+"/f", []byte("00000"), 0o644)
		}
		if step != "sync" {
			return nil
		}
		var st unix.Stat_t
		if err := unix.Stat(l.Src+"/f", &st); err != nil {
			return err
		}
		if err := os.WriteFile(l.Src+"/f", []byte("11111"), 0o644); err != nil {
			return err
		}
		return unix.UtimesNano(l.Src+"/f", []unix.Timespec{st.Atim, st.Mtim})
	}
	rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
	if err != nil {
		t.Fatal(err)
	}
	if l.Entries(rep.Snapshot)["f"].Flags&index.Racy == 0 {
		return false
	}
	l.Opt.Fault = nil
	testtree.Settle()
	l.Run()
	testtree.Settle()
	if rep = l.Run(); rep.Counts.BytesRead > 0 {
		t.Errorf("clock %v off: an old file is read again", skew)
	}
	return true
}

// Guards: a damaged catalog or index is told of by Verify, and costs the next run time but no correctness.
func TestDamagedCatalogAndIndex(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(l *lab, catalog string)
		index  bool
	}{
		{"catalog cut short", func(l *lab, cat string) { l.cut(cat, -100) }, false},
		{"catalog empty", func(l *lab, cat string) { l.cut(cat, 0) }, false},
		{"first block", func(l *lab, cat string) { l.patch(cat, 60, []byte("damage")) }, false},
		{"tail", func(l *lab, cat string) { l.patch(cat, -60, []byte("damage")) }, false},
		{"header", func(l *lab, cat string) { l.patch(cat, 0, []byte("damage")) }, false},
		{"index cut short", func(l *lab, _ string) { l.cut(archive.IndexFile, -4096) }, true},
		{"index empty", func(l *lab, _ string) { l.cut(archive.IndexFile, 0) }, true},
		{"index header", func(l *lab, _ string) { l.patch(archive.IndexFile, 100, []byte("damage")) }, true},
		{"index record", func(l *lab, _ string) { l.patch(archive.IndexFile, 4096+30, []byte("damage")) }, true},
		{"index end", func(l *lab, _ string) { l.patch(archive.IndexFile, -10, []byte("damage")) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.Parallel = true
			l.Build(archivetest.FaultTree)
			for i := range 100 {
				testtree.Build(t, l.Src, "file many"+string(rune('a'+i%26))+string(rune('a'+i/26))+" 0644 mtime="+
					string(rune('1'+i%9))+".5 xattr.user.n=\""+string(rune('a'+i%26))+string(rune('a'+i/26))+"\"")
			}
			testtree.Settle()
			l.Run()
			c.damage(l, archive.CatalogsDir+"/"+l.Order[0]+archive.CatalogExt)
			if found := l.Damage(verify.Options{}); len(found) == 0 {
				t.Error("verify finds nothing")
			} else if !c.index && found[0].Snapshot != l.Order[0] {
				t.Errorf("verify: %+v", found)
			}
			l.Build(faultEdits)
			rep, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt)
			if err != nil {
				t.Fatal(err)
			}
			l.Note(rep)
			testtree.Equal(t, "snapshot", testtree.Take(t, l.Src), l.Taken[rep.Snapshot], 0)
			if !c.index && rep.PreviousUnusable == "" {
				t.Error("the report does not say that the previous catalog is damaged")
			}
			if c.index {
				l.Shared(true, "kept")
			}
			l.Build("mv kept d/kept\nwrite changed third")
			l.Run()
			l.Build("mv d/kept kept")
			rep = l.Run()
			if rep.Counts.Moved != 1 {
				t.Errorf("moved: %d", rep.Counts.Moved)
			}
			l.Intact()
			for _, d := range l.Damage(verify.Options{}) {
				if c.index || d.Snapshot != l.Order[0] {
					t.Errorf("verify: %s %q: %v", d.Snapshot, d.Path, d.Err)
				}
			}
		})
	}
}

// cut shortens a file of the archive's own folder; a negative size counts from the end.
func (l *lab) cut(file string, size int64) {
	l.T.Helper()
	path := l.Path(archive.MetaDir, file)
	info, err := os.Stat(path)
	if err == nil && size < 0 {
		size += info.Size()
	}
	if err == nil {
		err = os.Truncate(path, size)
	}
	if err != nil {
		l.T.Fatal(err)
	}
}

// Guards: Verify finds every kind of damage to a snapshot, and names the path.
func TestVerifyFindsDamage(t *testing.T) {
	testtree.NeedRoot(t)
	for _, c := range []struct{ name, script, path string }{
		{"content", "write kept KEPT\nset kept mtime=1.5", "kept"},
		{"content of a large file", "set big at=1000000:x\nset big mtime=7.7", "big"},
		{"size", "append kept more\nset kept mtime=1.5", "kept"},
		{"mode", "set kept mode=0600", "kept"},
		{"owner", "set kept owner=1:1", "kept"},
		{"time", "set kept mtime=1.6", "kept"},
		{"xattr added", `set kept xattr.user.x="1"`, "kept"},
		{"xattr changed", `set xa xattr.user.a="2"`, "xa"},
		{"xattr gone", "unset xa user.a", "xa"},
		{"ACL added", "set kept acl=u:1:r", "kept"},
		{"file gone", "rm kept", "kept"},
		{"folder gone", "rm d/e", "d/e"},
		{"file added", "file d/extra 0644", "d/extra"},
		{"type", "rm kept\nsymlink kept x mtime=1.5", "kept"},
		{"target", "rm s\nsymlink s other mtime=3.5", "s"},
		{"group torn", "cp g1 t\nrm g1\nmv t g1", "g1"},
		{"names joined", "rm twin2\nlink twin2 twin1", "twin2"},
		{"folder's mode", "set d/e mode=0755", "d/e"},
		{"folder's time", "set d/e mtime=2.2", "d/e"},
		{"top folder's mode", "set . mode=0700", ""},
		{"pipe's mode", "set p mode=0644", "p"},
		{"device", "rm null\nchar null 0600 1:5 mtime=4.5", "null"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.Parallel = true
			l.Build(archivetest.FaultTree + `
				file xa 0644 "xa" xattr.user.a="1"
				set big mtime=7.7
				set s mtime=3.5
				file twin1 0644 "twin" mtime=6.5
				file twin2 0644 "twin" mtime=6.5
				char null 0600 1:3 mtime=4.5
				set d/e mtime=1.1
				set d mtime=5.5
				set . mtime=8.8`)
			rep := l.Run()
			l.Verify()
			testtree.Build(t, l.Path(rep.Snapshot), c.script+"\nset d mtime=5.5")
			if c.path != "" {
				testtree.Build(t, l.Path(rep.Snapshot), "set . mtime=8.8")
			}
			for _, quick := range []bool{false, true} {
				var paths []string
				for _, d := range l.Damage(verify.Options{MetadataOnly: quick}) {
					if !errors.Is(d.Err, tree.ErrDamaged) || d.Snapshot != rep.Snapshot {
						t.Errorf("finding: %+v", d)
					}
					paths = append(paths, d.Path)
				}
				content := strings.HasPrefix(c.name, "content")
				found := slices.Contains(paths, c.path) || strings.HasPrefix(c.name, "group") || strings.HasPrefix(c.name, "names")
				if len(paths) == 0 || !found {
					if !quick || !content {
						t.Errorf("quick %v: found %q, want %q", quick, paths, c.path)
					}
				}
				if len(paths) > 2 {
					t.Errorf("one damage found as %q", paths)
				}
			}
		})
	}
}

// Guards: Verify reads each stored file once, however many snapshots share it, and still finds its damage.
func TestVerifyReadsStoredFilesOnce(t *testing.T) {
	l := newLab(t)
	l.Build("file big 0644 random=500000:1\nfile small 0644 x")
	testtree.Settle()
	for range 5 {
		l.Run()
	}
	a := l.Open()
	defer l.Close(a)
	list, err := a.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	rep, err := verify.Run(t.Context(), a, list, verify.Options{})
	if err != nil || rep.FilesRead != 2 || rep.BytesRead != 500001 || rep.Files != 10 || rep.Snapshots != 5 {
		t.Errorf("verify: %+v, %v", rep, err)
	}
	testtree.Build(t, l.Path(l.Order[2]), "set small at=0:y")
	if found := l.Damage(verify.Options{}); len(found) != 5 {
		t.Errorf("one stored file in five snapshots is damaged, found: %+v", found)
	}
}
