package snapshot_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"snapcopy/internal/fault"
	"snapcopy/internal/filecopy"
	"snapcopy/internal/journal"
	"snapcopy/internal/testtree"
	"snapcopy/snapshot"
)

// interrupted has a published snapshot, and an unfinished run with stored files. It returns the folder of that run.
func interrupted(t *testing.T) (l *lab, dir string) {
	t.Helper()
	l = newLab(t)
	l.Opt.Threads = 1
	l.Build("dir d 0755\nfile d/published 0644 random=9000000:1\nfile d/small 0600 random=100:2")
	testtree.Settle()
	l.Run()
	l.Build("file d/new1 0644 random=5000:3\nfile d/new2 0644 random=6000:4\nrm d/published\nfile d/published 0644 random=9000000:5")
	testtree.Settle()
	stopAt(l, "catalog", 1, fault.ErrCrash)
	l.Fails(fault.ErrCrash)
	l.Opt.Fault = nil
	found, err := filepath.Glob(l.Arch + "/.snapcopy/work/unfinished-*")
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	return l, found[0]
}

// Guards: a journal that ends in its header is that of a run that had stored nothing, without an alarm; one that is cut
// short later, or damaged, costs no more than what it proves; another one is told.
func TestJournalCutShort(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(whole []byte) []byte
		told bool
	}{
		{"empty", func([]byte) []byte { return nil }, false},
		{"torn length", func(b []byte) []byte { return b[:3] }, false},
		{"torn header", func(b []byte) []byte { return b[:20] }, false},
		{"zeros", func(b []byte) []byte { return make([]byte, 4096) }, false},
		{"torn record", func(b []byte) []byte { return b[:len(b)-7] }, false},
		{"middle", func(b []byte) []byte { return b[:len(b)/2] }, false},
		{"flipped record", func(b []byte) []byte { b[len(b)*3/4] ^= 4; return b }, false},
		{"flipped header", func(b []byte) []byte { b[30] ^= 4; return b }, true},
		{"text", func([]byte) []byte { return []byte("something else") }, true},
		{"huge length", func([]byte) []byte { return []byte("\xff\xff\xff\xff\x00\x00\x00\x00\x01") }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, dir := interrupted(t)
			whole, err := os.ReadFile(dir + "/journal")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dir+"/journal", c.make(whole), 0o600); err != nil {
				t.Fatal(err)
			}
			rep := l.Run()
			if told := strings.Contains(strings.Join(rep.Recovered, "\n"), "damaged or of another version"); told != c.told {
				t.Errorf("it said %q", rep.Recovered)
			}
			l.Intact()
			l.Verify()
			l.NothingLeft()
		})
	}
}

// Guards: whatever somebody has put into the place of the files of an unfinished run, the next run neither waits for
// it, nor follows it out of the archive, nor changes a published snapshot.
func TestHostileUnfinishedRun(t *testing.T) {
	for _, name := range []string{"journal", "journal.new", "kept", "tree", "publishing", "."} {
		for kind, plant := range map[string]func(path, outside string) error{
			"link to a folder": func(path, outside string) error { return os.Symlink(outside, path) },
			"link to a file":   func(path, outside string) error { return os.Symlink(outside+"/precious", path) },
			"dangling link":    func(path, outside string) error { return os.Symlink(outside+"/made", path) },
			"pipe":             func(path, _ string) error { return unix.Mkfifo(path, 0o600) },
			"socket":           func(path, _ string) error { return unix.Mknod(path, unix.S_IFSOCK|0o600, 0) },
			"folder":           func(path, _ string) error { return os.Mkdir(path, 0o700) },
			"other name of a published file": func(path, outside string) error {
				return os.Link(outside+"/../published", path)
			},
		} {
			t.Run(name+" is a "+kind, func(t *testing.T) {
				l, dir := interrupted(t)
				outside := filepath.Join(filepath.Dir(l.Arch), "outside")
				published, err := filepath.Glob(l.Arch + "/*Z/d/published")
				if err == nil {
					err = errors.Join(os.Mkdir(outside, 0o700), os.WriteFile(outside+"/precious", []byte("precious"), 0o600),
						os.Link(published[0], filepath.Join(filepath.Dir(outside), "published")),
						os.RemoveAll(filepath.Join(dir, name)), plant(filepath.Join(dir, name), outside))
				}
				if name == "." {
					err = errors.Join(os.RemoveAll(dir), plant(dir, outside))
				}
				if err != nil {
					t.Fatal(err)
				}
				l.survives(outside)
			})
		}
	}
}

