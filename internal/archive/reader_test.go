package archive

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Guards: a note is there until it is removed, twice the same is one, and one that cannot be read is not overlooked.
func TestReaders(t *testing.T) {
	a, err := Create(filepath.Join(t.TempDir(), "archive"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	want := func(n int) {
		t.Helper()
		if list, err := a.Readers.All(); err != nil || len(list) != n {
			t.Fatalf("%v, %v; want %d", list, err, n)
		}
	}
	want(0)
	r := NewReader("2026-11-20T020000Z", "/srv/\xff", time.Now())
	other := NewReader("2026-11-20T020000Z", "/srv/x", time.Now())
	var path string
	for _, r := range []Reader{r, r, other} {
		if path, err = a.Readers.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	want(2)
	for range 2 {
		if err := a.Readers.Remove(r); err != nil {
			t.Fatal(err)
		}
	}
	want(1)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := a.Readers.All()
	if err != nil || len(list) != 1 || list[0].Snapshot != r.Snapshot || list[0].Damage == nil || list[0].Path != path {
		t.Errorf("a note that cannot be read gave %v, %v", list, err)
	}
}
