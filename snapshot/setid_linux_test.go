package snapshot

import (
	"testing"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/testtree"
)

// Guards: a program whose owner the file system has changed without an error does not keep its set-ID bits.
func TestForgottenOwnerOfSetIDProgram(t *testing.T) {
	testtree.NeedRoot(t)
	source := t.TempDir()
	r := &run{}
	testtree.Build(t, source, "file program 0755 x owner=5:6\nset program mode=6755")
	dir := openFolder(t, source)
	e := index.Entry{Name: "program", Type: index.File, Mode: 0o6755, UID: 7, GID: 6}
	st := statAt(t, dir, "program")
	e.Mtime = st.Mtime
	if err := r.readBack(newInode{fd: fsat.NoDir, dir: dir, name: "program"}, &e, nil, &st); err != nil {
		t.Fatal(err)
	}
	if st := statAt(t, dir, "program"); st.Mode != 0o755 || e.Flags != index.OwnerNotHeld|index.ModeNotHeld {
		t.Errorf("mode %o, flags %b", st.Mode, e.Flags)
	}
}

// openFolder opens a folder until the test ends.
func openFolder(t *testing.T, path string) int {
	t.Helper()
	fd, err := fsat.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fsat.Close(fd); err != nil {
			t.Error(err)
		}
	})
	return fd
}

func statAt(t *testing.T, dir int, name string) (st fsat.Stat) {
	t.Helper()
	if err := fsat.StatAt(dir, name, &st); err != nil {
		t.Fatal(err)
	}
	return st
}
