// Package snapcopy_test has the tests that concern the project as a whole.
package snapcopy_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floors are the packages of each floor of the house, from the street down. A package imports packages of lower floors only,
// so none of the verbs imports another one.
var floors = [][]string{
	{"cmd/snapcopy", "bench", "bench/floor", "bench/torture", "internal/testarchive", "internal/archivetest"},
	{"snapshot", "restore", "restore/instant", "restore/tarball", "prune", "repair", "internal/history", "internal/verify"}, // verbs
	{"internal/archive", "internal/source", "internal/mirror", "internal/outcome", "internal/config"},
	{"internal/tree", "internal/lookup", "internal/journal"},
	{"index", "internal/verified"},
	{"internal/testtree", "internal/filter", "internal/lack", "internal/inside", "internal/check", "internal/leftover",
		"internal/filecopy", "internal/jsonfile", "internal/folders", "internal/rmtree", "internal/pax", "internal/overlay"},
	{"internal/fsat", "internal/exclude", "internal/walk", "internal/dirhandles", "internal/atomicfile", "internal/testtools",
		"internal/workers", "internal/calendar", "internal/plainfile", "internal/extsort", "internal/inodeset", "internal/pair",
		"internal/fault"},
}

// floorOf returns the number of a package's floor, from the street down; false: the package has none.
func floorOf(pkg string) (int, bool) {
	for n, floor := range floors {
		if slices.Contains(floor, pkg) {
			return n, true
		}
	}
	return 0, false
}

func TestImportsRunOneWay(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		from := filepath.ToSlash(filepath.Dir(file))
		for _, imported := range f.Imports {
			name, err := strconv.Unquote(imported.Path.Value)
			if err != nil {
				return err
			}
			if to, ok := strings.CutPrefix(name, "snapcopy/"); ok {
				seen++
				if !allowed(from, to) {
					t.Errorf("%s imports %s", file, name)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Fatal("no import was looked at")
	}
}

func allowed(from, to string) bool {
	above, known := floorOf(from)
	below, alsoKnown := floorOf(to)
	return known && alsoKnown && above < below
}
