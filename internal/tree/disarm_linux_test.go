package tree

import (
	"os"
	"path/filepath"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/fsat"
)

// Guards: a program whose owner the file system has changed without an error does not keep its set-ID bits.
func TestForgottenOwnerOfSetIDProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	fd, err := fsat.OpenRoot(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := fsat.Close(fd); err != nil {
			t.Error(err)
		}
	}()
	e := index.Entry{Name: "program", Type: index.File, Mode: 0o4755, UID: uint32(os.Geteuid()) + 1, GID: uint32(os.Getegid())}
	j := setting{Setter: new(Setter), n: Named(fd, "program"), e: &e}
	j.Mode = e.Mode
	for _, step := range []func() error{j.look, j.disarm} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	j.judge()
	if j.Stat.Mode != 0o755 || j.CatalogOnly&(Owner|Mode) != UID|Mode {
		t.Errorf("mode %o, not held %b", j.Stat.Mode, j.CatalogOnly)
	}
}
