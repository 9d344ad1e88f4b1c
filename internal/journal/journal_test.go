package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"testing"
	"time"

	"snapcopy/index"
	"snapcopy/internal/filecopy"
)

func sample(i int) *Record {
	r := &Record{Dir: "a/b", Device: 7, New: uint64(i), Entry: index.Entry{Name: fmt.Sprint("f", i), Type: index.File, Size: 9,
		Nlink: 1, Ino: uint64(i), Stored: uint64(1000 + i)}, Xattrs: []index.Xattr{{Name: "user.a", Value: []byte("x")}}}
	if i%3 == 0 {
		r.Marks = []filecopy.Mark{{At: 5}, {At: 8}}
	}
	return r
}

func write(t *testing.T, n int) (file *os.File, at []int64) {
	t.Helper()
	file, err := os.Create(t.TempDir() + "/journal")
	if err != nil {
		t.Fatal(err)
	}
	w, err := Create(file, &Header{Archive: "id", Host: "h", Source: "/s", Began: time.Unix(5, 0).UTC()})
	for i := range n {
		var pos int64
		if err == nil {
			pos, err = w.Add(sample(i))
		}
		at = append(at, pos)
	}
	if err == nil {
		_, err = w.Position()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return file, at
}

// Guards: what was recorded is read, in order, by position and by path, and a tail cut short ends the reading.
func TestJournal(t *testing.T) {
	const n = 1000
	file, at := write(t, n)
	b := NewBuilder(t.TempDir())
	r, err := NewReader(file)
	if err != nil || r.Header.Source != "/s" {
		t.Fatal(r, err)
	}
	for i := range n {
		pos, rec, err := r.Next()
		if err != nil || pos != at[i] {
			t.Fatal(i, pos, err)
		}
		want := sample(i)
		want.Entry.XattrHash = rec.Entry.XattrHash
		if !reflect.DeepEqual(rec, want) {
			t.Fatalf("%+v; want %+v", rec, want)
		}
		b.Add(rec, pos)
	}
	if _, _, err := r.Next(); err != io.EOF {
		t.Error(err)
	}
	table, err := b.Table()
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if pos, ok, err := table.FindPath("a/b", fmt.Sprint("f", i)); err != nil || !ok || pos != at[i] {
			t.Fatal(i, pos, ok, err)
		}
	}
	if err := errors.Join(table.Close(), b.Close(), file.Truncate(at[n-1]+10)); err != nil {
		t.Fatal(err)
	}
	if r, err = NewReader(file); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for err == nil {
		if _, _, err = r.Next(); err == nil {
			seen++
		}
	}
	if seen != n-1 || err != io.EOF {
		t.Errorf("%d records, %v", seen, err)
	}
}

// Guards: paths that lead out of the mirror are no records.
func TestHostilePaths(t *testing.T) {
	for _, dir := range []string{"..", "a/..", "/a", "a//b", ".", "a/", "\x00"} {
		r := sample(1)
		r.Dir = dir
		b, err := r.append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if rec, err := decodeRecord(kindFile, b); err == nil {
			t.Errorf("%q: %+v", dir, rec)
		}
	}
}

// FuzzDecodeRecord: whatever the payload, decoding ends, and a record that is accepted is encoded as it was.
func FuzzDecodeRecord(f *testing.F) {
	for i := range 3 {
		b, err := sample(i).append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(sample(i).kind(), b)
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		if kind != kindPartial {
			kind = kindFile
		}
		rec, err := decodeRecord(kind, b)
		if err != nil {
			return
		}
		again, err := rec.append(nil)
		if err != nil {
			t.Fatal(err)
		}
		same, err := decodeRecord(kind, again)
		if err != nil || !reflect.DeepEqual(rec, same) {
			t.Fatalf("%+v, %v; was %+v", same, err, rec)
		}
	})
}

// Guards: what cannot be encoded is an error, and leaves what was recorded before it.
func TestFrameOfWhatCannotBeEncoded(t *testing.T) {
	refused := errors.New("refused")
	b, err := appendFrame([]byte("before"), kindFile, func([]byte) ([]byte, error) { return nil, refused })
	if string(b) != "before" || !errors.Is(err, refused) {
		t.Errorf("%q, %v", b, err)
	}
}

// Guards: the header is in the file as soon as the journal is made; a file that ends in the middle of it is known as one
// whose process died, and every other file without a header is not.
func TestHeaderCutShort(t *testing.T) {
	path := t.TempDir() + "/journal"
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := Create(file, &Header{Archive: "id", Host: "h", Source: "/s", Began: time.Unix(5, 0).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := NewReader(file); err != nil || r.Header.Source != "/s" {
		t.Fatalf("just made, with %d bytes: %v", len(whole), err)
	}
	read := func(b []byte) error {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := NewReader(file)
		return err
	}
	for n := range whole {
		if err := read(whole[:n]); !errors.Is(err, ErrNoHeader) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
		if err := read(make([]byte, n)); !errors.Is(err, ErrNoHeader) {
			t.Errorf("%d zeros: %v", n, err)
		}
		for bit := range 8 {
			flipped := append([]byte(nil), whole...)
			flipped[n] ^= 1 << bit
			if err := read(flipped); !errors.Is(err, ErrForeign) || errors.Is(err, ErrNoHeader) && n >= 4 {
				t.Errorf("bit %d of byte %d flipped: %v", bit, n, err)
			}
		}
	}
	for _, b := range []string{"x", "other", "\x00\x00\x00\x40\x00\x00\x00\x00\x02", "\x00\x00\x00\x40\x00\x00\x00\x00\x01snapcopy journal 2"} {
		if err := read([]byte(b)); !errors.Is(err, ErrForeign) || errors.Is(err, ErrNoHeader) {
			t.Errorf("%q: %v", b, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}
