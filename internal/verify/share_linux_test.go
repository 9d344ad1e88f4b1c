package verify_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/archivetest"
	"snapcopy/internal/testtree"
	"snapcopy/internal/verified"
	"snapcopy/internal/verify"
)

// night is a verify run at a time, on all snapshots of an archive.
func night(t *testing.T, path string, at time.Time, opt verify.Options) (*verify.Report, []verify.Damage) {
	t.Helper()
	a, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	list, err := a.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	var found []verify.Damage
	opt.Threads, opt.Remember, opt.Now = 2, true, func() time.Time { return at }
	opt.Damage = func(d verify.Damage) { found = append(found, d) }
	rep, err := verify.Run(t.Context(), a, list, opt)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	if rep.NotRemembered != nil {
		t.Errorf("not remembered: %v", rep.NotRemembered)
	}
	return rep, found
}

// dates returns the records of an archive by inode number.
func dates(t *testing.T, path string) map[uint64]verified.Record {
	t.Helper()
	a, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[uint64]verified.Record)
	err = a.Verified().Records(func(r *verified.Record) error { all[r.Stored] = *r; return nil })
	if err != nil {
		t.Error(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	return all
}

// storedInodes returns the inode numbers of the files in all snapshots, as the file system has them.
func storedInodes(t *testing.T, path string) map[uint64]bool {
	t.Helper()
	all := make(map[uint64]bool)
	err := filepath.WalkDir(path, func(p string, e os.DirEntry, err error) error {
		if err != nil || p == filepath.Join(path, archive.MetaDir) {
			if err == nil {
				err = filepath.SkipDir
			}
			return err
		}
		if e.Type().IsRegular() {
			info, err := e.Info()
			if err != nil {
				return err
			}
			all[info.Sys().(*syscall.Stat_t).Ino] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var firstNight = time.Date(2026, 12, 1, 4, 0, 0, 0, time.UTC)

// Guards: n parts of 1/n read every stored file exactly once, and so do shares of bytes; the snapshots have their turns
// meanwhile.
func TestSharesCoverEverythingOnce(t *testing.T) {
	for _, c := range []struct {
		name  string
		share verify.Share
	}{{"part", verify.Share{Part: 0.2}}, {"bytes", verify.Share{Bytes: 8000}}} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.Nightly()
			for i := range 4 {
				for j := range 10 {
					l.Build(fmt.Sprintf("file f%d-%d 0644 random=1000:%d", i, j, 10*i+j))
				}
				testtree.Settle()
				l.Run()
			}
			var files uint64
			for n := range 5 {
				rep, found := night(t, l.Arch, firstNight.AddDate(0, 0, n), verify.Options{Share: &c.share})
				files += rep.FilesRead
				if len(found) > 0 || rep.FilesRead != 8 || rep.BytesRead != 8000 || rep.Share.Deferred != 0 {
					t.Errorf("night %d: %+v, found %v", n, rep, found)
				}
				if got := rep.Dates.ReadSince(time.Unix(0, 0)); got.Files != files || rep.Dates.Total().Files != 40 {
					t.Errorf("night %d: %+v", n, rep.Dates)
				}
			}
			rep, _ := night(t, l.Arch, firstNight.AddDate(0, 0, 5), verify.Options{Share: &c.share})
			if oldest, _ := rep.Dates.Oldest(); !oldest.Equal(firstNight.AddDate(0, 0, 1)) {
				t.Errorf("after a round, the oldest date is %v", oldest)
			}
			for _, name := range l.Order {
				if rep.Dates.Structures[name] == 0 {
					t.Errorf("the structure of %s had no turn", name)
				}
			}
			l.Intact()
		})
	}
}

// Guards: over random histories with removed snapshots, what is read is what was not read for the longest time, the
// dates are of the stored files that exist, and of no others, and no share takes more than it may.
func TestSharesOfRandomHistories(t *testing.T) {
	for seed := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		l := newLab(t)
		l.Nightly()
		for n := range 12 {
			for range 1 + rnd.IntN(8) {
				dir, file := fmt.Sprintf("%s/d%d", l.Src, rnd.IntN(4)), fmt.Sprint("f", rnd.IntN(5))
				content := make([]byte, 1+rnd.IntN(3000))
				for i := range content {
					content[i] = byte(rnd.Uint32())
				}
				if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(dir+"/"+file, content, 0o644)); err != nil {
					t.Fatal(err)
				}
				if rnd.IntN(4) == 0 {
					_ = os.Rename(dir, fmt.Sprintf("%s/d%d", l.Src, rnd.IntN(4))) // fails if that is not empty
				}
			}
			testtree.Settle()
			l.Run()
			if n > 0 && rnd.IntN(3) == 0 {
				remove(t, l, l.Order[rnd.IntN(n)])
			}
			before := dates(t, l.Arch)
			share := verify.Share{Part: 0.3}
			if rnd.IntN(2) == 0 {
				share = verify.Share{Bytes: 5000}
			}
			at := time.Date(2026, 11, 1+n, 4, 0, 0, 0, time.UTC)
			rep, found := night(t, l.Arch, at, verify.Options{Share: &share})
			if len(found) > 0 {
				t.Fatalf("seed %d, night %d: %v", seed, n, found)
			}
			after, exist := dates(t, l.Arch), storedInodes(t, l.Arch)
			oldestLeft, newestRead, read := int64(1<<62), int64(-1), uint64(0)
			for ino, r := range after {
				if !exist[ino] {
					t.Errorf("seed %d, night %d: inode %d is gone and has a date", seed, n, ino)
				}
				was, known := before[ino]
				if !known || was.Tag != r.Tag {
					was.Time = at.Add(-2 * time.Hour).Unix() // stored since
				}
				if r.Read && r.Time == at.Unix() {
					read += r.Size
					newestRead = max(newestRead, was.Time)
				} else {
					oldestLeft = min(oldestLeft, was.Time)
				}
			}
			if len(after) != len(exist) || read != rep.BytesRead {
				t.Errorf("seed %d, night %d: %d dates, %d stored files; read %d, %+v", seed, n, len(after), len(exist), read, rep)
			}
			switch {
			case share.Bytes > 0 && read > 5000:
				t.Errorf("seed %d, night %d: read %d", seed, n, read)
			case share.Part > 0 && newestRead > oldestLeft:
				t.Errorf("seed %d, night %d: read one of %d and left one of %d", seed, n, newestRead, oldestLeft)
			}
		}
	}
}

