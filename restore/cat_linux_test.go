package restore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"snapcopy/index"
	"snapcopy/internal/lookup"
)

func TestCat(t *testing.T) {
	source, _, a := torture(t)
	files := 0
	err := a.Catalog.Walk(func(dir string, _ *index.Record, e *index.Entry) error {
		path := index.Join(dir, e.Name)
		var got bytes.Buffer
		err := Cat(context.Background(), a.OpenSnapshot, path, &got)
		if e.Type != index.File {
			if !errors.Is(err, ErrNotFile) || got.Len() > 0 {
				t.Errorf("%q: %d bytes and error %v for a %s", path, got.Len(), err, e.Type)
			}
			return nil
		}
		if err != nil {
			t.Errorf("%q: %v", path, err)
			return nil
		}
		files++
		if len(path) > 500 {
			return nil
		}
		want, err := os.ReadFile(filepath.Join(source, path))
		if err != nil {
			return err
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%q: %d bytes differ from the %d in the source", path, got.Len(), len(want))
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Fatal(files, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Cat(ctx, a.OpenSnapshot, "large", new(bytes.Buffer)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after it was cancelled", err)
	}
	var missing *lookup.NotFoundError
	if err := Cat(context.Background(), a.OpenSnapshot, "plan", new(bytes.Buffer)); !errors.As(err, &missing) {
		t.Errorf("error %v for a path that is not there", err)
	}
	if err := Cat(context.Background(), a.OpenSnapshot, "plain", failing{}); !errors.Is(err, errFull) {
		t.Errorf("error %v, want that of the output", err)
	}
}

var errFull = errors.New("full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }
