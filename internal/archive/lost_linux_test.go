package archive_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"snapcopy/internal/archive"
	"snapcopy/internal/testtools"
	"snapcopy/internal/verify"
	"snapcopy/snapshot"
)

// lab3 is a lab with three snapshots, a day apart.
func lab3(t *testing.T) *lab {
	l := newLab(t)
	l.Parallel = true
	for day := range 3 {
		l.Build("file f" + string(rune('0'+day)) + " 0644\n")
		at := time.Date(2026, 11, 20+day, 2, 0, 0, 0, time.UTC)
		l.Opt.Now = func() time.Time { return at }
		l.Run()
	}
	return l
}

// A snapshot of which only the folder or only the catalog is left is found, and removed as a whole.
func TestLostPartsAreFoundAndRemoved(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		why  error
		lose func(l *lab, name string) string
	}{
		{"folder", archive.ErrNoFolder, func(l *lab, name string) string { return l.Path(name) }},
		{"catalog", archive.ErrNoCatalog, func(l *lab, name string) string {
			return l.Path(archive.MetaDir, archive.CatalogsDir, name+archive.CatalogExt)
		}},
		{"report and folder", archive.ErrNoFolder, func(l *lab, name string) string {
			if err := os.Remove(l.Path(archive.MetaDir, archive.RunsDir, name+".json")); err != nil {
				l.T.Fatal(err)
			}
			return l.Path(name)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := lab3(t)
			name := l.Order[1]
			if err := os.RemoveAll(c.lose(l, name)); err != nil {
				t.Fatal(err)
			}
			found := l.Damage(verify.Options{})
			if len(found) != 1 || found[0].Snapshot != name || !errors.Is(found[0].Err, c.why) {
				t.Errorf("verify finds %v", found)
			}
			a := l.Open()
			defer l.Close(a)
			if _, err := a.Select(name, time.Now(), time.UTC); !errors.Is(err, archive.ErrNoSnapshot) || !errors.Is(err, c.why) {
				t.Errorf("it is selected: %v", err)
			}
			s, err := a.SelectOnly(name, time.Now(), time.UTC)
			if err != nil || s.Name != name {
				t.Fatalf("it cannot be selected for removing: %v, %v", s, err)
			}
			rep, err := a.Remove(t.Context(), []string{name}, archive.RemoveOptions{})
			if err != nil || len(rep.Removed) != 1 || len(rep.Unfinished) > 0 {
				t.Fatalf("remove: %+v, %v", rep, err)
			}
			delete(l.Taken, name)
			l.Intact()
			l.NothingLeft()
			l.Verify()
			if rep := l.Run(); rep.IndexRebuilt != "" {
				t.Errorf("the index still knew it: %s", rep.IndexRebuilt)
			}
		})
	}
}

// The name of a snapshot whose catalog is lost is not given again, and a run that cannot publish takes its catalog
// back: it would be that of another snapshot.
func TestNoCatalogOfAnotherSnapshot(t *testing.T) {
	t.Parallel()
	l := lab3(t)
	newest := l.Order[2]
	catalog := l.Path(archive.MetaDir, archive.CatalogsDir, newest+archive.CatalogExt)
	if err := os.Remove(catalog); err != nil {
		t.Fatal(err)
	}
	rep := l.Run() // in the same second
	if rep.Snapshot == newest {
		t.Errorf("the name %s is given again", newest)
	}
	l.Intact()
	if found := l.Damage(verify.Options{}); len(found) != 1 || !errors.Is(found[0].Err, archive.ErrNoCatalog) {
		t.Errorf("verify finds %v", found)
	}

	before := l.Opt.Now()
	l.Opt.Now = func() time.Time { return before.Add(time.Hour) }
	name := archive.NameAt(l.Opt.Now())
	l.Opt.Fault = func(step string) error {
		if step == "publish" { // somebody takes the name at the last moment
			return os.Mkdir(l.Path(name), 0o700)
		}
		return nil
	}
	if _, err := snapshot.Run(t.Context(), l.Src, l.Arch, l.Opt); err == nil || !strings.Contains(err.Error(), l.Path(name)) {
		t.Errorf("the run says %v", err)
	}
	if _, err := os.Lstat(l.Path(archive.MetaDir, archive.CatalogsDir, name+archive.CatalogExt)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the catalog is left as that of %s: %v", name, err)
	}
}