func remove(t *testing.T, l *archivetest.Lab, name string) {
	t.Helper()
	a := l.Open()
	defer l.Close(a)
	if _, known := l.Taken[name]; !known {
		return
	}
	if _, err := a.RemoveSelected(t.Context(), archive.Selection{Selectors: []string{name}, Zone: time.UTC}, archive.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	delete(l.Taken, name)
}

// spoil changes the content of a stored file, as a failing disk does: its metadata stay.
func spoil(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
}

// Guards: damage is found by shares and by reading everything, is remembered once with all names of the stored file, does not
// take the turns of others, and is forgotten when it is mended or gone.
func TestDamageIsRemembered(t *testing.T) {
	l := newLab(t)
	l.Nightly()
	l.Build("file a 0644 random=1000:1\nlink b a\nfile c 0644 random=1000:2\nfile d 0644 random=1000:3")
	testtree.Settle()
	l.Run()
	l.Build("file e 0644 random=1000:4")
	testtree.Settle()
	l.Run()
	first, second := l.Order[0], l.Order[1]
	whole, err := os.ReadFile(l.Path(first, "a"))
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, l.Path(first, "a"))
	wantNames := []verified.Name{{Snapshot: first, Path: "a"}, {Snapshot: first, Path: "b"}, {Snapshot: second, Path: "a"}, {Snapshot: second, Path: "b"}}
	known := func(what string, rep *verify.Report, want int) {
		t.Helper()
		if len(rep.Known.Damaged) != want {
			t.Fatalf("%s: known %+v", what, rep.Known)
		}
		if want == 0 {
			return
		}
		d := &rep.Known.Damaged[0]
		if d.Kind != verified.Content || d.Size != 1000 || fmt.Sprint(d.Names) != fmt.Sprint(wantNames) || d.Found == "" || d.Stored == 0 {
			t.Errorf("%s: known %+v", what, d)
		}
	}
	rep, found := night(t, l.Arch, firstNight, verify.Options{Share: &verify.Share{Part: 1}})
	if rep.FilesRead != 4 || len(found) != 1 || !strings.Contains(found[0].Err.Error(), "content differs") {
		t.Errorf("a share: %+v, %v", rep, found)
	}
	known("a share", rep, 1)
	if s, _ := rep.Dates.NeverRead(); s.Files != 1 {
		t.Errorf("never found right: %+v", s)
	}
	// In the next night, the damaged file waits for its turn, and the first one is one of the others.
	rep, found = night(t, l.Arch, firstNight.AddDate(0, 0, 1), verify.Options{Share: &verify.Share{Part: 0.5}})
	read := rep.FilesRead
	rep2, found2 := night(t, l.Arch, firstNight.AddDate(0, 0, 2), verify.Options{Share: &verify.Share{Part: 0.5}})
	if read != 2 || rep2.FilesRead != 2 || len(found)+len(found2) != 1 {
		t.Errorf("two nights: %d and %d read; %v %v", read, rep2.FilesRead, found, found2)
	}
	known("two nights", rep2, 1)

	rep, found = night(t, l.Arch, firstNight.AddDate(0, 0, 3), verify.Options{})
	if rep.FilesRead != 4 || len(found) != 4 {
		t.Errorf("everything: %+v, %v", rep, found)
	}
	known("everything", rep, 1)
	rep, _ = night(t, l.Arch, firstNight.AddDate(0, 0, 3), verify.Options{MetadataOnly: true})
	known("metadata", rep, 1)

	info, err := os.Stat(l.Path(first, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.Path(first, "a"), whole, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(l.Path(first, "a"), time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	rep, found = night(t, l.Arch, firstNight.AddDate(0, 0, 4), verify.Options{Share: &verify.Share{Part: 1}})
	if len(found) != 0 {
		t.Errorf("mended: %v", found)
	}
	known("mended", rep, 0)

	// Other damage is of one name; it ends with the snapshot.
	if err := os.Remove(l.Path(first, "c")); err != nil {
		t.Fatal(err)
	}
	rep, _ = night(t, l.Arch, firstNight.AddDate(0, 0, 5), verify.Options{})
	if len(rep.Known.Damaged) == 0 || rep.Known.Damaged[0].Kind == verified.Content {
		t.Errorf("a missing name: %+v", rep.Known)
	}
	a := l.Open()
	defer l.Close(a)
	if _, err := a.RemoveSelected(t.Context(), archive.Selection{Selectors: []string{first}, Zone: time.UTC}, archive.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	rep, _ = night(t, l.Arch, firstNight.AddDate(0, 0, 6), verify.Options{Share: &verify.Share{Part: 0.1}})
	known("removed", rep, 0)
}

// Guards: damage of a stored file is known, under names that exist, until no snapshot has the stored file: it does not end with
// the snapshots under whose names it was found.
func TestDamageOutlivesItsSnapshots(t *testing.T) {
	l := newLab(t)
	l.Nightly()
	l.Build("file a 0644 random=1000:1\nfile b 0644 random=1000:2")
	testtree.Settle()
	l.Run()
	l.Run()
	first, second := l.Order[0], l.Order[1]
	spoil(t, l.Path(first, "a"))
	a := l.Open()
	defer l.Close(a)
	list, err := a.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	// A check of one snapshot knows no other names.
	rep, err := verify.Run(t.Context(), a, list[:1], verify.Options{Remember: true})
	if err != nil || len(rep.Known.Damaged) != 1 || fmt.Sprint(rep.Known.Damaged[0].Names) != fmt.Sprintf("[{%s a}]", first) {
		t.Fatalf("the check: %+v, %v", rep.Known, err)
	}
	remove(t, l, first)
	known := func(what string, note *verified.Note, want string) {
		t.Helper()
		var names []verified.Name
		for i := range note.Damaged {
			names = append(names, note.Damaged[i].Names...)
		}
		if fmt.Sprint(names) != want {
			t.Errorf("%s: known under %v, want %s", what, names, want)
		}
	}
	note, err := a.Damage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	known("at once", note, fmt.Sprintf("[{%s a}]", second))
	// The damaged stored file waits for its turn, so the share reads another one.
	rep, _ = night(t, l.Arch, time.Now(), verify.Options{Share: &verify.Share{Part: 0.1}})
	known("after a share", rep.Known, fmt.Sprintf("[{%s a}]", second))
	rep, _ = night(t, l.Arch, time.Now(), verify.Options{MetadataOnly: true})
	known("after a check of metadata", rep.Known, fmt.Sprintf("[{%s a}]", second))
	l.Build("rm a\nfile a 0644 other")
	testtree.Settle()
	l.Run()
	remove(t, l, second)
	rep, _ = night(t, l.Arch, time.Now(), verify.Options{Share: &verify.Share{Part: 0.1}})
	known("without the stored file", rep.Known, "[]")
}
