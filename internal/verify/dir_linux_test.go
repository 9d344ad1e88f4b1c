package verify

import (
	"os"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/fsat"
	"snapcopy/internal/testtree"
)

// Guards: a folder whose listing has another spelling of a name, which finds the same file, is sound; what was added
// beside it is not.
func TestRespeltNames(t *testing.T) {
	path := t.TempDir()
	testtree.Build(t, path, "file kept 0644 x\nfile gone 0644 y\nfile other 0644 z")
	fd, err := fsat.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := fsat.Close(fd); err != nil {
			t.Error(err)
		}
	}()
	d := &dir{entries: []index.Entry{{Name: "gone"}, {Name: "kept"}}}
	d.Put(stored, fd, nil)
	var v verifier
	listed := func(names ...string) (list []fsat.DirEntry) {
		for _, n := range names {
			list = append(list, fsat.DirEntry{Name: n})
		}
		return list
	}
	if got := v.strangers(d, listed("gone", "kept", "other")); len(got) != 1 || got[0] != "other" {
		t.Errorf("beside all entries: %q", got)
	}
	// As if the file system listed "gone" as "Gone", by which it can be found, too.
	if err := os.Link(path+"/gone", path+"/Gone"); err != nil {
		t.Fatal(err)
	}
	if got := v.strangers(d, listed("Gone", "kept")); len(got) != 0 {
		t.Errorf("another spelling is taken for %q", got)
	}
	if got := v.strangers(d, listed("Gone", "gone", "kept")); len(got) != 1 || got[0] != "Gone" {
		t.Errorf("a name that was added: %q", got)
	}
	if got := v.strangers(d, listed("kept", "other")); len(got) != 1 || got[0] != "other" {
		t.Errorf("another file: %q", got)
	}
}