// survives runs, and looks whether the published snapshots and a folder outside are as they were. The run may fail.
func (l *lab) survives(outside string) {
	l.T.Helper()
	ctx, cancel := context.WithTimeout(l.T.Context(), time.Minute)
	defer cancel()
	rep, err := snapshot.Run(ctx, l.Src, l.Arch, l.Opt)
	if ctx.Err() != nil {
		l.T.Fatalf("it waited: %v", err)
	}
	if err != nil {
		l.T.Logf("the run says: %v", err)
	} else {
		l.Note(rep)
		l.Verify()
	}
	l.Intact()
	list, err := os.ReadDir(outside)
	if text, readErr := os.ReadFile(outside + "/precious"); err != nil || len(list) != 1 || string(text) != "precious" {
		l.T.Errorf("outside is %v, %v; %q, %v", list, err, text, readErr)
	}
}

// Guards: a journal cannot make a run write to, move or remove a file of a published snapshot or outside of the archive.
func TestHostileJournalRecords(t *testing.T) {
	l, dir := interrupted(t)
	outside := filepath.Join(filepath.Dir(l.Arch), "outside")
	if err := errors.Join(os.Mkdir(outside, 0o700), os.WriteFile(outside+"/precious", []byte("precious"), 0o600)); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(l.Arch + "/*Z/d/*")
	if err != nil || len(paths) < 2 {
		t.Fatal(paths, err)
	}
	snap := filepath.Base(filepath.Dir(filepath.Dir(paths[0])))
	old, err := os.Open(dir + "/journal")
	if err != nil {
		t.Fatal(err)
	}
	r, err := journal.NewReader(old)
	if err != nil {
		t.Fatal(err)
	}
	var records []*journal.Record
	for err == nil {
		var rec *journal.Record
		if _, rec, err = r.Next(); err == nil {
			records = append(records, rec)
		}
	}
	header := r.Header
	if err := errors.Join(old.Close(), os.Remove(dir+"/journal")); err != nil || len(records) == 0 {
		t.Fatal(len(records), err)
	}
	file, err := os.OpenFile(dir+"/journal", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	w, err := journal.Create(file, &header)
	add := func(rec journal.Record) {
		if err == nil {
			_, err = w.Add(&rec)
		}
	}
	for _, path := range paths {
		var st unix.Stat_t
		if statErr := unix.Lstat(path, &st); statErr != nil {
			t.Fatal(statErr)
		}
		for _, rec := range records {
			hostile := *rec
			hostile.Entry.Stored, hostile.Entry.Size = st.Ino, uint64(st.Size)
			add(hostile)                                                                   // where the run would look by itself
			hostile.Marks = []filecopy.Mark{{At: 1 << 20}, {At: st.Size}, {At: 1<<62 + 1}} // to be cut off and written on
			add(hostile)
			hostile.Dir = "../../../../" + snap + "/d"
			hostile.Entry.Name = filepath.Base(path)
			add(hostile)
			hostile.Dir = "d"
			hostile.Marks = nil
			add(hostile)
		}
		for _, place := range []string{"kept/" + strconv.FormatUint(st.Ino, 10), "tree/d/" + filepath.Base(path) + ".x"} {
			if mkErr := os.MkdirAll(filepath.Dir(filepath.Join(dir, place)), 0o700); mkErr != nil {
				t.Fatal(mkErr)
			}
			if linkErr := os.Link(path, filepath.Join(dir, place)); linkErr != nil && !errors.Is(linkErr, os.ErrExist) {
				t.Fatal(linkErr)
			}
		}
	}
	add(*records[0])
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	l.survives(outside)
}
