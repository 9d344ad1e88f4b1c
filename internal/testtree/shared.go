package testtree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Shared returns the content of a file in the testdata folder at the top of the project, which has the files that
// tests of several packages use.
func Shared(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			t.Fatalf("testtree: no go.mod above the working folder: %v", err)
		}
		dir = filepath.Dir(dir)
	}
	content, err := os.ReadFile(filepath.Join(dir, "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// SharedNames returns unusual names of files: each is legal on every file system that Linux has of its own.
func SharedNames(t testing.TB) (names []string) {
	t.Helper()
	for line := range strings.Lines(Shared(t, "names.txt")) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, err := strconv.Unquote(line)
		if err != nil {
			t.Fatalf("testtree: names.txt: %s: %v", line, err)
		}
		names = append(names, name)
	}
	return names
}
