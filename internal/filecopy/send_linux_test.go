package filecopy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/zeebo/blake3"

	"snapcopy/internal/fsat"
)

func fileWith(t *testing.T, content []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// What is written is what is in the ranges, and only if everything has the right hash.
func TestSend(t *testing.T) {
	content := make([]byte, 10_000)
	for i := range content[1000:9000] {
		content[1000+i] = byte(i%251 + 1)
	}
	clear(content[3000:4096])
	f := fileWith(t, content)
	hash := blake3.Sum256(content)
	all := []fsat.Range{{Start: 0, End: 10_000}}
	parts := []fsat.Range{{Start: 1000, End: 3000}, {Start: 4096, End: 9000}}
	for _, c := range []struct {
		ranges []fsat.Range
		want   [32]byte
		err    error
	}{
		{all, hash, nil},
		{parts, hash, nil},
		{[]fsat.Range{{Start: 1000, End: 9000}}, hash, nil},
		{parts[:1], hash, ErrContent},
		{all, [32]byte{}, ErrContent},
		{[]fsat.Range{{Start: 0, End: 10_001}}, hash, io.ErrUnexpectedEOF},
	} {
		var expect []byte
		for _, r := range c.ranges {
			expect = append(expect, content[r.Start:min(r.End, 10_000)]...)
		}
		for _, size := range []int{2, 100, 1 << 20} {
			var out bytes.Buffer
			ticks := 0
			copier := Copier{Buf: make([]byte, size), Tick: func(n int) { ticks += n }}
			err := copier.Send(context.Background(), &out, int(f.Fd()), 10_000, c.ranges, c.want)
			if !errors.Is(err, c.err) {
				t.Fatalf("%v in pieces of %d: error %v, want %v", c.ranges, size/2, err, c.err)
			}
			if err == nil && (!bytes.Equal(out.Bytes(), expect) || ticks != len(expect)) {
				t.Errorf("%v in pieces of %d: other bytes, or ticks of %d", c.ranges, size/2, ticks)
			}
			if err != nil && (out.Len() >= len(expect) || !bytes.HasPrefix(expect, out.Bytes())) {
				t.Errorf("%v in pieces of %d: %d bytes after an error", c.ranges, size/2, out.Len())
			}
		}
	}
}

func TestSendEnds(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 10_000)
	f := fileWith(t, content)
	hash := blake3.Sum256(content)
	all := []fsat.Range{{Start: 0, End: 10_000}}
	copier := Copier{Buf: make([]byte, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	copier.Tick = func(int) { cancel() }
	if err := copier.Send(ctx, io.Discard, int(f.Fd()), 10_000, all, hash); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after the end of the context", err)
	}
	copier.Tick = nil
	broken, w := io.Pipe()
	if err := broken.Close(); err != nil {
		t.Fatal(err)
	}
	var write *WriteError
	err := copier.Send(context.Background(), w, int(f.Fd()), 10_000, all, hash)
	if !errors.As(err, &write) || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v of a writer that fails", err)
	}
}

// Pieces are found exactly, or joined across the smallest holes if there are too many.
func TestDataRanges(t *testing.T) {
	const block = 4096
	var want []fsat.Range
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	at := int64(3 * block)
	for i := range int64(20) {
		if _, err := f.WriteAt(bytes.Repeat([]byte("x"), block), at); err != nil {
			t.Fatal(err)
		}
		want = append(want, fsat.Range{Start: at, End: at + block})
		at += (2 + i) * block
	}
	size := at + 100
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if !fsat.HasHoles(int(f.Fd()), size) {
		t.Skip("the file system knows no holes")
	}
	got, exact, err := DataRanges(int(f.Fd()), size, 20)
	if err != nil || !exact || !slices.Equal(got, want) {
		t.Fatalf("%v, %v, %v; want %v", got, exact, err, want)
	}
	got, exact, err = DataRanges(int(f.Fd()), size, 5)
	if err != nil || exact || len(got) > 5 || len(got) < 2 {
		t.Fatalf("%v, %v, %v; want at most 5", got, exact, err)
	}
	for _, r := range want {
		if !slices.ContainsFunc(got, func(g fsat.Range) bool { return g.Start <= r.Start && r.End <= g.End }) {
			t.Errorf("%v is in none of %v", r, got)
		}
	}
	if got[len(got)-1].End != want[19].End || got[0].Start != want[0].Start {
		t.Errorf("%v does not begin and end with data", got)
	}
}
