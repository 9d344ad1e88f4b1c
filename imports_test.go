// Package snapcopy_test holds what is true of the project as a whole.
package snapcopy_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Imports run one way: cmd → snapshot, restore, prune → index → internal.
var level = map[string]int{"cmd": 3, "bench": 3, "snapshot": 2, "restore": 2, "prune": 2, "index": 1, "internal": 0}

// inner orders the packages of internal: one may import those with a lower number.
var inner = map[string]int{
	"fsat": 0, "exclude": 0, "walk": 0, "dirhandles": 0, "atomicfile": 0, "testtools": 0, "testtree": 1, "filecopy": 1,
	"rmtree": 1, "pax": 1, "workers": 0, "overlay": 1, "calendar": 0, "filter": 1, "lack": 1, "inside": 1, "plainfile": 0, "check": 1,
	"leftover": 1,
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
	fromTop, _, _ := strings.Cut(from, "/")
	toTop, _, _ := strings.Cut(to, "/")
	fromLevel, known := level[fromTop]
	toLevel, toKnown := level[toTop]
	if fromTop == "internal" && toTop == "internal" {
		fromInner, ok := inner[path.Base(from)]
		toInner, toOK := inner[path.Base(to)]
		return ok && toOK && fromInner > toInner
	}
	return known && toKnown && fromLevel > toLevel
}
