package mirror_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/mirror"
)

// place makes an archive's folder with a previous snapshot "old" that has the file "sub/kept", and a work folder.
func place(t *testing.T) mirror.Place {
	t.Helper()
	top := t.TempDir()
	work := filepath.Join(top, "work")
	must(t, os.MkdirAll(filepath.Join(top, "old", "sub"), 0o755))
	must(t, os.WriteFile(filepath.Join(top, "old", "sub", "kept"), []byte("kept"), 0o644))
	must(t, os.Mkdir(work, 0o700))
	at := mirror.Place{RootPath: top, WorkPath: work, Previous: "old", FileSystem: mirror.FileSystem{Symlinks: true,
		LinkMetadata: true, Specials: true, Modes: true, NamesKept: true}}
	for path, fd := range map[string]*int{top: &at.Root, work: &at.Work} {
		var err error
		*fd, err = fsat.OpenRoot(path)
		must(t, err)
		t.Cleanup(func() { must(t, fsat.Close(*fd)) })
	}
	return at
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// opened makes the top of a mirror and the folder "sub" in it, with their counterparts.
func opened(t *testing.T, m mirror.Mirror) (top, sub mirror.Folder) {
	t.Helper()
	top, err := m.Top()
	must(t, err)
	must(t, top.OpenPrevious())
	sub, err = top.Make("sub")
	must(t, err)
	must(t, sub.OpenPrevious())
	t.Cleanup(func() { must(t, errors.Join(sub.Close(), top.Close(), m.Close())) })
	return top, sub
}

func inode(t *testing.T, path string) os.FileInfo {
	t.Helper()
	st, err := os.Lstat(path)
	must(t, err)
	return st
}

// Guards: a published mirror shares what was kept with the previous snapshot, and has what was put in it.
func TestPlain(t *testing.T) {
	at := place(t)
	m := mirror.NewPlain(at)
	top, sub := opened(t, m)

	must(t, sub.Keep("kept"))
	e := index.Entry{Name: "new", Type: index.File, Mode: 0o640, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Size: 3}
	f, err := sub.Create(&e, nil)
	must(t, err)
	fd, err := f.Writable()
	must(t, err)
	must(t, fsat.Write(fd, []byte("new"), 0))
	lost, err := f.Finish(&e, nil)
	must(t, errors.Join(lost, err, f.Close()))
	must(t, m.In("sub", func(fd int) error { return top.Link(fd, "new", "again") }))
	link := index.Entry{Name: "link", Type: index.Symlink, Target: "kept", Size: 4, UID: e.UID, GID: e.GID}
	lost, err = sub.MakeSpecial(&link, nil)
	must(t, errors.Join(lost, err))

	must(t, sub.Close()) // as a walk does that is far away
	must(t, sub.Reopen(nil))
	must(t, top.Close())
	must(t, top.Reopen(sub))
	if sub.Previous() < 0 || top.Previous() < 0 {
		t.Error("a counterpart is not open again")
	}
	for _, folder := range []mirror.Folder{sub, top} {
		dir := index.Entry{Type: index.Dir, Mode: 0o555, UID: e.UID, GID: e.GID}
		done, err := folder.Finish(&dir, nil, nil, make([]byte, 1<<12))
		must(t, errors.Join(done.Lost, err))
	}
	must(t, m.Sync())
	must(t, m.Publish("new"))

	snapshot := filepath.Join(at.RootPath, "new")
	t.Cleanup(func() { must(t, os.Chmod(snapshot+"/sub", 0o755)) }) // or only root could remove it
	if !os.SameFile(inode(t, snapshot+"/sub/kept"), inode(t, filepath.Join(at.RootPath, "old/sub/kept"))) {
		t.Error("the kept file is not shared")
	}
	if !os.SameFile(inode(t, snapshot+"/sub/new"), inode(t, snapshot+"/again")) {
		t.Error("the second name is not a link")
	}
	if got := inode(t, snapshot+"/sub/new").Mode(); got != 0o640 {
		t.Errorf("mode %v", got)
	}
	if target, err := os.Readlink(snapshot + "/sub/link"); err != nil || target != "kept" {
		t.Errorf("link to %q, %v", target, err)
	}
	if sub, top := inode(t, snapshot+"/sub").Mode().Perm(), inode(t, snapshot).Mode().Perm(); sub != 0o555 || top != 0o755 {
		t.Errorf("modes %v and %v", sub, top)
	}
}

// Guards: a name just made can be removed and made again; another attempt without that is refused as a matter of the name.
func TestPlainNames(t *testing.T) {
	m := mirror.NewPlain(place(t))
	_, sub := opened(t, m)
	must(t, sub.Keep("kept"))
	var name *mirror.NameError
	if _, err := sub.Create(&index.Entry{Name: "kept"}, nil); !errors.As(err, &name) {
		t.Errorf("a name that is there: %v", err)
	}
	if _, err := sub.Make("kept"); !errors.As(err, &name) {
		t.Errorf("a name that is there: %v", err)
	}
	must(t, sub.Remove("kept"))
	f, err := sub.Create(&index.Entry{Name: "kept"}, nil)
	must(t, err)
	must(t, f.Close())
	if err := sub.Keep("missing"); !fsat.IsGone(err) {
		t.Errorf("a name that the previous snapshot does not have: %v", err)
	}
	must(t, m.Discard())
}

// Guards: each step that changes the archive can be made to fail, and its error names it.
func TestPlainFaults(t *testing.T) {
	at := place(t)
	broken := errors.New("broken")
	failing := ""
	at.Fault = func(step string) error {
		if step == failing {
			return broken
		}
		return nil
	}
	m := mirror.NewPlain(at)
	_, sub := opened(t, m)
	for _, try := range []struct {
		step, op string
		do       func() error
	}{
		{"mkdir", "make directory", func() error { _, err := sub.Make("x"); return err }},
		{"link", "link", func() error { return sub.Keep("kept") }},
		{"create", "create", func() error { _, err := sub.Create(&index.Entry{Name: "x"}, nil); return err }},
		{"create", "make", func() error { _, err := sub.MakeSpecial(&index.Entry{Name: "x", Type: index.Fifo}, nil); return err }},
		{"metadata", "set metadata of", func() error { _, err := sub.Finish(&index.Entry{Type: index.Dir}, nil, nil, nil); return err }},
		{"sync", "", m.Sync},
		{"publish", "", func() error { return m.Publish("new") }},
	} {
		failing = try.step
		err := try.do()
		var step *mirror.Error
		if !errors.Is(err, broken) || try.op != "" && (!errors.As(err, &step) || step.Op != try.op) {
			t.Errorf("%s: %v", try.step, err)
		}
	}
	failing = ""
	must(t, m.Discard())
	if _, err := os.Lstat(filepath.Join(at.WorkPath, "tree")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Discard: %v", err)
	}
}

// Guards: a dry run makes nothing and looks at the previous snapshot.
func TestDry(t *testing.T) {
	at := place(t)
	m := &mirror.Dry{Root: at.Root, Previous: "old"}
	top, sub := opened(t, m)
	must(t, sub.Keep("kept"))
	var st fsat.Stat
	must(t, fsat.StatAt(sub.Previous(), "kept", &st))
	f, err := sub.Create(&index.Entry{Name: "x"}, nil)
	if f != nil || err != nil {
		t.Errorf("made %v, %v", f, err)
	}
	must(t, sub.Close())
	must(t, sub.Reopen(nil))
	must(t, fsat.StatAt(sub.Previous(), "kept", &st))
	fresh, err := top.Make("fresh")
	must(t, err)
	if err := fresh.OpenPrevious(); !fsat.IsGone(err) || fresh.Previous() >= 0 {
		t.Errorf("a folder without counterpart: %v", err)
	}
	if list, err := os.ReadDir(at.WorkPath); len(list) > 0 || err != nil {
		t.Errorf("the work folder has %v, %v", list, err)
	}
}