// Guards: with the catalog of another snapshot in its place, a snapshot's folder gets no mode from there, and the next
// run is not judged by its counts.
func TestNothingFromAnotherSnapshotsCatalog(t *testing.T) {
	l := newLab(t)
	l.Build("set . mode=0555\n" + many("d", 150))
	l.Run()
	l.Build("rm d\n" + "set . mode=0755\nfile f 0644 f")
	l.Run()
	l.Run()
	l.acknowledge(l.Order[1])
	a := l.Open()
	defer l.Close(a)
	text, err := os.ReadFile(a.CatalogPath(l.Order[0]))
	if err == nil {
		err = errors.Join(os.WriteFile(a.CatalogPath(l.Order[1]), text, 0o600),
			os.Remove(a.Meta.Path(archive.RunsDir, l.Order[2]+".json")))
	}
	if err != nil {
		t.Fatal(err)
	}
	if list, err := a.Unacknowledged(); err != nil || len(list) > 0 {
		t.Errorf("unacknowledged: %+v, %v", list, err)
	}
	for name, text := range map[string]string{
		"work/" + archive.WorkReport:      `{"snapshot": "` + l.Order[1] + `"}`,
		"trash/" + l.Order[1] + ".opened": "",
	} {
		if err := os.WriteFile(a.Meta.Path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		lock, err := a.Lock()
		if err == nil {
			_, err = lock.Recover(t.Context())
			err = errors.Join(err, lock.Unlock())
		}
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(l.Path(l.Order[1]))
		if err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
		if err := os.Chmod(l.Path(l.Order[1]), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// Guards: a report that waits in the work folder for space comes into its place when there is space; none is made from the
// catalog instead of it.
func TestWaitingReportIsAdopted(t *testing.T) {
	l := newLab(t)
	l.Build("file f 0644 f")
	l.Run()
	a := l.Open()
	defer l.Close(a)
	report := a.Meta.Path(archive.RunsDir, l.Order[0]+".json")
	want, err := os.ReadFile(report)
	if err == nil {
		err = os.Rename(report, a.Meta.Path(archive.WorkDir, archive.WorkReport))
	}
	if err != nil {
		t.Fatal(err)
	}
	lock, err := a.Lock()
	if err == nil {
		_, err = lock.Complete(t.Context())
		err = errors.Join(err, lock.Unlock())
	}
	if err != nil {
		t.Fatal(err)
	}
	if has, err := os.ReadFile(report); err != nil || !bytes.Equal(has, want) {
		t.Errorf("%s, %v", has, err)
	}
}

// Guards: a report in the work folder that cannot be read for now is not removed with the leftovers there.
func TestUnreadableWaitingReportStays(t *testing.T) {
	if testtools.MayDoAll() {
		t.Skip("permissions do not stop this user")
	}
	l := newLab(t)
	l.Build("file f 0644 f")
	l.Run()
	a := l.Open()
	defer l.Close(a)
	waiting := a.Meta.Path(archive.WorkDir, archive.WorkReport)
	err := errors.Join(os.Rename(a.Meta.Path(archive.RunsDir, l.Order[0]+".json"), waiting), os.Chmod(waiting, 0))
	if err != nil {
		t.Fatal(err)
	}
	lock, err := a.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Recover(t.Context()); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("recovered: %v", err)
	}
	if _, err := os.Lstat(waiting); err != nil {
		t.Error(err)
	}
	if err := errors.Join(lock.Unlock(), os.Chmod(waiting, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// The id of an archive is in its run reports, too: an instant restore knows its archive by it.
func TestArchiveIDComesBack(t *testing.T) {
	t.Parallel()
	l := lab3(t)
	a := l.Open()
	id, created := a.Info.ID, a.Info.Created
	l.Close(a)
	if err := os.WriteFile(l.Path(archive.MetaDir, archive.ArchiveFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	a = l.Open()
	defer l.Close(a)
	if a.InfoDamage == nil || a.Info.ID != id {
		t.Errorf("opened with %v, id %q, want %q", a.InfoDamage, a.Info.ID, id)
	}
	lock, err := a.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if told := a.Meta.Mended(); len(told) != 1 || a.InfoDamage != nil {
		t.Errorf("told %q, %v", told, a.InfoDamage)
	}
	again := l.Open()
	defer l.Close(again)
	if again.InfoDamage != nil || again.Info.ID != id || !again.Info.Created.Equal(created) || !again.Info.Capabilities.HardLinks {
		t.Errorf("made anew: %+v, %v", again.Info, again.InfoDamage)
	}
}

// A note of what is being forgotten that cannot be read stops nobody, and goes when the command is given again.
func TestUnreadableForgetNote(t *testing.T) {
	t.Parallel()
	l := lab3(t)
	note := l.Path(archive.MetaDir, archive.ForgetFile)
	if err := os.WriteFile(note, []byte(`{"path_base64":"ZjA=","sn`), 0o600); err != nil {
		t.Fatal(err)
	}
	rep := l.Run()
	if len(rep.Findings) != 1 || !errors.Is(rep.Findings[0].Err, archive.ErrForgetNote) || rep.Findings[0].Path != note {
		t.Errorf("told: %v", rep.Findings)
	}
	a := l.Open()
	defer l.Close(a)
	for _, path := range []string{"f0", "never"} {
		if err := os.WriteFile(note, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := a.ForgetPath(t.Context(), path, archive.ForgetOptions{}); (path == "f0") != (err == nil) {
			t.Errorf("forget %s: %v", path, err)
		}
		if _, err := os.Lstat(note); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after forgetting %s the note is left: %v", path, err)
		}
	}
}

// A file that was about to take the place of another when its process was killed goes with the next command that has
// the lock, wherever it is; the folder of notes of readers is written to without the lock, so only old ones go there.
func TestPendingFilesGoEverywhere(t *testing.T) {
	t.Parallel()
	l := lab3(t)
	a := l.Open()
	defer l.Close(a)
	if _, err := a.Readers.Add(archive.NewReader(l.Order[0], "/x", time.Now())); err != nil {
		t.Fatal(err)
	}
	if err := a.Pin(l.Order[0], "", time.Now()); err != nil {
		t.Fatal(err)
	}
	stays := l.Path(archive.MetaDir, archive.ReadersDir, ".new.json.1.tmp")
	var gone []string
	for _, dir := range []string{"", archive.CatalogsDir, archive.RunsDir, archive.PinsDir, archive.ReadersDir} {
		gone = append(gone, l.Path(archive.MetaDir, dir, ".old.json.1.tmp"))
	}
	for _, path := range append(gone, stays) {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-2 * archive.NoteAge)
	if err := os.Chtimes(filepath.Join(l.Path(archive.MetaDir, archive.ReadersDir), ".old.json.1.tmp"), old, old); err != nil {
		t.Fatal(err)
	}
	if err := a.RebuildIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range gone {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("left: %s", path)
		}
	}
	if _, err := os.Lstat(stays); err != nil {
		t.Errorf("a note that is just being written is gone: %v", err)
	}
}
