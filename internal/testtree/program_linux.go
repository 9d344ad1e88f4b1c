package testtree

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Program gives this test program a name by which any user can run it.
func Program(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "test-program") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "program")
	if os.Link(self, path) == nil {
		return path
	}
	content, err := os.ReadFile(self)
	if err = errors.Join(err, os.WriteFile(path, content, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

// OpenDescriptors returns the number of open descriptors of the test program.
func OpenDescriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
